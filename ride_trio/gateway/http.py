"""HTTP/1.1 on trio streams, without any idea of what is served.

h11 parses, trio moves the bytes. Everything a client could make us wait for or keep is bounded: the size of a
request's head and body, the time of a request from its connection's last answer to its own, and the number of
connections.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11
import trio

from ride_trio.gateway.messages import Answer, Request
from ride_trio.gateway.replay import ReplayStream
from ride_trio.metrics import HttpMetrics

log = logging.getLogger(__name__)

# Bytes of a request's line and headers: what Prometheus sends is 300, what browsers send seldom 4,000; nginx and
# Apache accept 8,000 a line.
MAX_HEAD_BYTES: Final = 16_384
# Bytes of a request's body that are kept: the one form that there is has a token in it.
MAX_BODY_BYTES: Final = 4_096
# Seconds from one answer to the next, the client's pause included. Prometheus scrapes every 15 to 60 s on a kept
# connection, and simply connects anew where a pause was longer.
REQUEST_TIMEOUT_S: Final = 30.0
# Connections that speak HTTP at once: scrapers, probes, and a browser opens six. With the next one, the one that has
# gone for longest without an answer is closed, so that whoever holds many keeps nobody out.
MAX_CONNECTIONS: Final = 1_024
READ_BYTES: Final = 16_384
# A TLS connection says goodbye, and nobody waits long for it.
CLOSE_S: Final = 1.0

CLOSE: Final = ("connection", "close")
NO_SNIFFING: Final = ("x-content-type-options", "nosniff")
BOTH_DONE: Final = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}

# Takes a connection over, which then speaks another protocol.
Takeover = Callable[[trio.abc.Stream], Awaitable[None]]


class HttpServer:
    """See the module's text.

    Args:
        answer: what a request is answered with, or who takes its connection over.
        metrics: where to count.
        max_connections: that speak HTTP at once.
        max_per_peer: connections of one address, WebSockets among them.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer | Takeover],
        metrics: HttpMetrics,
        max_connections: int = MAX_CONNECTIONS,
        max_per_peer: int = MAX_CONNECTIONS,
    ) -> None:
        self._answer = answer
        self._metrics = metrics
        self._max_connections = max_connections
        self._max_per_peer = max_per_peer
        self._waiting: dict[trio.CancelScope, None] = {}  # a connection each, the longest without an answer first
        self._peers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<HttpServer, {len(self._waiting)} connections>"

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; never raises for what the peer does."""
        peer = _peer(stream)
        self._peers[peer] += 1
        try:
            if self._peers[peer] > self._max_per_peer:
                self._metrics.refused("peer_limit").n += 1
            else:
                await self._serve_all(stream)
        except Exception:
            log.exception("an HTTP connection failed")
        finally:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
            with trio.move_on_after(CLOSE_S), suppress(trio.BrokenResourceError):
                await stream.aclose()

    async def _serve_all(self, stream: trio.abc.Stream) -> None:
        takeover = None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            takeover = await self._serve(stream)
        if takeover is not None:
            await takeover[0](takeover[1])

    async def _serve(self, stream: trio.abc.Stream) -> tuple[Takeover, trio.abc.Stream] | None:
        """Answer requests until the connection ends, or is to be taken over."""
        self._make_room()
        self._metrics.connections.n += 1
        patience = trio.CancelScope()
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
            with patience:
                while connection.our_state is h11.IDLE:
                    patience.deadline = trio.current_time() + REQUEST_TIMEOUT_S
                    self._wait_last(patience)
                    taken_over = await self._serve_request(connection, stream)
                    if taken_over is not None:
                        return taken_over
                    if connection.states == BOTH_DONE:
                        connection.start_next_cycle()
            if trio.current_time() >= patience.deadline and _is_half_asked(connection):
                with trio.move_on_after(CLOSE_S):
                    await self._send(connection, stream, Answer.of(HTTPStatus.REQUEST_TIMEOUT, CLOSE))
            return None
        finally:
            self._waiting.pop(patience, None)
            self._metrics.connections.n -= 1

    async def _serve_request(
        self, connection: h11.Connection, stream: trio.abc.Stream
    ) -> tuple[Takeover, trio.abc.Stream] | None:
        replay = ReplayStream(stream, connection.trailing_data[0])
        try:
            request = await _receive_request(connection, replay)
        except h11.RemoteProtocolError as error:
            if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._send(connection, stream, Answer.of(HTTPStatus(error.error_status_hint), CLOSE))
            return None
        except ValueError:  # HTTP, but a target that is none
            await self._send(connection, stream, Answer.of(HTTPStatus.BAD_REQUEST, CLOSE))
            return None
        if request is None:
            connection.send(h11.ConnectionClosed())
            return None
        answer = self._answer_or_apologize(request)
        if isinstance(answer, Answer):
            await self._send(connection, stream, answer, with_body=request.method != "HEAD")
            return None
        replay.rewind()
        return answer, replay

    def _answer_or_apologize(self, request: Request) -> Answer | Takeover:
        try:
            return self._answer(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return Answer.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL: the server's log says why")

    async def _send(
        self, connection: h11.Connection, stream: trio.abc.Stream, answer: Answer, *, with_body: bool = True
    ) -> None:
        headers = [("date", formatdate(usegmt=True)), ("content-type", answer.content_type), NO_SNIFFING, *answer.extra]
        if answer.status is not HTTPStatus.NOT_MODIFIED:  # it has no body, and a length would be that of the file
            headers.append(("content-length", str(len(answer.body))))
        head = h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase.encode())
        events: list[h11.Event] = [head]
        if with_body and answer.body:
            events.append(h11.Data(data=answer.body))
        events.append(h11.EndOfMessage())
        self._metrics.requests(str(int(answer.status))).n += 1
        await stream.send_all(b"".join(connection.send(event) or b"" for event in events))

    def _make_room(self) -> None:
        """Close who has waited for longest: a request that is honest is read and answered within milliseconds."""
        if len(self._waiting) >= self._max_connections:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.cancel()
            self._metrics.refused("connections").n += 1

    def _wait_last(self, patience: trio.CancelScope) -> None:
        self._waiting.pop(patience, None)
        self._waiting[patience] = None


def _is_half_asked(connection: h11.Connection) -> bool:
    """A request has begun, and nothing of an answer."""
    half = bool(connection.trailing_data[0]) or connection.their_state is h11.SEND_BODY
    return half and connection.our_state in (h11.IDLE, h11.SEND_RESPONSE)


async def _receive_request(connection: h11.Connection, stream: ReplayStream) -> Request | None:
    """The next request, with its body if that is short; None when the peer has closed."""
    head: h11.Request | None = None
    body: bytearray | None = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            stream.forget()  # a request with a body is never one to be handed on
            body = None if body is None or len(body) + len(event.data) > MAX_BODY_BYTES else body + event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return Request.of(head, None if body is None else bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _peer(stream: trio.abc.Stream) -> str:
    """The address of who connects; empty for a stream that has none."""
    socket_stream = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if not isinstance(socket_stream, trio.SocketStream):
        return ""
    try:
        return str(socket_stream.socket.getpeername()[0])
    except OSError:
        return ""  # it has left already
