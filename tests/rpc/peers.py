"""Peers that do exactly what a test says: our sans-IO half on a memory stream, driven by hand."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ride_trio.rpc import Limits, Server
from ride_trio.wire import ClientConnection, Connection, ErrorCode, ServerConnection, Stream
from ride_trio.wire.events import Event, RequestReceived, TrailersReceived
from ride_trio.wire.frames import PREFIX
from ride_trio.wire.headers import RequestHead, Trailers, response_block, trailers_block

# Windows so large that only the other side's limits count.
OPEN_WIDE = Limits(stream_window=16_000_000, connection_window=16_000_000)


class RawPeer:
    """One end of a connection. Events pile up in `events`."""

    wire: Connection

    def __init__(self, wire: Connection, stream: trio.abc.Stream) -> None:
        self.wire = wire
        self.stream = stream
        self.events: list[Event] = []

    async def send(self, more: bytes = b"") -> None:
        """Write what is queued, and then these bytes."""
        await self.stream.send_all(self.wire.outbound.take_output() + more)

    async def read(self) -> bool:
        """Read once; False at the end of the stream."""
        data = bytes(await self.stream.receive_some(65_536))
        self.wire.feed(data)
        while self.wire.process():
            pass
        self.events += self.wire.events
        self.wire.events = []
        return bool(data)

    async def until(self, done: Callable[[], bool]) -> None:
        """Read, and answer what HTTP/2 wants answered, until something holds."""
        await self.send()
        while not done():
            assert await self.read(), f"the other side has closed; it said {self.events}"
            await self.send()

    async def until_event(self, kind: type[Event]) -> Event:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))

    async def until_closed(self) -> None:
        while await self.read():
            pass


class RawClient(RawPeer):
    """A client, connected to a server of ours."""

    wire: ClientConnection

    def __init__(self, nursery: trio.Nursery, server: Server, limits: Limits = OPEN_WIDE) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, theirs)
        super().__init__(ClientConnection(limits), ours)

    async def shake_hands(self) -> RawClient:
        await self.until(lambda: self.wire.settings_seen)
        return self

    def open(self, method: str = "Bidi", *messages: bytes, end: bool = False, timeout_s: float | None = None) -> Stream:
        """Queue a call's start."""
        stream = self.wire.open(RequestHead(f"/test.Echo/{method}", authority="memory", timeout_s=timeout_s))
        for message in messages:
            self.wire.outbound.send_message(stream, message)
        if end:
            self.wire.outbound.end(stream)
        return stream

    async def status(self, stream: Stream) -> Trailers:
        """Read until a call's trailers have come."""

        def trailers() -> list[Trailers]:
            found = [event for event in self.events if isinstance(event, TrailersReceived)]
            return [event.trailers for event in found if event.stream is stream]

        await self.until(lambda: bool(trailers()))
        return trailers()[0]


class RawServer(RawPeer):
    """A server, for a client of ours."""

    wire: ServerConnection

    def __init__(self, stream: trio.abc.Stream, limits: Limits = OPEN_WIDE) -> None:
        super().__init__(ServerConnection(limits), stream)

    async def request(self) -> Stream:
        """Read until the next call has come."""
        await self.until_event(RequestReceived)
        event = next(event for event in self.events if isinstance(event, RequestReceived))
        self.events.remove(event)
        return event.stream

    async def answer(self, stream: Stream, *messages: bytes, code: int | None = 0, message: str = "") -> None:
        """Headers, messages and, with a code, the status."""
        self.wire.outbound.send_headers(stream, response_block())
        for data in messages:
            self.wire.outbound.send_message(stream, data)
        if code is not None:
            self.wire.outbound.end(stream, trailers_block(code, message))
        await self.send()

    async def reset(self, stream: Stream, code: ErrorCode) -> None:
        self.wire.reset(stream, code)
        await self.send()


def framed(message: bytes, length: int | None = None) -> bytes:
    """A gRPC message with its prefix, which may lie."""
    return PREFIX.pack(0, len(message) if length is None else length) + message
