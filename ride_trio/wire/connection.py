"""The reading half of a connection: bytes in, events out. No I/O, no clock.

    connection.feed(data)
    while connection.process(): ...         # a bounded pass each time; look at events, ready, outbound between
    socket.send(connection.outbound.take_output())
    connection.outbound.resume()            # what waited for room goes on

The loop in `_pass` is the hot path of the whole server. DATA is handled in it without a frame object or a call, and a
message that lies whole in its frame (nearly all of ours) costs one slice. Everything else goes through a table of
methods: header lists and uncommon DATA here, the other frames in `control.py`. `ServerConnection` and
`ClientConnection` add what the two roles do differently: what a header list means, and stream ids.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from ride_trio.wire import frames
from ride_trio.wire.control import ControlFrames
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.fields import Fields
from ride_trio.wire.frames import (
    DEFAULT_FRAME_BYTES,
    HEADER_AND_PREFIX,
    HEADER_BYTES,
    MAX_STREAM_ID,
    PREFIX_BYTES,
    ErrorCode,
)
from ride_trio.wire.limits import Limits
from ride_trio.wire.patience import BLOCK_BYTES_A_UNIT, FRAME_COST, FREE_BLOCK_BYTES
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import CLOSED, HALF_CLOSED_LOCAL, RECV_DATA
from ride_trio.wire.stream import Stream

# Behind a frame header at the very end of the buffer, so that it unpacks like all others. Such a frame has no room
# for a message, so these bytes are never taken for a prefix.
_FILLER: Final = bytes(PREFIX_BYTES)
# Frames whose handlers know themselves what they are worth.
_PAID_ELSEWHERE: Final = frozenset((frames.DATA, frames.HEADERS, frames.RST_STREAM))
# Messages that share a frame: so many are as much work as one in a frame of its own.
MESSAGES_A_FRAME: Final = 2
# A call's headers are as much work as so many small messages: decoded, a call made, its task started.
HEADERS_WORK: Final = 6
_HEADER_AND_PREFIX_BYTES: Final = HEADER_BYTES + PREFIX_BYTES


class Connection(ControlFrames):
    """What both roles share.

    Attributes:
        events: What has happened besides messages; whoever reads it empties it.
        ready: Streams with messages, an end or a failure, each once until its `queued` is unset.
        streams: The open ones, by id.
        outbound: The writing half.
        fault: What the peer broke; nothing more is read then.
        goaway_sent: New streams are refused.
        settings_seen: The peer's first SETTINGS have come.
    """

    def __init__(self, limits: Limits, shared: Shared | None = None) -> None:
        super().__init__(limits, shared or Shared.of(limits))
        self.ready: list[Stream] = []
        self._buffer = b""
        self._position = 0
        self._uncut: tuple[Stream, int] | None = None  # whose newest frame is not all cut into messages, and its flags
        self._stream_threshold = max(1, limits.stream_window // 2)

    def feed(self, data: bytes) -> None:
        """Add received bytes; `process` works through them."""
        if self.fault is not None:
            return
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0
        if self.patience.strained:
            self.patience.earn(self.outbound.said)

    def process(self, budget: int = 0) -> bool:
        """Work through a bounded number of frames.

        Args:
            budget: At most so many, fewer of the costlier ones; `limits.pass_frames` by default.

        Returns:
            True if whole frames may be left: call again, after others have had their turn.
        """
        if self.fault is not None:
            return False
        try:
            if self._uncut is not None:
                more = self._cut_on(*self._uncut)
            else:
                more = self._pass(budget or self.limits.pass_frames)
        except ConnectionFault as fault:
            self.fail(fault)
            return False
        if self.crowded:
            self.relax()
        return more

    def _pass(self, budget: int) -> bool:
        buffer, position, window = self._buffer, self._position, self._window
        end = len(buffer)
        streams, ready, headers, unpack = self.streams, self.ready, self._headers, HEADER_AND_PREFIX.unpack_from
        largest, self._work = self.limits.max_message, 0
        while budget > 0:
            budget -= 1
            left = end - position
            if left >= _HEADER_AND_PREFIX_BYTES:
                head, flags, stream_id, compressed, size = unpack(buffer, position)
            elif left >= HEADER_BYTES:
                head, flags, stream_id, compressed, size = unpack(buffer[position:] + _FILLER)
            else:
                break
            length = head >> 8
            start = position + HEADER_BYTES
            stop = start + length
            if length > DEFAULT_FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"frame of {length} bytes")
            if stop > end:
                break
            position = stop
            stream = streams.get(stream_id)
            # DATA, unpadded, on a stream that takes it.
            if stream is not None and not head & 0xFF and flags <= 1 and stream.flows and headers.idle:
                window -= length
                if window <= self._low_window:
                    window = self._top_up(window)
                stream.recv_window -= length
                if stream.recv_window < 0:
                    self._refuse_stream(_over_window(stream))
                    continue
                if size == length - PREFIX_BYTES and size <= largest and not compressed and stream.partial is None:
                    stream.inbox.append(buffer[start + PREFIX_BYTES : stop])
                elif length:
                    before = len(stream.inbox)
                    if self._assemble(stream, buffer[start:stop]):
                        self._uncut, budget = (stream, flags), 0
                        flags = 0
                    budget -= (len(stream.inbox) - before) // MESSAGES_A_FRAME
                elif not flags:
                    self.patience.spend(FRAME_COST, "an empty DATA frame")
                    continue
                if not stream.queued:
                    stream.queued = True
                    ready.append(stream)
                if flags:
                    self._end_stream(stream)
                continue
            self._position, self._window = position, window
            self._on_frame(head & 0xFF, flags, stream_id & MAX_STREAM_ID, buffer[start:stop])
            window = self._window
            budget -= self._work
            self._work = 0
        self._position, self._window = position, window
        return self._uncut is not None or (budget <= 0 and end - position >= HEADER_BYTES)

    def _assemble(self, stream: Stream, data: bytes) -> bool:
        uncut = stream.assemble(data, self.limits.max_message)
        if stream.partial is not None and not uncut:
            self.outbound.borrow(stream)
        return uncut

    def _cut_on(self, stream: Stream, flags: int) -> bool:
        """Go on with a frame of very many messages, unless its stream was reset; True if there is more to do."""
        if stream.state is not CLOSED:
            if self._assemble(stream, b""):
                self._news_of(stream)
                return True
            self._news_of(stream)
            if flags:
                self._end_with_frame(stream)
        self._uncut = None
        return self._position + HEADER_BYTES <= len(self._buffer)

    def _end_with_frame(self, stream: Stream) -> None:
        try:
            self._end_stream(stream)
        except StreamFault as fault:
            self._refuse_stream(fault)

    def credit(self, stream: Stream, size: int) -> None:
        """The call has worked off messages of `size` bytes on the wire."""
        self.outbound.credit(stream, size, self._stream_threshold)
        if self.outbound.loans.line:
            self.outbound.loans.lend_on()
        if self.crowded:
            self.relax()

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self.settings_seen and kind != frames.SETTINGS:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self.outbound.answers > self.limits.max_control_backlog:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not being read")
        self._headers.check_next(kind, stream_id)
        if kind not in _PAID_ELSEWHERE:
            self.patience.spend(FRAME_COST, f"a frame of type {kind}")
        handler = _HANDLERS.get(kind)
        if handler is not None:
            try:
                handler(self, flags, stream_id, payload)
            except StreamFault as fault:
                self._refuse_stream(fault)

    def _on_uncommon_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA that is padded, or on a stream that can't take it: all of it counts against the windows."""
        stream = self._stream_for(stream_id, "DATA")
        body = unpad(payload) if flags & frames.PADDED else payload
        self._window -= len(payload)
        if self._window <= self._low_window:
            self._window = self._top_up(self._window)
        if not body and not flags & frames.END_STREAM:
            self.patience.spend(FRAME_COST, "an empty DATA frame")
        if stream is not None:
            self._take_data(stream, body, len(payload), flags & frames.END_STREAM)
            return
        self.outbound.taken += len(payload)
        if stream_id not in self._resets:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        if not self._peer_is_server:  # what a server sends on, our callers have asked for
            self.patience.spend(FRAME_COST, "DATA on a stream that was reset")

    def _take_data(self, stream: Stream, body: bytes, size: int, end: int) -> None:
        try:
            stream.happened(RECV_DATA)
            if not stream.flows and not stream.counted:
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA before the response's headers")
        except StreamFault:
            self.outbound.taken += size
            raise
        stream.recv_window -= size
        if stream.recv_window < 0:
            raise _over_window(stream)
        stream.expect(len(body))
        if size > len(body):
            self.outbound.credit(stream, size - len(body), self._stream_threshold)
        if self._assemble(stream, body):  # lends again what padding has paid off, before others may have it
            self._uncut, end = (stream, end), 0
            self._work += self.limits.pass_frames  # this pass is over
        self.outbound.loans.lend_on()
        unwanted = stream.owner is None and stream.state is HALF_CLOSED_LOCAL
        if unwanted and stream.recv_window < stream.full_window // 2:
            self.reset(stream, ErrorCode.NO_ERROR)  # it has had its answer, and goes on and on
        else:
            self._news_of(stream)
        if end:
            self._end_stream(stream)

    def _news_of(self, stream: Stream) -> None:
        if not stream.queued:
            stream.queued = True
            self.ready.append(stream)

    def _end_stream(self, stream: Stream) -> None:
        stream.ended_by_peer()
        self.outbound.loans.leave_line(stream)
        self.forget_if_closed(stream)
        self._news_of(stream)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.PADDED:
            payload = unpad(payload)
        if flags & frames.PRIORITY_FLAG:
            payload = self._headers.skip_priority(stream_id, payload)
        self._on_continuation(flags, stream_id, payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._work += HEADERS_WORK
        if len(payload) > FREE_BLOCK_BYTES:
            self._spend_work((len(payload) - FREE_BLOCK_BYTES) // BLOCK_BYTES_A_UNIT, "large header blocks")
        block = self._headers.add(stream_id, payload, flags)
        if block is not None:
            self._on_header_list(stream_id, block.fields, end=block.end_stream)

    @abstractmethod
    def _on_header_list(self, stream_id: int, fields: Fields | None, *, end: bool) -> None:
        """A whole header list has been decoded; None if it is too large (`header_blocks.required`)."""


def _over_window(stream: Stream) -> StreamFault:
    return StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window")


def unpad(payload: bytes) -> bytes:
    """The payload of a PADDED frame without its padding (RFC 9113, section 6.1).

    Raises:
        ConnectionFault: The padding is longer than the frame, or its length is missing.
    """
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the length of its padding")
    if payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]


# One table for all connections: bound methods would tie each of them into a circle.
_HANDLERS: Final[dict[int, Callable[[Connection, int, int, bytes], None]]] = {
    frames.DATA: Connection._on_uncommon_data,
    frames.HEADERS: Connection._on_headers,
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_rst_stream,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}
