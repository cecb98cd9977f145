"""The server's side of a connection: the preface, new streams, requests."""

from __future__ import annotations

from collections import deque
from typing import Final

from ride_trio.wire import headers
from ride_trio.wire.connection import Connection
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.events import RequestReceived, RequestRefused
from ride_trio.wire.fields import Fields, check_fields, content_length
from ride_trio.wire.frames import PREFACE, ErrorCode, SettingId
from ride_trio.wire.header_blocks import required
from ride_trio.wire.headers import NotGrpc, RequestHead
from ride_trio.wire.hpack import FieldList
from ride_trio.wire.limits import Limits
from ride_trio.wire.patience import FRAME_COST
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import RECV_HEADERS
from ride_trio.wire.stream import ENCODINGS, Stream

# Ids that a client has jumped over are closed without ever having been open, and using one has an error code of its
# own. No client does; a hundred jumps are remembered.
_REMEMBERED_JUMPS: Final = 100
# gRPC status numbers, https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
_UNIMPLEMENTED: Final = 12
_INTERNAL: Final = 13


class ServerConnection(Connection):
    """One accepted connection. Construction queues our SETTINGS."""

    def __init__(self, limits: Limits, shared: Shared | None = None) -> None:
        super().__init__(limits, shared)
        self._preface_missing = len(PREFACE)
        self._jumps: deque[range] = deque(maxlen=_REMEMBERED_JUMPS)
        self._announce({SettingId.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams})

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if self._preface_missing and self.fault is None:
            self._read_preface()

    def _read_preface(self) -> None:
        """Compare what there is of the preface at once: a wrong client gets its answer without waiting."""
        got = self._buffer[: len(PREFACE)]
        if not PREFACE.startswith(got):
            self.fail(ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 connection preface"))
        elif len(got) == len(PREFACE):
            self._position = len(PREFACE)
            self._preface_missing = 0

    def process(self, budget: int = 0) -> bool:
        return not self._preface_missing and super().process(budget)

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id % 2 == 0 or stream_id > self.last_peer_stream_id

    def _on_header_list(self, stream_id: int, fields: Fields | None, *, end: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_request_trailers(stream, fields, end=end)
        elif stream_id % 2 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS open stream {stream_id}, which is even")
        elif stream_id > self.last_peer_stream_id:
            self._open(stream_id, fields, end=end)
        else:
            self._on_late_headers(stream_id)

    def _on_late_headers(self, stream_id: int) -> None:
        """HEADERS on a closed stream: on their way when we reset it, or the client uses its number twice."""
        text = f"HEADERS on stream {stream_id}, which is closed"
        if stream_id in self._resets:
            self.patience.spend(FRAME_COST, text)
        elif stream_id <= self._forgotten:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, text)
        else:
            never = any(stream_id in jump for jump in self._jumps)
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR if never else ErrorCode.STREAM_CLOSED, text)

    def _open(self, stream_id: int, fields: Fields | None, *, end: bool) -> None:
        if stream_id > self.last_peer_stream_id + 2:
            self._jumps.append(range(self.last_peer_stream_id + 1, stream_id))
        self.last_peer_stream_id = stream_id
        if len(self.streams) >= self.limits.max_concurrent_streams or self._piles_up or self.goaway_sent:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many streams, or output, or going away")
        fields = required(stream_id, fields)
        stream = Stream(stream_id, self._stream_window, self.outbound.peer.initial_window_size)
        stream.happened(RECV_HEADERS)
        stream.flows = True
        self.streams[stream_id] = stream
        try:
            head = self._read_request(stream_id, fields)
        except NotGrpc as refusal:
            self._expect(stream, content_length(stream_id, fields))
            self._answer_http(stream, refusal)
        except ValueError as error:
            self.events.append(RequestRefused(stream, _INTERNAL, str(error)))
        else:
            self._expect(stream, head.content_length)
            self._on_request(stream, head)
        if end:
            self._end_stream(stream)

    @staticmethod
    def _read_request(stream_id: int, fields: Fields) -> RequestHead:
        """What the list says; of one that was seen before, what was read then."""
        if not isinstance(fields, FieldList):
            return headers.parse_request(stream_id, fields)
        if not isinstance(fields.read, RequestHead):
            fields.read = headers.parse_request(stream_id, fields)
        return fields.read

    def _expect(self, stream: Stream, size: int | None) -> None:
        if size is not None:
            stream.expected = size
            stream.flows, stream.counted = False, True

    def _on_request(self, stream: Stream, head: RequestHead) -> None:
        stream.encoding = head.encoding
        objection = _objection(head)
        if objection is None:
            self.events.append(RequestReceived(stream, head))
        else:
            self.events.append(RequestRefused(stream, _UNIMPLEMENTED, objection))

    @property
    def _piles_up(self) -> bool:
        """Statuses go out whatever waits already; so a peer that does not read gets no new calls."""
        limits = self.limits
        return self.outbound.size > limits.write_high_water + limits.max_control_backlog or not self._has_room_for_calls

    def _on_request_trailers(self, stream: Stream, fields: Fields | None, *, end: bool) -> None:
        stream.happened(RECV_HEADERS)
        check_fields(stream.id, required(stream.id, fields), frozenset())
        if not end:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "a second header list without END_STREAM")
        self._end_stream(stream)

    def _answer_http(self, stream: Stream, refusal: NotGrpc) -> None:
        """A short text answer for a request that is not gRPC. Of what else it sends a window is borne, and dropped."""
        body = refusal.text.encode() + b"\n" if refusal.text else b""
        extra = [(b"content-length", b"%d" % len(body))]
        if refusal.status == 405:
            extra.append((b"allow", b"POST"))
        block = headers.http_block(refusal.status, "text/plain; charset=utf-8", extra)
        self.outbound.send_headers(stream, block, end=not body)
        if body:
            self.outbound.send_last(stream, body)
        stream.flows, stream.counted = False, True
        stream.give_up((_UNIMPLEMENTED, "not gRPC"))


def _objection(head: RequestHead) -> str | None:
    """Why a call's messages cannot be read; None if they can."""
    if head.encoding not in ENCODINGS:
        return f"grpc-encoding {head.encoding!r} is not supported: use one of {', '.join(ENCODINGS)}"
    if headers.message_format(head.content_type) != "proto":
        return f"content-type {head.content_type!r} is not supported: messages here are application/grpc+proto"
    return None
