"""A small HTTP/1.1 server for operators: `/metrics`, `/healthz`, `/readyz`.

h11 parses, trio moves the bytes. Everything a client could make us wait for or keep is bounded: the size of a
request's head, the time of a request from its connection's last answer to its own, and the number of connections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11
import trio

log = logging.getLogger(__name__)

# Bytes of a request's line and headers: what Prometheus sends is 300, what browsers send seldom 4,000; nginx and
# Apache accept 8,000 a line.
MAX_HEAD_BYTES: Final = 16_384
# Seconds from one answer to the next, the client's pause included. Prometheus scrapes every 15 to 60 s on a kept
# connection, and simply connects anew where a pause was longer.
REQUEST_TIMEOUT_S: Final = 30.0
# Connections at once: a few scrapers and probes. The next one is closed at once.
MAX_CONNECTIONS: Final = 64
READ_BYTES: Final = 16_384

BOTH_DONE: Final = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: HTTPStatus
    body: bytes
    content_type: str = PLAIN_TEXT
    extra: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, status: HTTPStatus, *extra: tuple[str, str]) -> Answer:
        """A status with its own name as the text."""
        return cls(status, f"{status.phrase}\n".encode(), extra=extra)


class Gateway:
    """See the module's text.

    Args:
        exposition: makes the body of `/metrics` and its content type.

    Attributes:
        ready: what `/readyz` says: whether new clients should be sent here.
    """

    def __init__(self, exposition: Callable[[], tuple[bytes, str]]) -> None:
        self.ready = False
        self._exposition = exposition
        self._connections = 0

    def __repr__(self) -> str:
        return f"<Gateway ready={self.ready}, {self._connections} connections>"

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; never raises for what the peer does."""
        self._connections += 1
        try:
            async with stream:
                if self._connections <= MAX_CONNECTIONS:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                        await self._serve(stream)
        except Exception:
            log.exception("an HTTP connection failed")
        finally:
            self._connections -= 1

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        with trio.CancelScope() as patience:
            while connection.our_state is h11.IDLE:
                patience.deadline = trio.current_time() + REQUEST_TIMEOUT_S
                await self._serve_request(connection, stream)
                if connection.states == BOTH_DONE:
                    connection.start_next_cycle()

    async def _serve_request(self, connection: h11.Connection, stream: trio.abc.Stream) -> None:
        try:
            request = await _receive_request(connection, stream)
        except h11.RemoteProtocolError as error:
            if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await _send(connection, stream, Answer.of(HTTPStatus(error.error_status_hint)), with_body=True)
            return
        if request is None:
            connection.send(h11.ConnectionClosed())
        else:
            await _send(connection, stream, self._answer(request), with_body=request.method != b"HEAD")

    def _answer(self, request: h11.Request) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return Answer.of(HTTPStatus.METHOD_NOT_ALLOWED, ("allow", "GET, HEAD"))
        match request.target.partition(b"?")[0]:
            case b"/metrics":
                body, content_type = self._exposition()
                return Answer(HTTPStatus.OK, body, content_type)
            case b"/healthz":
                return Answer.of(HTTPStatus.OK)
            case b"/readyz":
                return Answer.of(HTTPStatus.OK if self.ready else HTTPStatus.SERVICE_UNAVAILABLE)
            case _:
                return Answer.of(HTTPStatus.NOT_FOUND)


async def _receive_request(connection: h11.Connection, stream: trio.abc.Stream) -> h11.Request | None:
    """The next request, after its body (which is thrown away); None when the peer has closed."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None


async def _send(connection: h11.Connection, stream: trio.abc.Stream, answer: Answer, *, with_body: bool) -> None:
    headers = [("content-type", answer.content_type), ("content-length", str(len(answer.body))), *answer.extra]
    head = h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase.encode())
    events: list[h11.Event] = [head]
    if with_body:
        events.append(h11.Data(data=answer.body))
    events.append(h11.EndOfMessage())
    await stream.send_all(b"".join(connection.send(event) or b"" for event in events))
