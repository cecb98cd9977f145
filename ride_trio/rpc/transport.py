"""The byte pipes below a connection.

`SocketTransport` is the fast one: it writes without waiting from the end of a scheduler pass. `StreamTransport`
takes any trio stream (memory streams in tests, TLS), which can only be written by a task.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from ride_trio.rpc.tls import PeerIdentity

# One read: as much as a busy connection has for us in a pass, and still quick to allocate.
READ_BYTES: Final = 65_536
# After an error we have told the peer about, wait so long for it to close: a close with unread input would make the
# kernel send a reset that overtakes our GOAWAY.
LINGER_S: Final = 0.5


class Transport(Protocol):
    """What a connection needs. Errors of the pipe are trio.BrokenResourceError or OSError."""

    peer: str
    identity: PeerIdentity | None

    async def read(self) -> bytes:
        """Wait for bytes; empty at the end of the stream."""

    def write_nowait(self, data: bytes | memoryview) -> int:
        """Write what fits without waiting; the number of bytes written."""

    async def write(self, data: bytes) -> None:
        """Write all of it."""

    async def send_eof(self) -> None:
        """Say that no more will be written, where the pipe can."""

    async def aclose(self) -> None:
        """Close, at once."""


class SocketTransport:
    """A TCP or Unix socket of trio's."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._fd = stream.socket.fileno()
        self.peer = _peer_name(stream)
        self.identity: PeerIdentity | None = None

    async def read(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue

    def write_nowait(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            await trio.lowlevel.wait_writable(self._fd)
            view = view[self.write_nowait(view) :]

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._fd = -1  # the number is given to the next socket at once
        await self._stream.aclose()


def _peer_name(stream: trio.SocketStream) -> str:
    try:
        name = stream.socket.getpeername()
    except OSError:
        return "unknown"
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{name}"


def peer_host(peer: str) -> str:
    """The address without its port; all that come by Unix sockets are one."""
    return "unix" if peer.startswith("unix:") else peer.rpartition(":")[0]


class StreamTransport:
    """Any trio stream."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self._stream = stream
        self.peer = peer
        self.identity: PeerIdentity | None = None

    async def read(self) -> bytes:
        return bytes(await self._stream.receive_some(READ_BYTES))

    def write_nowait(self, data: bytes | memoryview) -> int:
        return 0

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


def in_words(error: BaseException) -> str:
    """trio's errors of broken streams often say nothing themselves, but what has caused them does."""
    return str(error) or (in_words(error.__cause__) if error.__cause__ else type(error).__name__)
