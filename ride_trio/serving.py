"""From settings to the gRPC server's parameters, and to who may do what."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from ride_trio.config import Settings
from ride_trio.metrics import EngineMetrics
from ride_trio.rpc import Keepalive, Limits, Listener, Server, SocketOptions, TlsFiles
from ride_trio.rpc.auth import JwtTokens, ListedTokens, TokenError, Tokens, authenticated
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


def operator_tokens(settings: Settings) -> Tokens | None:
    """Who knows operators' tokens; None if there are none.

    Raises:
        OSError: The file cannot be used.
    """
    if not settings.operator_tokens:
        return None
    try:
        return ListedTokens(Path(settings.operator_tokens))
    except ValueError as error:
        raise OSError(f"{settings.operator_tokens}: {error}") from None


def operator_check(
    settings: Settings, callers: Tokens | None, operators: Tokens | None
) -> Callable[[str | None], bool]:
    """Whether a token, or none, is an operator's over gRPC.

    Without operators' tokens it is so for all, if only this machine can connect and nobody needs a token.
    """
    open_to_local = callers is None and settings.grpc_listen_addr.is_loopback

    def is_operator(token: str | None) -> bool:
        return open_to_local if operators is None else token is not None and owner(operators, token) is not None

    return is_operator


def owner(tokens: Tokens, token: str) -> str | None:
    """Whose token it is; None if nobody's."""
    try:
        return tokens.subject(token)
    except TokenError:
        return None


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
