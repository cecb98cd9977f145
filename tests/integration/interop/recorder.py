"""A proxy between client and server that notes what an API hides: headers, and which messages were compressed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from ride_trio.wire import frames
from ride_trio.wire.frames import PREFACE, PREFIX, PREFIX_BYTES
from ride_trio.wire.hpack import Decoder


@dataclass
class Side:
    """What one side has said, over all its streams."""

    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    compressed: list[bool] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    _buffer: bytes = b""
    _decoder: Decoder = field(default_factory=lambda: Decoder(1_000_000))
    _messages: dict[int, bytes] = field(default_factory=dict)

    def take(self, data: bytes) -> None:
        self._buffer = (self._buffer + data).removeprefix(PREFACE)
        while len(self._buffer) >= frames.HEADER_BYTES:
            size, kind = int.from_bytes(self._buffer[:3], "big"), self._buffer[3]
            flags, stream = self._buffer[4], int.from_bytes(self._buffer[5:9], "big")
            if len(self._buffer) < 9 + size:
                return
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            self._frame(kind, flags, stream, payload)

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            assert flags & frames.END_HEADERS
            skip = 5 if flags & frames.PRIORITY_FLAG else 0
            self.fields += [(name, value) for name, value, _ in self._decoder.decode(payload[skip:]) or ()]
        elif kind == frames.RST_STREAM:
            self.resets.append(int.from_bytes(payload, "big"))
        elif kind == frames.DATA:
            self._data(stream, payload)

    def _data(self, stream: int, payload: bytes) -> None:
        data = self._messages.pop(stream, b"") + payload
        while len(data) >= PREFIX_BYTES:
            flag, size = PREFIX.unpack_from(data)
            if len(data) < PREFIX_BYTES + size:
                break
            self.compressed.append(bool(flag))
            data = data[PREFIX_BYTES + size :]
        self._messages[stream] = data

    def values(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.fields if found == name]


@dataclass
class Recorder:
    """Listens on `port`; `client` and `server` are what each side has said."""

    port: int
    client: Side = field(default_factory=Side)
    server: Side = field(default_factory=Side)


@asynccontextmanager
async def recording(target: int) -> AsyncIterator[Recorder]:
    """A proxy to a port of this machine."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    recorder = Recorder(listener.socket.getsockname()[1])

    async def pump(source: trio.SocketStream, sink: trio.SocketStream, side: Side) -> None:
        try:
            async for data in source:
                side.take(bytes(data))
                await sink.send_all(data)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def serve(near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", target)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(pump, near, far, recorder.client)
            nursery.start_soon(pump, far, near, recorder.server)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield recorder
        nursery.cancel_scope.cancel()
