"""Trio streams that misbehave, and sockets that are connected."""

from __future__ import annotations

import socket

import trio


class HangingStream(trio.abc.HalfCloseableStream):
    """Gives what it was made with, then reads hang; writes are swallowed, or hang as well.

    Args:
        data: What the first reads give.
        swallows: Writes go through.
        close_hangs: Closing takes for ever, unless it is cancelled.
    """

    def __init__(self, data: bytes = b"", *, swallows: bool = False, close_hangs: bool = False) -> None:
        self.data = data
        self.swallows = swallows
        self.close_hangs = close_hangs
        self.closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.data:
            data, self.data = self.data[:max_bytes], self.data[max_bytes:] if max_bytes else b""
            return data
        return await trio.sleep_forever()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if not self.swallows:
            await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.closed = True
        if self.close_hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()


def socket_streams(buffer_bytes: int = 4_096) -> tuple[trio.SocketStream, trio.SocketStream]:
    """A connected pair whose kernel buffers are small, so that they are full soon."""
    pair = socket.socketpair()
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    first, second = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in pair)
    return first, second


class OneWay(trio.abc.Stream):
    """A stream that can only be read, from when it is told."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.broken = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.broken.is_set():
            raise trio.BrokenResourceError("nobody hears this")
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()
