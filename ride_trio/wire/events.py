"""What a connection tells its shell besides "these streams have messages" and "these may write".

Messages are not events: they lie in `stream.inbox`, and the stream shows up once a batch in `Connection.ready`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.headers import RequestHead, ResponseHead, Trailers
from ride_trio.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Server: a call has come in."""

    stream: Stream
    head: RequestHead


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """Server: a gRPC call whose headers cannot be read or met; it wants a status (`code` is its number), no handler."""

    stream: Stream
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """Client: the response's headers."""

    stream: Stream
    head: ResponseHead


@dataclass(frozen=True, slots=True)
class TrailersReceived:
    """Client: the call's status; messages that came before it are in the inbox."""

    stream: Stream
    trailers: Trailers


@dataclass(frozen=True, slots=True)
class StreamReset:
    """A stream is over without an orderly end. `code` is an HTTP/2 error code; `by_peer` says who reset it."""

    stream: Stream
    code: int
    by_peer: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The peer takes no new streams; ours above `last_stream_id` were not processed and may be retried."""

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(frozen=True, slots=True)
class PingReceived:
    """The peer has pinged, and the answer is queued."""


@dataclass(frozen=True, slots=True)
class PingAcknowledged:
    """Our PING with this payload has come back."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The peer broke the rules: write what is queued (a GOAWAY), then close."""

    fault: ConnectionFault


Event = (
    RequestReceived
    | RequestRefused
    | ResponseReceived
    | TrailersReceived
    | StreamReset
    | GoAwayReceived
    | PingReceived
    | PingAcknowledged
    | ConnectionEnded
)
