"""What a connection does with the frames that carry no messages, and how it ends streams and itself.

`connection.py` reads the bytes and works on DATA and header lists; here is the rest of RFC 9113, section 6: a method a
frame type, each checking its frame completely before it changes anything.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from ride_trio.wire import frames
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.events import ConnectionEnded, Event, GoAwayReceived, PingAcknowledged, PingReceived, StreamReset
from ride_trio.wire.frames import DEFAULT_WINDOW, PREFIX_BYTES, ErrorCode, SettingId
from ride_trio.wire.header_blocks import HeaderBlocks
from ride_trio.wire.inflow import Inflow
from ride_trio.wire.limits import Limits
from ride_trio.wire.outbound import Outbound
from ride_trio.wire.patience import FRAME_COST, RESET_COST, STREAMS_A_UNIT, Patience
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import CLOSED, IDLE, RECV_RST
from ride_trio.wire.stream import Stream

_GOAWAY: Final = struct.Struct(">LL")
_SETTING_BYTES: Final = 6
# Values of one SETTINGS frame. Six have a meaning; nghttp2 bears as many (CVE-2020-11080: 2,730 are 4 ms of work here).
MAX_SETTINGS: Final = 32
# Calls that have had their time and end in one go: each is a task that runs. Who calls `tick` calls again for more.
GIVE_UP_AT_ONCE: Final = 2
# Streams that we reset and whose late frames are still on their way: they are ignored, not answered (RFC 9113,
# section 5.1, "closed"). As many as a peer may have open; older ones are forgotten.
_REMEMBERED_RESETS: Final = 1_000


# A call that is cancelled is as much work as so many small messages.
RESET_WORK: Final = 8
# gRPC's status number, https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
_RESOURCE_EXHAUSTED: Final = 8


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is half done at one moment: the handshake, a header block (by number, 0 for none), messages by stream."""

    shaking_hands: bool = False
    block: int = 0
    unfinished: frozenset[Stream] = frozenset()


