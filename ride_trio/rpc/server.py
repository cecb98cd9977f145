"""The server: a drop-in for `purerpc.Server` that carries the load (see docs/decisions for why)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

import trio
from purerpc import Service

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.keepalive import Keepalive
from ride_trio.rpc.server_link import Around, ServerLink
from ride_trio.rpc.services import Provided, Services
from ride_trio.rpc.transport import SocketTransport, StreamTransport, Transport
from ride_trio.wire import Limits
from ride_trio.wire.shared import Shared

log = logging.getLogger(__name__)

# Connections the kernel may queue before we accept them: a whole city reconnecting at once.
BACKLOG: Final = 4_096
# After the grace time a cancelled handler still gets to send its status and close.
CANCEL_GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """A server at one moment."""

    connections: int
    calls: int
    streams: int


class Server:
    """Serves purerpc services over HTTP/2 without TLS.

    Args:
        port: To listen on; 0 lets the kernel choose, and `port` is then the real one once it listens.
        host: Address or name to bind; None and "" mean all interfaces, as purerpc does.
        metrics: Where to count; its own by default.
        limits: Bounds of each connection.
        keepalive: When to ping a quiet client, and when to give it up.
    """

    def __init__(
        self,
        port: int = 50055,
        *,
        host: str | None = None,
        metrics: EngineMetrics | None = None,
        limits: Limits | None = None,
        keepalive: Keepalive | None = None,
    ) -> None:
        self.port = port
        self.host = host or None
        self.metrics = metrics or EngineMetrics()
        self.limits = limits or Limits()
        self.keepalive = keepalive or Keepalive()
        self._shared = Shared.of(self.limits)
        self._around: Around | None = None
        self._services = Services(self.metrics)
        self._links: set[ServerLink] = set()
        self._accepting: trio.CancelScope | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<Server {self.host or '*'}:{self.port}, {len(self._links)} connections>"

    def statistics(self) -> ServerStatistics:
        links = self._links
        return ServerStatistics(
            len(links), sum(link.calls for link in links), sum(len(link.wire.streams) for link in links)
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

    async def serve_async(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve until cancelled, or until `shutdown()` is through.

        `task_status.started(port)` is called once connections are accepted; after a `shutdown()` none are any more.
        """
        if self._closing:
            task_status.started(self.port)
            return
        async with self._services:
            listeners = await self._listen()
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as self._accepting:
                    if self._closing:  # since we have begun
                        self._accepting.cancel()
                    await trio.serve_listeners(
                        self._serve_socket,
                        listeners,
                        handler_nursery=nursery,
                        task_status=_PortStatus(self, task_status),
                    )

    async def _listen(self) -> list[trio.SocketListener]:
        listeners = await trio.open_tcp_listeners(self.port, host=self.host, backlog=BACKLOG)
        if self.port == 0:
            # IPv4 and IPv6 would each get a port of their own: keep the first, which is IPv4's.
            for extra in listeners[1:]:
                await extra.aclose()
            listeners = listeners[:1]
        self.port = listeners[0].socket.getsockname()[1]
        return listeners

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        await self._serve(SocketTransport(stream))

    async def serve_stream(self, stream: trio.abc.Stream, peer: str = "memory") -> None:
        """Serve one connection over any trio stream, until it ends."""
        async with self._services:
            await self._serve(StreamTransport(stream, peer))

    async def _serve(self, transport: Transport) -> None:
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


class _PortStatus(trio.TaskStatus[Any]):
    """Passes `started` on with the port, which is what purerpc's callers get."""

    def __init__(self, server: Server, status: trio.TaskStatus[Any]) -> None:
        self._server = server
        self._status = status

    def started(self, value: Any = None) -> None:
        self._status.started(self._server.port)
