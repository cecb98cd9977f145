"""A session's outbound buffer: a bounded memory channel, and behind it a conflated overflow.

    push, push_broadcast ──> [ channel, OUTBOUND_BUFFER places ] ──> pull (by the connection, when it may write)
                                       ^ refilled by pull
                             [ overflow: newest position a sender, and a few messages that may not be lost ]

Fan-out never waits for the slowest peer, and its memory is bounded:

1. A message goes into the channel while that has a free place.
2. Full: the connection is asked to pull at once (it may be able to write after all), then 1 is tried again.
3. Still full: a broadcast joins the overflow, where it replaces an older one of the same sender (dropped,
   `conflated`). When OUTBOUND_BUFFER senders wait there already, the oldest broadcast goes (dropped, `queue_full`).
4. A message that may not be lost joins the overflow too, up to LOSSLESS_PLACES of them; then `push` says no, and its
   caller holds its input or ends the session.

Order: what is in the overflow is newer than all of the channel and ordered by arrival; a replaced broadcast takes the
newest place. The overflow is empty unless the channel is full, so nothing overtakes. Without places for acks in the
overflow, a peer that reads a little slower than its zone talks would never again get an ack, and be thrown out.

Why count free places ourselves: asking the channel costs an exception (0.7 us) when it is full, and 2 us by
`statistics()`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from ride_trio.metrics import Count, Histogram

# Messages that may not be lost and wait behind a full channel: one ack (the session then holds its input), and what
# the server says by itself in the meantime (a match, a second ack, an error, the goodbye).
LOSSLESS_PLACES: Final = 16


def _nothing() -> None:
    """What a closed outbox wakes."""


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What outboxes count, shared by all sessions of a transport."""

    broadcasts: Count  # handed to the channel
    conflated: Count
    queue_full: Count
    session_ended: Count
    depth: Histogram


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    """An outbox at one moment, in messages."""

    queued: int
    capacity: int
    overflow: int
    lossless_in_overflow: int


class Outbox:
    """See the module's text. Everything is synchronous and for one trio thread.

    Args:
        capacity: places of the channel, messages.
        counts: where to count.

    Attributes:
        free: places of the channel that are free now.
        on_empty: called when all has been pulled, if somebody waits for that; must not call back.
    """

    __slots__ = (
        "_armed",
        "_capacity",
        "_counts",
        "_drain",
        "_drained",
        "_lossless",
        "_overflow",
        "_receive",
        "_send",
        "_serial",
        "_wake",
        "free",
        "on_empty",
    )

    def __init__(self, capacity: int, counts: OutboxCounts) -> None:
        self._send, self._receive = trio.open_memory_channel[bytes](capacity)
        self.free = capacity
        self.on_empty: Callable[[], None] | None = None
        self._capacity = capacity
        self._counts = counts
        self._overflow: OrderedDict[str | int, bytes] | None = None  # str: a sender's; int: may not be lost
        self._lossless = 0
        self._serial = 0
        self._armed = False  # the connection knows that there is something to pull
        self._drained = True  # nothing was pulled since the last time that all was
        self._wake: Callable[[], None] = _nothing
        self._drain: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<Outbox {self.statistics()}>"

    def connect(self, wake: Callable[[], None], drain: Callable[[], None]) -> None:
        """Name who pulls.

        Args:
            wake: called when the outbox stops being empty; it shall have `pull` called until that blocks.
            drain: shall call `pull` right now, as often as the peer can take it.
        """
        self._wake, self._drain = wake, drain

    def push(self, data: bytes) -> bool:
        """Queue a message that may not be lost. False: there is no place for it, it was not taken."""
        if not self.free and not self._make_place():
            return self._push_behind(data)
        self.free -= 1
        self._send.send_nowait(data)
        if not self._armed:
            self._armed = True
            self._wake()
        return True

    def push_broadcast(self, sender: str, data: bytes) -> None:
        """Queue a message of which only the newest a sender matters."""
        if not self.free and not self._make_place():
            self._conflate(sender, data)
            return
        self.free -= 1
        self._send.send_nowait(data)
        self._counts.broadcasts.n += 1
        if not self._armed:
            self._armed = True
            self._wake()

    def has_room(self) -> bool:
        """Whether a caller that can wait may push one more message that may not be lost."""
        return self.free > 0 or self._make_place() or self._lossless == 0

    @property
    def is_empty(self) -> bool:
        """Whether all that was pushed has been pulled."""
        return self.free == self._capacity

    def pull(self) -> bytes | None:
        """The oldest message; None if there is none."""
        if self.free == self._capacity:
            self._armed = False
            self._drained = True
            if self.on_empty is not None:
                self.on_empty()
            return None
        if self._drained:
            self._begin_drain()
        data = self._receive.receive_nowait()
        if self._overflow:
            self._refill(self._overflow)
        else:
            self.free += 1
        return data

    def close(self) -> None:
        """Let go of everything; what nobody pulled is counted as dropped. May be called twice."""
        self._counts.session_ended.n += self._waiting()
        self._overflow = None
        self.free = 0
        self._capacity = 0
        self._lossless = LOSSLESS_PLACES
        self._wake = self._drain = _nothing
        self.on_empty = None
        self._send.close()
        self._receive.close()

    def statistics(self) -> OutboxStatistics:
        """How full it is."""
        return OutboxStatistics(self._capacity - self.free, self._capacity, len(self._overflow or ()), self._lossless)

    def _waiting(self) -> int:
        return self._capacity - self.free + len(self._overflow or ())

    def _begin_drain(self) -> None:
        self._drained = False
        self._counts.depth.observe(self._waiting())

    def _make_place(self) -> bool:
        """Have the peer's connection pull. Not while messages overflow: then it has just shown that it can't."""
        if not self._overflow:
            self._drain()
        return self.free > 0

    def _push_behind(self, data: bytes) -> bool:
        if self._lossless >= LOSSLESS_PLACES:
            return False
        if self._overflow is None:
            self._overflow = OrderedDict()
        self._lossless += 1
        self._serial += 1
        self._overflow[self._serial] = data
        return True

    def _conflate(self, sender: str, data: bytes) -> None:
        overflow = self._overflow
        if overflow is None:
            overflow = self._overflow = OrderedDict()
        if overflow.pop(sender, None) is not None:
            self._counts.conflated.n += 1
        elif len(overflow) - self._lossless >= self._capacity:
            self._drop_oldest(overflow)
        if self._capacity:
            overflow[sender] = data

    def _drop_oldest(self, overflow: OrderedDict[str | int, bytes]) -> None:
        """Drop the oldest broadcast; at most LOSSLESS_PLACES others are before it."""
        oldest = next((key for key in overflow if isinstance(key, str)), None)
        if oldest is not None:
            del overflow[oldest]
            self._counts.queue_full.n += 1

    def _refill(self, overflow: OrderedDict[str | int, bytes]) -> None:
        """Move the oldest of the overflow into the place that has just become free."""
        key, data = overflow.popitem(last=False)
        self._send.send_nowait(data)
        if isinstance(key, int):
            self._lossless -= 1
        else:
            self._counts.broadcasts.n += 1
