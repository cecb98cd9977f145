"""From settings to the two ports that speak HTTP.

HTTP_LISTEN_ADDR ──> HttpServer ──> Site ──> PageFiles, Api, Probes
                                     └─────> WebSockets ──> RideStream
METRICS_LISTEN_ADDR ─> HttpServer ─> Probes
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio

from ride_trio.config import Settings
from ride_trio.eventlog import EventLog
from ride_trio.gateway import Access, Api, HttpServer, Keepalive, PageFiles, Probes, Reports, Site, WebSockets
from ride_trio.gateway.websocket_call import WebSocketCall
from ride_trio.metrics import Metrics
from ride_trio.rpc.auth import TokenError, Tokens
from ride_trio.rpc.tls import TLS_RELOAD_S, Tls, TlsFiles
from ride_trio.services import RideContext, RideStream
from ride_trio.serving import owner
from ride_trio.values import Address

# Scrapers and probes are few.
MAX_METRICS_CONNECTIONS: Final = 64


class Web:
    """The two ports.

    Args:
        settings: the effective ones.
        metrics: what is exposed, and where it counts.
        rides: what sessions share.
        event_log: whose topics the page shows.
        callers: knows callers' tokens; None if nobody needs one.
        operators: knows operators' tokens; None if there are none.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        rides: RideContext,
        event_log: EventLog,
        callers: Tokens | None = None,
        operators: Tokens | None = None,
    ) -> None:
        self._settings = settings
        self._rides = rides
        self._reloads = metrics.http.tls_reloads
        self.probes = Probes(metrics.exposition)
        self._probes_server = HttpServer(self.probes.answer, metrics.http, MAX_METRICS_CONNECTIONS)
        access = _access(settings, operators, open_to_local=callers is None)
        caller = None if callers is None else _caller(callers)
        keepalive = Keepalive(settings.keepalive_time_s, settings.keepalive_timeout_s)
        self.websockets = WebSockets(self._open_session, access, caller, keepalive, metrics.http)
        reports = _reports(settings.map_tile_url, rides, event_log, metrics)
        site = Site(self.probes, access, PageFiles(settings.map_tile_url), Api(reports.paths()), self.websockets)
        self._server = HttpServer(site.answer, metrics.http, max_per_peer=settings.max_connections_per_peer)

    async def start_metrics(self, nursery: trio.Nursery) -> int:
        """Listen on METRICS_LISTEN_ADDR; the port.

        Raises:
            OSError: it cannot be done.
        """
        listeners = await _open(self._settings.metrics_listen_addr, self._settings.listen_backlog)
        await nursery.start(trio.serve_listeners, self._probes_server.serve_stream, listeners)
        return _port(listeners)

    async def start(self, address: Address, nursery: trio.Nursery) -> int:
        """Listen on HTTP_LISTEN_ADDR; the port.

        Raises:
            OSError: it cannot be done, or a certificate cannot be used.
        """
        listeners = await _open(address, self._settings.listen_backlog)
        files = _tls_files(self._settings)
        if files is None:
            await nursery.start(trio.serve_listeners, self._server.serve_stream, listeners)
        else:
            tls = Tls(files, self._reloads, alpn="http/1.1")
            nursery.start_soon(tls.reload_for_ever, TLS_RELOAD_S)
            await nursery.start(trio.serve_listeners, partial(self._serve_encrypted, tls), listeners)
        return _port(listeners)

    async def _serve_encrypted(self, tls: Tls, stream: trio.SocketStream) -> None:
        """It shakes hands when it is read from first, so within a request's time."""
        await self._server.serve_stream(trio.SSLStream(stream, tls.context, server_side=True, https_compatible=True))

    def _open_session(self, call: WebSocketCall, user_id: str | None, may_observe: bool) -> RideStream:
        return RideStream(self._rides, call, user_id, "websocket", may_observe=may_observe)


def _reports(tile_url: str, rides: RideContext, event_log: EventLog, metrics: Metrics) -> Reports:
    return Reports(
        rides.broker,
        rides.dispatcher,
        rides.city,
        rides.chronicle,
        rides.ack_timer,
        event_log,
        metrics,
        rides.now,
        tile_url,
    )


def _access(settings: Settings, operators: Tokens | None, *, open_to_local: bool) -> Access:
    address = settings.http_listen_addr
    return Access(
        None if operators is None else lambda token: owner(operators, token),
        local=open_to_local and address is not None and address.is_loopback,
        secure=bool(settings.http_tls_cert),
        origins=frozenset(name.strip() for name in settings.http_allowed_origins.split(",") if name.strip()),
    )


def _caller(tokens: Tokens) -> Callable[[str], str]:
    def subject(token: str) -> str:
        try:
            return tokens.subject(token)
        except TokenError as error:
            raise ValueError(str(error)) from None

    return subject


# ---------------------------------------------------------------------- sockets


async def _open(address: Address, backlog: int) -> list[trio.SocketListener]:
    listeners = await trio.open_tcp_listeners(address.port, host=address.host or None, backlog=backlog)
    if not address.port:  # each address family got a port of its own: the first one's is told
        for other in listeners[1:]:
            await other.aclose()
        del listeners[1:]
    return listeners


def _port(listeners: list[trio.SocketListener]) -> int:
    port: int = listeners[0].socket.getsockname()[1]
    return port


def _tls_files(settings: Settings) -> TlsFiles | None:
    if not settings.http_tls_cert:
        return None
    return TlsFiles(Path(settings.http_tls_cert), Path(settings.http_tls_key))
