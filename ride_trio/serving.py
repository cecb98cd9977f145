"""From settings to the gRPC server's parameters."""

from __future__ import annotations

import math
from pathlib import Path

from ride_trio.config import Settings
from ride_trio.metrics import EngineMetrics
from ride_trio.rpc import Keepalive, Limits, Listener, Server, SocketOptions, TlsFiles
from ride_trio.rpc.auth import JwtTokens, ListedTokens, Tokens, authenticated
from ride_trio.rpc.interceptors import ServerInterceptor


def grpc_server(settings: Settings, metrics: EngineMetrics, tokens: Tokens | None) -> Server:
    """The server that the settings describe; it has no service yet.

    Args:
        settings: The effective ones.
        metrics: Where it counts.
        tokens: Knows callers' tokens; None if nobody needs one.
    """
    unix = [Listener(path=settings.grpc_unix_path)] if settings.grpc_unix_path else []
    return Server(
        settings.grpc_listen_addr.port,
        _tls(settings),
        host=settings.grpc_listen_addr.host,
        also=unix,
        options=SocketOptions(
            backlog=settings.listen_backlog,
            reuse_port=settings.reuse_port,
            user_timeout_s=settings.tcp_user_timeout_s or None,
        ),
        metrics=metrics,
        limits=Limits(max_concurrent_streams=settings.max_concurrent_streams, max_message=settings.max_message_bytes),
        keepalive=_keepalive(settings),
        interceptors=_interceptors(tokens),
        max_connections_per_peer=settings.max_connections_per_peer,
    )


def _tls(settings: Settings) -> TlsFiles | None:
    if not settings.grpc_tls_cert:
        return None
    names = frozenset(name.strip() for name in settings.grpc_tls_client_names.split(",") if name.strip())
    client_ca = Path(settings.grpc_tls_client_ca) if settings.grpc_tls_client_ca else None
    return TlsFiles(Path(settings.grpc_tls_cert), Path(settings.grpc_tls_key), client_ca, names)


def _keepalive(settings: Settings) -> Keepalive:
    return Keepalive(
        time_s=settings.keepalive_time_s,
        timeout_s=settings.keepalive_timeout_s,
        min_ping_interval_s=settings.keepalive_min_ping_interval_s,
        max_idle_s=settings.max_connection_idle_s or math.inf,
        max_age_s=settings.max_connection_age_s or math.inf,
        max_age_grace_s=settings.max_connection_age_grace_s,
        handshake_timeout_s=settings.handshake_timeout_s,
    )


def _interceptors(tokens: Tokens | None) -> list[ServerInterceptor]:
    return [] if tokens is None else [authenticated(tokens)]


def caller_tokens(settings: Settings) -> Tokens | None:
    """Who knows callers' tokens; None if nobody needs one.

    Raises:
        OSError: A file that a setting names cannot be used.
    """
    path = settings.auth_tokens or settings.auth_jwt_key or settings.auth_jwt_jwks
    if not path:
        return None
    try:
        if settings.auth_tokens:
            return ListedTokens(Path(path))
        return JwtTokens(
            key=Path(path) if settings.auth_jwt_key else None,
            jwks=None if settings.auth_jwt_key else Path(path),
            issuer=settings.auth_jwt_issuer or None,
            audience=settings.auth_jwt_audience or None,
        )
    except ValueError as error:
        raise OSError(f"{path}: {error}") from None
