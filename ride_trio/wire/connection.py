"""The reading half of a connection: bytes in, events out. No I/O, no clock.

    connection.feed(data)
    while connection.process(): ...         # a bounded pass each time; look at events, ready, outbound between
    socket.send(connection.outbound.take_output())

The loop in `process` is the hot path of the whole server. DATA is handled in it without a frame object, and a
message that lies whole in its frame (nearly all of ours) costs one slice. Everything else goes through a table of
methods. `ServerConnection` and `ClientConnection` add what the two roles do differently: header lists and stream ids.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from ride_trio.wire import frames
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.events import ConnectionEnded, Event, GoAwayReceived, PingAcknowledged, StreamReset
from ride_trio.wire.frames import DATA, DEFAULT_WINDOW, HEADER, HEADER_BYTES, ErrorCode, SettingId
from ride_trio.wire.header_blocks import HeaderBlocks
from ride_trio.wire.headers import Fields
from ride_trio.wire.limits import Limits
from ride_trio.wire.outbound import Outbound
from ride_trio.wire.states import Input, State
from ride_trio.wire.stream import Stream

_GOAWAY = struct.Struct(">LL")
# Streams that we reset and whose late frames are still on their way: they are ignored, not answered (RFC 9113,
# section 5.1, "closed"). As many as a peer may have open; older ones are forgotten.
_REMEMBERED_RESETS: Final = 1_000


class Connection(ABC):
    """What both roles share. Public: `events`, `ready`, `streams`, `outbound`, `fault`, `goaway_sent`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.outbound = Outbound(limits)
        self.streams: dict[int, Stream] = {}
        self.events: list[Event] = []
        self.ready: list[Stream] = []
        self.fault: ConnectionFault | None = None
        self.goaway_sent = False
        self.last_peer_stream_id = 0
        self._buffer = b""
        self._position = 0
        self._window = limits.connection_window
        self._to_credit = 0
        self._stream_threshold = limits.stream_window // 2
        self._headers = HeaderBlocks(limits.max_header_list)
        self.settings_seen = False
        self._resets: dict[int, None] = {}
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_rst_stream,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    def _announce(self, settings: dict[int, int]) -> None:
        """Our SETTINGS, and the connection's window as large as we want it."""
        settings[SettingId.INITIAL_WINDOW_SIZE] = self.limits.stream_window
        settings[SettingId.MAX_HEADER_LIST_SIZE] = self.limits.max_header_list
        self.outbound.control(frames.settings_frame(settings))
        if self._window > DEFAULT_WINDOW:
            self.outbound.control(frames.window_update_frame(0, self._window - DEFAULT_WINDOW))

    def feed(self, data: bytes) -> None:
        """Add received bytes; `process` works through them."""
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0

    def process(self) -> bool:
        """Work through at most `limits.pass_frames` frames.

        Returns:
            True if whole frames may be left: call again, after others have had their turn.
        """
        if self.fault is not None:
            return False
        try:
            return self._pass(self.limits.pass_frames)
        except ConnectionFault as fault:
            self.fail(fault)
            return False

    def _pass(self, budget: int) -> bool:
        buffer = self._buffer
        position, end = self._position, len(buffer)
        streams, unpack = self.streams, HEADER.unpack_from
        while end - position >= HEADER_BYTES:
            high, low, kind, flags, stream_id = unpack(buffer, position)
            length = high << 8 | low
            if length > frames.DEFAULT_FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"frame of {length} bytes")
            start = position + HEADER_BYTES
            stop = start + length
            if stop > end:
                break
            if not budget:
                self._position = position
                return True
            budget -= 1
            position = stop
            stream = streams.get(stream_id)
            if (
                kind == DATA
                and stream is not None
                and flags <= 1
                and self._headers.idle
                and stream.can_receive
            ):
                self._on_data(stream, buffer, start, stop)
                if flags:
                    self._end_stream(stream)
                continue
            self._position = position
            self._on_frame(kind, flags, stream_id & frames.MAX_STREAM_ID, buffer[start:stop])
        self._position = position
        return False

    def _on_data(self, stream: Stream, buffer: bytes, start: int, stop: int) -> None:
        length = stop - start
        self._take_window(length)
        stream.recv_window -= length
        stream.held += length
        if stream.recv_window < 0:
            self._refuse_stream(
                StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window")
            )
            return
        size = length - 5
        # A whole message with compressed-flag 0: the slice is the message.
        if (
            size >= 0
            and stream.partial is None
            and buffer[start : start + 5] == b"\0" + size.to_bytes(4, "big")
        ):
            stream.inbox.append(buffer[start + 5 : stop])
        elif stream.failure is None and length:
            self._assemble(stream, buffer[start:stop])
        if not stream.queued:
            stream.queued = True
            self.ready.append(stream)

    def _assemble(self, stream: Stream, data: bytes) -> None:
        stream.assemble(data, self.limits.max_message)
        shortage = stream.shortage()
        if shortage and not stream.remote_ended:
            self.outbound.lend(stream, shortage)

    def _take_window(self, length: int) -> None:
        """Count DATA against the connection's window, and give it back by halves."""
        self._window -= length
        if self._window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        self._to_credit += length
        if self._to_credit >= self.limits.connection_window // 2:
            self.outbound.control(frames.window_update_frame(0, self._to_credit))
            self._window += self._to_credit
            self._to_credit = 0

    def credit(self, stream: Stream, size: int) -> None:
        """The call has taken messages of `size` bytes on the wire."""
        self.outbound.credit(stream, size, self._stream_threshold)

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self.settings_seen and kind != frames.SETTINGS:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        self._headers.check_next(kind, stream_id)
        try:
            if kind == DATA:
                self._on_uncommon_data(flags, stream_id, payload)
            elif kind in self._handlers:
                self._handlers[kind](flags, stream_id, payload)
        except StreamFault as fault:
            self._refuse_stream(fault)

    def _on_uncommon_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA that is padded, or on a stream that can't take it."""
        stream = self._stream_for(stream_id, "DATA")
        if stream is None:
            self._take_window(len(payload))
            if stream_id not in self._resets:
                raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
            return
        stream.happened(Input.RECV_DATA)
        body = unpad(payload) if flags & frames.PADDED else payload
        self._on_data(stream, body, 0, len(body))
        padding = len(payload) - len(body)
        if padding and stream.state is not State.CLOSED:
            self._take_window(padding)
            stream.recv_window -= padding
            stream.held += padding
            self.credit(stream, padding)
        if flags & frames.END_STREAM and stream.state is not State.CLOSED:
            self._end_stream(stream)

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

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether the stream has never been opened."""

    @abstractmethod
    def _on_header_list(self, stream_id: int, fields: Fields, *, end: bool) -> None:
        """A whole header list has been decoded."""

    def _end_stream(self, stream: Stream) -> None:
        stream.ended_by_peer()
        if not stream.queued:
            stream.queued = True
            self.ready.append(stream)
        self.forget_if_closed(stream)

    def forget_if_closed(self, stream: Stream) -> None:
        """Drop a stream that both sides have ended."""
        if stream.state is State.CLOSED:
            self.streams.pop(stream.id, None)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.PADDED:
            payload = unpad(payload)
        if flags & frames.PRIORITY_FLAG:
            payload = self._headers.skip_priority(stream_id, payload)
        self._header_fragment(stream_id, payload, flags)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._header_fragment(stream_id, payload, flags)

    def _header_fragment(self, stream_id: int, payload: bytes, flags: int) -> None:
        block = self._headers.add(stream_id, payload, flags)
        if block is not None:
            self._on_header_list(stream_id, block.fields, end=block.end_stream)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")
        self._headers.skip_priority(stream_id, payload)

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        stream = self._stream_for(stream_id, "RST_STREAM")
        if stream is not None:
            stream.happened(Input.RECV_RST)
            stream.pending = None
            self.forget_if_closed(stream)
            self.events.append(StreamReset(stream, int.from_bytes(payload, "big"), by_peer=True))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        if flags & frames.ACK:
            return
        self.settings_seen = True
        before = self.outbound.peer.initial_window_size
        self.outbound.peer.apply(payload, from_server=self._peer_is_server)
        self._answer(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._move_windows(self.outbound.peer.initial_window_size - before)

    _peer_is_server = False

    def _move_windows(self, delta: int) -> None:
        """A new INITIAL_WINDOW_SIZE changes the windows of all open streams, below 0 even (section 6.9.2)."""
        if not delta:
            return
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
            self._answer(frames.ping_frame(payload, ack=True))

    def _answer(self, data: bytes) -> None:
        """Queue an answer, as long as the peer takes them."""
        if self.outbound.size > self.limits.max_control_backlog:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not being read")
        self.outbound.control(data)

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

    def _refuse_stream(self, fault: StreamFault) -> None:
        """Answer a stream's fault with RST_STREAM."""
        stream = self.streams.get(fault.stream_id)
        if stream is None:
            self._remember_reset(fault.stream_id)
            self._answer(frames.rst_stream_frame(fault.stream_id, fault.code))
            return
        self.reset(stream, fault.code)
        self.events.append(StreamReset(stream, fault.code, by_peer=False, reason=fault.message))

    def _remember_reset(self, stream_id: int) -> None:
        self._resets[stream_id] = None
        if len(self._resets) > _REMEMBERED_RESETS:
            del self._resets[next(iter(self._resets))]

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream with RST_STREAM; nothing happens if it is closed already."""
        if stream.state is State.CLOSED or stream.state is State.IDLE:
            return
        self.outbound.reset(stream, code)
        self._remember_reset(stream.id)
        self.streams.pop(stream.id, None)

    def fail(self, fault: ConnectionFault) -> None:
        """Give the connection up: GOAWAY is queued, further input is ignored."""
        self.fault = fault
        self.goaway(fault.code, fault.message)
        self.events.append(ConnectionEnded(fault))

    def goaway(self, code: ErrorCode = ErrorCode.NO_ERROR, message: str = "") -> None:
        """Tell the peer to open no more streams; those it has opened go on."""
        self.goaway_sent = True
        self.outbound.control(frames.goaway_frame(self.last_peer_stream_id, code, message.encode()))


def unpad(payload: bytes) -> bytes:
    """The payload of a PADDED frame without its padding (RFC 9113, section 6.1).

    Raises:
        ConnectionFault: The padding is longer than the frame.
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]