class ControlFrames(Inflow, ABC):
    """The base of `Connection`: see there for the attributes."""

    # What a reset stream costs the peer. A server may refuse and reset as many of our calls as it likes.
    _reset_cost = RESET_COST

    def __init__(self, limits: Limits, shared: Shared) -> None:
        streams: dict[int, Stream] = {}
        super().__init__(limits, shared.reserve, Outbound(limits, shared.loans, streams), streams)
        self.limits = limits
        self.patience = Patience(limits.patience, limits.patience_per_s)
        self.events: list[Event] = []
        self.fault: ConnectionFault | None = None
        self.goaway_sent = False
        self.settings_seen = False
        self.last_peer_stream_id = 0
        self._stream_window = max(limits.stream_window, DEFAULT_WINDOW)
        self._resets: dict[int, None] = {}
        self._forgotten = 0  # no stream above this was reset and is not among them any more
        self._work = 0  # what frames of this pass have cost beyond that of any frame, in frames
        self._headers = HeaderBlocks(limits.max_header_list)
        self._stood = _Standing()
        self._processed = 0  # the last stream id of our GOAWAY

    def _announce(self, settings: dict[int, int]) -> None:
        """Our SETTINGS, and the connection's window as large as we want it."""
        settings[SettingId.INITIAL_WINDOW_SIZE] = self.limits.stream_window
        settings[SettingId.MAX_HEADER_LIST_SIZE] = self.limits.max_header_list
        self.outbound.control(frames.settings_frame(settings))
        if self._full_window > DEFAULT_WINDOW:
            self.outbound.control(frames.window_update_frame(0, self._full_window - DEFAULT_WINDOW))

    @abstractmethod
    def _news_of(self, stream: Stream) -> None:
        """Something has happened that its owner wants to know."""

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether the stream has never been opened."""

    def _stream_for(self, stream_id: int, what: str) -> Stream | None:
        """The stream, or None if it is closed.

        Raises:
            ConnectionFault: Stream 0, or an id that nobody has opened yet.
        """
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream 0")
        stream = self.streams.get(stream_id)
        if stream is None and self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which is idle")
        return stream

    def _spend_work(self, units: int, what: str) -> None:
        """A frame that is as much work as so many: its sender pays for it, and this pass ends sooner."""
        self._work += units
        self.patience.spend(units, what)

    # ------------------------------------------------------------------ frames

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            text = f"PRIORITY of {len(payload)} bytes"
            if stream_id not in self.streams and self._is_idle(stream_id):  # cannot be reset
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, text)
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, text)
        HeaderBlocks.skip_priority(stream_id, payload)

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        stream = self._stream_for(stream_id, "RST_STREAM")
        self.patience.spend(FRAME_COST if stream is None else self._reset_cost, "a stream reset by its opener")
        if stream is not None:
            self._work += RESET_WORK
            stream.happened(RECV_RST)
            self.outbound.drop_pending(stream)
            self.forget_if_closed(stream)
            self.events.append(StreamReset(stream, int.from_bytes(payload, "big"), by_peer=True))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        if flags & frames.ACK:
            if not self.settings_seen:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first SETTINGS are an acknowledgement")
            self._shrink_receive_windows()
            return
        self.settings_seen = True
        values = len(payload) // _SETTING_BYTES
        if values > MAX_SETTINGS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"SETTINGS of {values} values: {MAX_SETTINGS} are borne")
        delta = self.outbound.apply_settings(payload, from_server=self._peer_is_server)
        self.outbound.answer(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._move_send_windows(delta)

    def _shrink_receive_windows(self) -> None:
        """The peer knows our SETTINGS from here on: a stream's window smaller than the default counts (6.9.2)."""
        delta = self._stream_window - self.limits.stream_window
        self._stream_window -= delta
        if delta:
            for stream in self.streams.values():
                stream.full_window -= delta
                stream.recv_window -= delta
                self.outbound.borrow(stream)  # what was enough for a message may not be any more

    def _move_send_windows(self, delta: int) -> None:
        """A new INITIAL_WINDOW_SIZE changes the windows of all open streams, below 0 even (section 6.9.2)."""
        if not delta:
            return
        self._spend_work(len(self.streams) // STREAMS_A_UNIT, "SETTINGS that move the windows of many streams")
        for stream in self.streams.values():
            if not stream.window_moved(delta):
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS overflow a stream's window")
            self.outbound.line_up(stream)
        self.outbound.resume()

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is switched off")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        if flags & frames.ACK:
            self.events.append(PingAcknowledged(payload))
        else:
            self.outbound.answer(frames.ping_frame(payload, ack=True))
            self.events.append(PingReceived())

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        last, code = _GOAWAY.unpack_from(payload)
        self.events.append(GoAwayReceived(last & frames.MAX_STREAM_ID, code, payload[8:]))

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        increment = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if stream_id == 0:
            self._open_connection(increment)
            return
        stream = self._stream_for(stream_id, "WINDOW_UPDATE")
        if not increment:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream is not None:
            if not stream.window_moved(increment):
                raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1")
            self.outbound.line_up(stream)
            self.outbound.resume()

    def _open_connection(self, increment: int) -> None:
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self.outbound.window += increment
        if self.outbound.window > frames.MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window above 2^31-1")
        self.outbound.resume()

    # ------------------------------------------------------------------ time

    @property
    def unsettled(self) -> bool:
        """Something of the peer's is half done, and holds something up: call `tick` every few seconds."""
        return bool(self.outbound.borrowers) or self.crowded or not self.settings_seen or not self._headers.idle

    def tick(self, *, begin: bool = False) -> bool:
        """Whatever stands where it stood at the last call has had its time.

        A header block that is not finished ends the connection, as do SETTINGS that have not come. A message that has
        not come whole while others wait for room, and one that has itself waited for room, end their calls.

        Args:
            begin: Nobody's time has begun before.

        Returns:
            True if there are more such calls: let others have their turn, and call again.
        """
        before = _Standing() if begin else self._stood
        self._stood = now = self._standing()
        overdue: list[Stream] = []
        if before.shaking_hands and now.shaking_hands:
            self.fail(ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no SETTINGS in time"))
        elif now.block and before.block == now.block:
            self.fail(ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block that was not finished in time"))
        elif self.outbound.loans.line:
            overdue = list(before.unfinished & now.unfinished)
            for stream in overdue[:GIVE_UP_AT_ONCE]:
                self._give_up(stream)
        if self.crowded:
            self.relax()
        return len(overdue) > GIVE_UP_AT_ONCE

    def _standing(self) -> _Standing:
        self.outbound.forget_repaid()
        streams = [s for s in self.outbound.borrowers.values() if s.partial is not None and s.failure is None]
        return _Standing(not self.settings_seen, self._headers.open_block, frozenset(streams))

    def _give_up(self, stream: Stream) -> None:
        """Its message is not to come any more; what it had borrowed goes to those who wait."""
        text = f"a message of {stream.needed - PREFIX_BYTES} bytes did not get through in time while others waited, too"
        stream.give_up((_RESOURCE_EXHAUSTED, text))
        self.outbound.loans.drop(stream)
        self.outbound.loans.lend_on()
        self._news_of(stream)

    def release(self) -> None:
        """The connection is over: what it holds of what is shared is free again."""
        super().release()
        for stream in self.streams.values():
            self.outbound.loans.drop(stream)
        self.outbound.loans.lend_on()

    def _refuse_stream(self, fault: StreamFault) -> None:
        """Answer a stream's fault with RST_STREAM, until there are too many (CVE-2025-8671)."""
        self.patience.spend(self._reset_cost, f"a stream that had to be reset: {fault.message}")
        stream = self.streams.get(fault.stream_id)
        if stream is None:
            self._remember_reset(fault.stream_id)
            self.outbound.answer(frames.rst_stream_frame(fault.stream_id, fault.code))
            return
        self.reset(stream, fault.code)
        self.events.append(StreamReset(stream, fault.code, by_peer=False, reason=fault.message))

    def _remember_reset(self, stream_id: int) -> None:
        self._resets[stream_id] = None
        if len(self._resets) > _REMEMBERED_RESETS:
            oldest = next(iter(self._resets))
            del self._resets[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream with RST_STREAM; nothing happens if it is closed already."""
        if stream.state is CLOSED or stream.state is IDLE:
            return
        self.outbound.reset(stream, code)
        self._remember_reset(stream.id)

    def forget_if_closed(self, stream: Stream) -> None:
        """Drop a stream that both sides have ended."""
        if stream.state is CLOSED:
            self.outbound.forget(stream)

    def fail(self, fault: ConnectionFault) -> None:
        """Give the connection up: GOAWAY is queued, further input is ignored."""
        self.fault = fault.with_traceback(None)  # it would hold the input until the garbage collector comes
        self.goaway(fault.code, fault.message)
        self.events.append(ConnectionEnded(fault))

    def announce_goaway(self, message: str = "") -> None:
        """Tell the peer that GOAWAY is coming: those it opens before it hears this are still welcome (section 6.8)."""
        if not self.goaway_sent:
            self.outbound.control(frames.goaway_frame(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR, message.encode()))

    def goaway(self, code: ErrorCode = ErrorCode.NO_ERROR, message: str = "") -> None:
        """Tell the peer to open no more streams; those it has opened go on. A second one never promises more."""
        if not self.goaway_sent:
            self.goaway_sent = True
            self._processed = self.last_peer_stream_id
        self.outbound.control(frames.goaway_frame(self._processed, code, message.encode()))
