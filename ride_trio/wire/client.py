"""The client's side of a connection: new calls, responses, trailers."""

from __future__ import annotations

from typing import Final

from ride_trio.wire import headers
from ride_trio.wire.connection import Connection
from ride_trio.wire.errors import ConnectionFault, LocalError, StreamFault
from ride_trio.wire.events import ResponseReceived, TrailersReceived
from ride_trio.wire.fields import Fields
from ride_trio.wire.frames import MAX_STREAM_ID, PREFACE, ErrorCode, SettingId
from ride_trio.wire.header_blocks import required
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.limits import Limits
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import RECV_HEADERS
from ride_trio.wire.stream import Stream

# HTTP/2 has none (RFC 9113, section 8.6).
_SWITCHING_PROTOCOLS: Final = 101


class ClientConnection(Connection):
    """One connection to a server. Construction queues the preface and our SETTINGS."""

    _peer_is_server = True
    _reset_cost = 0

    def __init__(self, limits: Limits, shared: Shared | None = None) -> None:
        super().__init__(limits, shared)
        self._next_stream_id = 1
        self.outbound.control(PREFACE)
        self._announce({SettingId.ENABLE_PUSH: 0})

    @property
    def can_open(self) -> bool:
        """Whether the server lets us open one more stream now."""
        return len(self.streams) < self.outbound.peer.max_concurrent_streams

    def open(self, head: RequestHead) -> Stream:
        """Start a call.

        Raises:
            LocalError: The stream ids of this connection are used up, or metadata is not allowed.
        """
        if self._next_stream_id > MAX_STREAM_ID:
            raise LocalError("the connection's stream ids are used up: open another one")
        block = headers.request_block(head)
        stream = Stream(self._next_stream_id, self._stream_window, self.outbound.peer.initial_window_size)
        self._next_stream_id += 2
        self.streams[stream.id] = stream
        self.outbound.send_headers(stream, block)
        return stream

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id % 2 == 0 or stream_id >= self._next_stream_id

    def _on_header_list(self, stream_id: int, fields: Fields | None, *, end: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which is idle")
            return  # late headers of a call that we have given up
        stream.happened(RECV_HEADERS)
        fields = required(stream_id, fields)
        if stream.flows or stream.counted:
            self._on_trailers(stream, fields, first=False, end=end)
        else:
            self._on_response(stream, fields, end=end)

    def _on_response(self, stream: Stream, fields: Fields, *, end: bool) -> None:
        head = headers.parse_response(stream.id, fields)
        if 100 <= head.http_status < 200:
            if end or head.http_status == _SWITCHING_PROTOCOLS:
                what = f"a response of {head.http_status}{' that ends its stream' if end else ''}"
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, what)
            return  # informational (RFC 9113, section 8.1)
        stream.expected = head.content_length
        stream.flows, stream.counted = stream.expected is None, stream.expected is not None
        stream.encoding = head.encoding
        self.events.append(ResponseReceived(stream, head))
        if end:
            self._on_trailers(stream, fields, first=True, end=True)

    def _on_trailers(self, stream: Stream, fields: Fields, *, first: bool, end: bool) -> None:
        if not end:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
        self.events.append(TrailersReceived(stream, headers.parse_trailers(stream.id, fields, first=first)))
        super()._end_stream(stream)

    def _end_stream(self, stream: Stream) -> None:
        """END_STREAM on DATA: a gRPC server would have sent a status."""
        self.events.append(TrailersReceived(stream, headers.MISSING_TRAILERS))
        super()._end_stream(stream)
