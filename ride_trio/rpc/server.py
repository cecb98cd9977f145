"""The server: a drop-in for `purerpc.Server` that carries the load (see docs/decisions for why)."""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import trio
from purerpc import Service

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.door import Door
from ride_trio.rpc.interceptors import ServerInterceptor, around
from ride_trio.rpc.keepalive import Keepalive
from ride_trio.rpc.listening import Listener, SocketOptions
from ride_trio.rpc.server_link import Around, ServerLink
from ride_trio.rpc.services import Provided, Services
from ride_trio.rpc.tls import TLS_RELOAD_S, TlsFiles
from ride_trio.rpc.transport import StreamTransport, Transport
from ride_trio.wire import Limits
from ride_trio.wire.shared import Shared

log = logging.getLogger(__name__)

# Connections of one address, 20 KB each while they come and idle: 25 MB. A load balancer that hides its clients'
# addresses needs more.
MAX_CONNECTIONS_PER_PEER: Final = 1_250
# After the grace time a cancelled handler still gets to send its status and close.
CANCEL_GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """A server at one moment. `held_bytes`: of the memory that its connections share (see `wire.shared`)."""

    connections: int
    calls: int
    streams: int
    held_bytes: int = 0


class Server:
    """Serves purerpc services over HTTP/2.

    Args:
        port: To listen on; 0 lets the kernel choose, and `port` is then the real one once it listens.
        ssl_context: Encrypts that port; `TlsFiles` are read again when they change.
        host: Address or name to bind; None and "" mean all interfaces, as purerpc does.
        also: Where else to listen.
        options: Of its sockets.
        metrics: Where to count; its own by default.
        limits: Bounds of each connection.
        keepalive: When to ping a quiet client, and when to give it up or send it away.
        interceptors: What runs around every handler, the outermost first (see `interceptors`).
        max_connections_per_peer: Of one address; those beyond are closed at once. None for no bound. Unix sockets do
            not count.
        tls_reload_s: How often changed certificates are looked for.
    """

    def __init__(
        self,
        port: int = 50055,
        ssl_context: ssl.SSLContext | TlsFiles | None = None,
        *,
        host: str | None = None,
        also: Sequence[Listener] = (),
        options: SocketOptions | None = None,
        metrics: EngineMetrics | None = None,
        limits: Limits | None = None,
        keepalive: Keepalive | None = None,
        interceptors: Sequence[ServerInterceptor] = (),
        max_connections_per_peer: int | None = MAX_CONNECTIONS_PER_PEER,
        tls_reload_s: float = TLS_RELOAD_S,
    ) -> None:
        self.port = port
        self.host = host or None
        self._ssl_context = ssl_context
        self._also = tuple(also)
        self.options = options or SocketOptions()
        self._tls_reload_s = tls_reload_s
        self._max_of_a_peer = max_connections_per_peer
        self._of_a_peer: Counter[str] = Counter()
        self.metrics = metrics or EngineMetrics()
        self.limits = limits or Limits()
        self.keepalive = keepalive or Keepalive()
        self._shared = Shared.of(self.limits)
        self._around: Around | None = around(interceptors) if interceptors else None
        self._services = Services(self.metrics)
        self._links: set[ServerLink] = set()
        self.handshakes: set[trio.CancelScope] = set()  # of TLS, under way
        self._accepting: trio.CancelScope | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Server {self.host or '*'}:{self.port}, {len(self._links)} connections>"

    def statistics(self) -> ServerStatistics:
        links = self._links
        return ServerStatistics(
            connections=len(links),
            calls=sum(link.calls for link in links),
            streams=sum(len(link.wire.streams) for link in links),
            held_bytes=self._shared.held_bytes,
        )

    def add_service(
        self,
        service: Service | None = None,
        context_manager: AbstractAsyncContextManager[Service] | None = None,
        setup_fn: Callable[[], Awaitable[Service]] | None = None,
        teardown_fn: Callable[[], Awaitable[None]] | None = None,
        name: str | None = None,
    ) -> None:
        """Add a service, before serving: as it is, from a context manager, or from a setup function.

        Args:
            service: For example `MyServicer().service`.
            context_manager: Gives the service for as long as the server runs.
            setup_fn: Makes the service when the server starts: with `serve_async` or the first `serve_stream`.
            teardown_fn: Called when the server stops: when the last of them is over.
            name: The full service name; taken from the object's `name` if it has one.
        """
        given = [item for item in (service, context_manager, setup_fn) if item is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of service, context_manager and setup_fn")
        name = name or getattr(given[0], "name", None)
        if name is None:
            raise ValueError(f"{given[0]!r} has no name: pass name='package.Service'")
        self._services.providers[name] = context_manager or Provided(service, setup_fn, teardown_fn)

    def serve(self, backend: str | None = None) -> None:
        """Serve until the process is interrupted: `trio.run(server.serve_async)`.

        Args:
            backend: purerpc's parameter; trio is the only one here.
        """
        if backend not in (None, "trio"):
            raise ValueError(f"backend {backend!r}: this server runs on trio only")
        trio.run(self.serve_async)

    async def serve_async(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve until cancelled, or until `shutdown()` is through.

        `task_status.started(port)` is called once connections are accepted; after a `shutdown()` none are any more.

        Raises:
            OSError: It cannot listen at one of its places, or use the files of its certificate.
        """
        if self._closing:
            task_status.started(self.port)
            return
        places = (Listener(self.port, self.host, tls=self._ssl_context), *self._also)
        async with self._services, AsyncExitStack() as stack:
            doors = []
            for place in places:
                listeners = await place.open(self.options)
                stack.callback(place.close, listeners)
                doors.append(Door(self, place, listeners))
            self.port = doors[0].port
            await self._accept(doors, task_status)

    async def _accept(self, doors: list[Door], task_status: trio.TaskStatus[Any]) -> None:
        """Serve whoever comes, until `shutdown()`; connections that live then have their own nursery."""
        async with trio.open_nursery() as nursery, trio.open_nursery() as accepting:
            self._accepting = accepting.cancel_scope
            if self._closing:  # since we have begun
                accepting.cancel_scope.cancel()
            for door in doors:
                if door.tls is not None:
                    accepting.start_soon(door.tls.reload_for_ever, self._tls_reload_s)
                await accepting.start(door.serve, nursery)
            task_status.started(self.port)

    async def serve_stream(self, stream: trio.abc.Stream, peer: str = "memory") -> None:
        """Serve one connection over any trio stream, until it ends."""
        async with self._services:
            await self.serve_transport(StreamTransport(stream, peer))

    def admits(self, host: str) -> bool:
        """Whether one more connection of this address may come; count it then, until `has_left`."""
        if self._max_of_a_peer is not None and self._of_a_peer[host] >= self._max_of_a_peer:
            self.metrics.refused("peer_limit").n += 1
            log.info("a connection of %s is refused: it has %d already", host, self._max_of_a_peer)
            return False
        self._of_a_peer[host] += 1
        return True

    def has_left(self, host: str) -> None:
        """A connection that was admitted is over."""
        self._of_a_peer[host] -= 1
        if not self._of_a_peer[host]:
            del self._of_a_peer[host]

    async def serve_transport(self, transport: Transport, objection: str | None = None) -> None:
        """Serve one connection; with an objection, all its calls are refused for that."""
        services = self._services
        link = ServerLink(
            transport,
            services.methods,
            services.names,
            self.metrics,
            self.limits,
            self.keepalive,
            self._shared,
            self._around,
        )
        link.objection = objection
        self.metrics.accepted.n += 1
        self.metrics.connections.n += 1
        self._links.add(link)
        try:
            if self._closing:
                await transport.aclose()
            else:
                await link.run()
        except* Exception as group:
            # A fault of ours in one connection costs this connection, no other.
            log.exception("connection of %s failed", link.peer, exc_info=group)
        finally:
            self._links.discard(link)
            self.metrics.connections.n -= 1

    async def shutdown(self, grace_s: float) -> None:
        """Stop accepting, say GOAWAY, let calls finish, then cancel them. `serve_async` returns when it is done.

        Args:
            grace_s: Time for the calls to finish by themselves.
        """
        self._closing = True
        if self._accepting is not None:
            self._accepting.cancel()
        for handshake in self.handshakes:
            handshake.cancel()
        links = list(self._links)
        with trio.move_on_after(grace_s + CANCEL_GRACE_S):
            async with trio.open_nursery() as outer:
                outer.start_soon(_cancel_calls_after, grace_s, links)
                async with trio.open_nursery() as inner:
                    for link in links:
                        inner.start_soon(link.drain)
                outer.cancel_scope.cancel()
        for link in links:
            link.close()


async def _cancel_calls_after(grace_s: float, links: list[ServerLink]) -> None:
    await trio.sleep(grace_s)
    for link in links:
        link.cancel_calls("SHUTDOWN: the server is stopping")
