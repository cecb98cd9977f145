"""A place where a server listens, while it is open."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from ride_trio.rpc.listening import Listener
from ride_trio.rpc.tls import HandshakeError, Tls, TlsTransport
from ride_trio.rpc.transport import SocketTransport, in_words, peer_host

if TYPE_CHECKING:
    from ride_trio.rpc.server import Server

log = logging.getLogger(__name__)


class Door:
    """A place to listen while it is open: accepts, encrypts if it is to, and hands on.

    Args:
        server: Whose it is.
        place: Where it listens, and with which certificate.
        listeners: Its sockets.
    """

    def __init__(self, server: Server, place: Listener, listeners: list[trio.SocketListener]) -> None:
        self.place = place
        self.tls = Tls(place.tls, server.metrics.tls_reloads) if place.tls is not None else None
        self._server = server
        self._listeners = listeners
        name = listeners[0].socket.getsockname()
        self.port: int = name[1] if isinstance(name, tuple) else 0

    async def serve(self, nursery: trio.Nursery, *, task_status: trio.TaskStatus[Any]) -> None:
        """Accept until cancelled; connections run in `nursery`."""
        await trio.serve_listeners(
            self._serve_socket, self._listeners, handler_nursery=nursery, task_status=task_status
        )

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        transport = SocketTransport(stream)
        try:
            if self.place.path is not None:
                await self._serve(transport)
            else:
                await self._serve_tcp(stream, transport)
        except Exception:
            # A fault of ours in one connection costs this connection, no other.
            log.exception("connection of %s failed", transport.peer)

    async def _serve_tcp(self, stream: trio.SocketStream, transport: SocketTransport) -> None:
        host = peer_host(transport.peer)
        if self._server.admits(host):
            try:
                self._server.options.apply(stream)
                await self._serve(transport)
            finally:
                self._server.has_left(host)

    async def _serve(self, inner: SocketTransport) -> None:
        if self.tls is None:
            await self._server.serve_transport(inner)
            return
        transport = TlsTransport(inner, self.tls.context)
        if await self._shaken_hands(transport):
            objection = self.tls.objection(transport.identity)
            if objection is not None:
                log.info("calls of %s are refused: %s", transport.peer, objection)
            await self._server.serve_transport(transport, objection)

    async def _shaken_hands(self, transport: TlsTransport) -> bool:
        why = "the TLS handshake took too long, or the server stops"
        handshakes = self._server.handshakes
        try:
            with trio.move_on_after(self._server.keepalive.handshake_timeout_s) as scope:
                handshakes.add(scope)
                await transport.shake_hands()
                return True
        except HandshakeError as error:
            why = str(error)
        except (OSError, trio.BrokenResourceError) as error:
            why = f"the connection broke in the TLS handshake: {in_words(error)}"
        finally:
            handshakes.discard(scope)
        self._server.metrics.refused("tls").n += 1
        log.info("connection of %s is refused: %s", transport.peer, why)
        return False
