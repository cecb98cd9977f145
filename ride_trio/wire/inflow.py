"""The connection's receive window: when what has been used of it is given back.

Normally at once, on receipt: so a call that does not read holds up no other. What lies here unread, and what our calls
have to send and the peer does not let out, is memory of ours all the same. Up to one window of it is the connection's
own share; beyond that it takes from the server's reserve; where that has no more, the connection is `crowded`: nothing
is given back until its calls have worked some of it off, and new calls are refused.

What a client has to send is its callers' own choice and no reason to read less: if both sides held back the window for
what the other does not let out, two large messages that cross would wait for each other for ever.
"""

from __future__ import annotations

from typing import Final

from ride_trio.wire import frames
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import DEFAULT_WINDOW, ErrorCode
from ride_trio.wire.limits import Limits
from ride_trio.wire.outbound import Outbound
from ride_trio.wire.reserve import Reserve
from ride_trio.wire.stream import Stream

# What a message costs in memory beside its bytes on the wire: an object of Python's, and a place in a list.
MESSAGE_OVERHEAD_BYTES: Final = 48
# No window is ever below this: then nobody asks whether it is low.
_NEVER: Final = -1


class Inflow:
    """See the module's text. A base of `Connection`.

    Attributes:
        crowded: The window is not given back for now.
    """

    _peer_is_server = False

    def __init__(self, limits: Limits, reserve: Reserve, outbound: Outbound, streams: dict[int, Stream]) -> None:
        self.outbound = outbound
        self.streams = streams
        # A window can only be announced smaller than the protocol's default, and until the peer has seen that it may
        # use the default one.
        self._full_window = max(limits.connection_window, DEFAULT_WINDOW)
        self._window = self._full_window
        self._low_window = self._full_window // 2
        self._reserve = reserve
        self._reserved = 0
        self._arrived = 0  # bytes of DATA up to the last time that the window was given back
        self.crowded = False

    def _top_up(self, window: int) -> int:
        """Give back what has been used of the window, if it may be; the window then."""
        if window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        used = self._full_window - window
        if not self._has_room(used):
            self._low_window = _NEVER
            return window
        self._low_window = self._full_window // 2
        if used:
            self._arrived += used
            self.outbound.answer(frames.window_update_frame(0, used))
        return self._full_window

    def relax(self) -> None:
        """Look whether there is room (again). Not from inside the loop over frames, which has the window in hand."""
        if self._window >= 0:  # below, the peer has broken the rules, and the connection is ending
            self._window = self._top_up(self._window)

    def _has_room(self, used: int) -> bool:
        """Whether what the connection holds is within its own share, or the reserve has the rest of it."""
        outbound = self.outbound
        held = self._arrived + used - outbound.taken - outbound.lent_bytes
        if not self._peer_is_server:
            held += outbound.pending_bytes
        if held > self._full_window // 2:
            held += sum(MESSAGE_OVERHEAD_BYTES * len(s.inbox) + s.overhead for s in self.streams.values())
        if held > self._full_window and not self._peer_is_server:
            held -= self._largest_answer()
        over = max(0, held - self._full_window)
        if over or self._reserved:
            self._reserved = self._reserve.adjust(self._reserved, over)
        self.crowded = self._reserved < over
        return not self.crowded

    def _largest_answer(self) -> int:
        """Bytes of the largest answer that waits: one may, whatever its size, and cost no other call its place."""
        return max((len(stream.pending) for stream in self.streams.values() if stream.pending), default=0)

    def release(self) -> None:
        """The connection is over: what it has of the reserve is free again."""
        self._reserved = self._reserve.adjust(self._reserved, 0)
        self.crowded = False

    @property
    def _has_room_for_calls(self) -> bool:
        """Whether a new call may come: its answers may be all that piles up, without any DATA to count them at."""
        if self.crowded or self.outbound.pending_bytes > self._full_window:
            self.relax()
        return not self.crowded
