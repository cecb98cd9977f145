"""Where a server listens: TCP addresses and Unix sockets, with their options."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass

import trio

from ride_trio.rpc.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Options of the sockets that a server listens on and accepts.

    Args:
        backlog: Connections the kernel may queue before we accept them: a whole city reconnecting at once.
        reuse_port: Several processes may listen on one port, and the kernel spreads connections among them
            (SO_REUSEPORT). purerpc's server always sets this; here it is off, so that two by mistake are an error.
        no_delay: Small writes go out at once (TCP_NODELAY). We write once a pass, so there is nothing to gather.
        user_timeout_s: What we have sent may stay unacknowledged so long before the connection is dead
            (TCP_USER_TIMEOUT); None leaves it to the kernel and to keepalive.
    """

    backlog: int = 4_096
    reuse_port: bool = False
    no_delay: bool = True
    user_timeout_s: float | None = None

    def apply(self, accepted: trio.SocketStream) -> None:
        """Set what an accepted TCP connection is to have."""
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.no_delay)
        if self.user_timeout_s is not None:
            milliseconds = round(self.user_timeout_s * 1e3)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


@dataclass(frozen=True, slots=True)
class Listener:
    """One place to listen.

    Args:
        port: TCP port; 0 lets the kernel choose.
        host: Address or name to bind; None and "" mean all interfaces.
        path: A Unix socket's, instead of host and port. One that a dead server has left there is replaced.
        tls: Encrypts it.
    """

    port: int = 0
    host: str | None = None
    path: str | None = None
    tls: TlsFiles | ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"{self.host or '*'}:{self.port}"

    async def open(self, options: SocketOptions) -> list[trio.SocketListener]:
        """Listen.

        Raises:
            OSError: It cannot be done.
        """
        if self.path is not None:
            return [await _open_unix(self.path, options)]
        flags = socket.AI_PASSIVE
        found = await trio.socket.getaddrinfo(self.host or None, self.port, type=socket.SOCK_STREAM, flags=flags)
        if self.port == 0:
            del found[1:]  # IPv4 and IPv6 would each get a port of their own: keep the first
        listeners: list[trio.SocketListener] = []
        try:
            for family, kind, protocol, _, address in found:
                listeners.append(await _open_tcp(family, kind, protocol, address, options))
        except BaseException:
            for listener in listeners:
                listener.socket.close()
            raise
        return listeners

    def close(self, listeners: list[trio.SocketListener]) -> None:
        """Listen no more; a Unix socket leaves no file behind."""
        for listener in listeners:
            listener.socket.close()
        if self.path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self.path)


async def _open_tcp(
    family: int, kind: int, protocol: int, address: object, options: SocketOptions
) -> trio.SocketListener:
    sock = trio.socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        await sock.bind(address)
        sock.listen(options.backlog)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


async def _open_unix(path: str, options: SocketOptions) -> trio.SocketListener:
    await _remove_stale(path)
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await sock.bind(path)
        sock.listen(options.backlog)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


async def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on; anything else that is there stays, and is an error."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, f"there is a file that is no socket: {path}")
    try:
        stream = await trio.open_unix_socket(path)
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        await stream.aclose()
        raise OSError(errno.EADDRINUSE, f"another server listens on {path}")
