"""Every setting of the server, declared once: as a field of `Settings`.

A field carries its default as one would type it, how it is read, and why it is there. From that follow its
environment variable (`heartbeat_timeout_s` is HEARTBEAT_TIMEOUT: the unit's suffix falls away), its
command-line option (`--heartbeat-timeout`), and the output of `ride-trio config`. An option wins over the
environment, that over the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from ride_trio.errors import SettingsError
from ride_trio.values import (
    MAX_PORT,
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_distance,
    parse_duration,
    parse_size,
)

_MAX_DURATION_S = 86_400  # a day: nothing here is meant to take longer, so more is a slip of the unit
_MAX_DISTANCE_M = 200_000  # 200 km: farther than any driver comes to a pickup
HEARTBEATS_A_TIMEOUT = 3
_YES = frozenset(("yes", "true", "on", "1"))
_NO = frozenset(("no", "false", "off", "0"))
_TILE_URL = r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?/\S+"
_LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting's text may be.

    Attributes:
        parse: text to value; raises ValueError.
        format: value to text that `parse` reads as the same value.
        allowed: completes "allowed is ..." in an error.
        metavar: stands for the value in a command's help.
        suffix: of the field's name, the unit of the value.
    """

    parse: Callable[[str], Any]
    format: Callable[[Any], str]
    allowed: str
    metavar: str
    suffix: str = ""


def _within(parse: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    def parse_within(text: str) -> float:
        value = parse(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse_within


def _parse_count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(text)
    return int(text)


def _parse_yes_or_no(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError(text)
    return text.lower() in _YES


def _parse_address_or_off(text: str) -> Address | None:
    return None if text in ("", "off") else parse_address(text)


def _parse_log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError(text)
    return text.lower()


def _parse_tiles(text: str) -> str:
    """Its host goes into the page's Content-Security-Policy as it is."""
    if text and not (re.fullmatch(_TILE_URL, text) and all(name in text for name in ("{z}", "{x}", "{y}"))):
        raise ValueError(text)
    return text


def _count(high: int) -> Kind:
    return Kind(_within(_parse_count, 1, high), str, f"a whole number from 1 to {high}", "N")


_ADDRESS = Kind(parse_address, str, f"HOST:PORT, :PORT or [IPV6]:PORT with a port from 0 to {MAX_PORT}", "HOST:PORT")
_ADDRESS_OR_OFF = Kind(
    _parse_address_or_off, lambda address: str(address or "off"), f"{_ADDRESS.allowed}, or off", "HOST:PORT|off"
)
_DURATION = Kind(
    _within(parse_duration, 1e-9, _MAX_DURATION_S),
    format_duration,
    "a duration above 0 and up to 24h, such as 250ms, 5s or 1m30s",
    "DURATION",
    "_s",
)
_DURATION_OR_ZERO = Kind(
    _within(parse_duration, 0, _MAX_DURATION_S),
    format_duration,
    "a duration from 0s to 24h, such as 250ms, 5s or 1m30s",
    "DURATION",
    "_s",
)
_DISTANCE_M = Kind(
    _within(parse_distance, 1, _MAX_DISTANCE_M),
    lambda metres: f"{metres:.12g}m",
    "a distance from 1m to 200km, such as 5000, 5000m or 5km",
    "DISTANCE",
    "_m",
)
_SIZE = Kind(
    _within(parse_size, 1_024, 2**30),
    format_size,
    "a size from 1KiB to 1GiB, such as 65536, 10MB or 10MiB",
    "SIZE",
    "_bytes",
)
_LARGE_SIZE = Kind(
    _within(parse_size, 2**25, 2**36),
    format_size,
    "a size from 32MiB to 64GiB, such as 64MiB or 2GiB",
    "SIZE",
    "_bytes",
)
_TEXT = Kind(str, str, "any text; empty switches it off", "TEXT")
_PATH = Kind(str, str, "a path; empty switches it off", "PATH")
_TILES = Kind(
    _parse_tiles, str, "http:// or https://, a host, and a path with {z}, {x} and {y}; empty switches it off", "URL"
)
_YES_OR_NO = Kind(_parse_yes_or_no, lambda yes: "yes" if yes else "no", "yes or no", "YES|NO")
_LOG_LEVEL = Kind(_parse_log_level, str, "one of " + ", ".join(_LOG_LEVELS), "LEVEL")


def _setting(default: str, kind: Kind, reason: str) -> Any:
    """A field of `Settings`: its default as text, its kind, and what it is for."""
    return field(default=kind.parse(default), metadata={"default": default, "kind": kind, "reason": reason})


def default_data_dir() -> Path:
    """Under the user's data home (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "ride-trio"


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings. Built directly, it is not checked; `load_settings` checks."""

    grpc_listen_addr: Address = _setting(":7443", _ADDRESS, "where gRPC clients connect")
    http_listen_addr: Address | None = _setting(
        ":8080", _ADDRESS_OR_OFF, "where browsers and WebSocket clients connect"
    )
    metrics_listen_addr: Address = _setting(":9090", _ADDRESS, "where Prometheus reads /metrics")
    max_sessions: int = _setting("1200000", _count(10_000_000), "live sessions; a ceiling, the next one is refused")
    outbound_buffer: int = _setting("256", _count(65_536), "messages waiting for one session before some are dropped")
    heartbeat_interval_s: float = _setting("5s", _DURATION, "how often a client is told to say something")
    heartbeat_timeout_s: float = _setting("15s", _DURATION, "silence after which a session is closed")
    shard_count: int = _setting("64", _count(65_536), "parts of the broker, each with its own lock")
    match_window_s: float = _setting("1s", _DURATION, "how often waiting riders are matched with free drivers")
    match_radius_m: float = _setting("5km", _DISTANCE_M, "how far away a rider's driver may be")
    match_timeout_s: float = _setting("30s", _DURATION, "wait after which a rider hears NO_DRIVER_FOUND")
    shutdown_grace_s: float = _setting("10s", _DURATION_OR_ZERO, "time that calls have to finish when the server stops")
    keepalive_time_s: float = _setting("30s", _DURATION, "quiet on a gRPC connection before it is pinged")
    keepalive_timeout_s: float = _setting("10s", _DURATION, "time a peer has to answer such a ping")
    keepalive_min_ping_interval_s: float = _setting("15s", _DURATION_OR_ZERO, "how often a client may ping")
    max_connection_idle_s: float = _setting(
        "15m", _DURATION_OR_ZERO, "time without a call before a client is sent away; 0s for never"
    )
    max_connection_age_s: float = _setting(
        "0s", _DURATION_OR_ZERO, "age at which a client is sent to connect anew; 0s for never"
    )
    max_connection_age_grace_s: float = _setting("5m", _DURATION_OR_ZERO, "time that its calls then have to finish")
    handshake_timeout_s: float = _setting("10s", _DURATION, "time that a client has for TLS and HTTP/2's handshake")
    max_connections_per_peer: int = _setting("1250", _count(10_000_000), "connections from one address")
    max_concurrent_streams: int = _setting("1000", _count(1_000_000), "calls that a connection may have open")
    max_message_bytes: int = _setting("10MiB", _SIZE, "largest message that is taken")
    grpc_unix_path: str = _setting("", _PATH, "a Unix socket to listen on, too")
    grpc_tls_cert: str = _setting("", _PATH, "PEM file of the certificate for GRPC_LISTEN_ADDR; read again on change")
    grpc_tls_key: str = _setting("", _PATH, "PEM file of its key")
    grpc_tls_client_ca: str = _setting("", _PATH, "PEM file of the authorities whose client certificates are needed")
    grpc_tls_client_names: str = _setting("", _TEXT, "names of clients that may come in, by commas; empty for all")
    auth_jwt_key: str = _setting("", _PATH, "PEM public key, or a secret, that callers' tokens (JWT) are signed with")
    auth_jwt_jwks: str = _setting("", _PATH, "JSON web key set that callers' tokens (JWT) are signed with")
    auth_jwt_issuer: str = _setting("", _TEXT, "what `iss` of such tokens has to be; empty does not look")
    auth_jwt_audience: str = _setting("", _TEXT, "what `aud` of such tokens has to be")
    auth_tokens: str = _setting("", _PATH, "file of callers' tokens: a token and its user a line")
    http_tls_cert: str = _setting("", _PATH, "PEM file of the certificate for HTTP_LISTEN_ADDR; read again on change")
    http_tls_key: str = _setting("", _PATH, "PEM file of its key")
    http_allowed_origins: str = _setting(
        "", _TEXT, "origins of other sites' pages that may connect, by commas, such as https://app.example.org"
    )
    operator_tokens: str = _setting("", _PATH, "file of operators' tokens: a token and its operator's name a line")
    map_tile_url: str = _setting("", _TILES, "where the page's map gets tiles, such as https://host/{z}/{x}/{y}.png")
    reuse_port: bool = _setting("no", _YES_OR_NO, "whether several processes may listen on GRPC_LISTEN_ADDR")
    listen_backlog: int = _setting("4096", _count(65_535), "connections that wait in the kernel to be accepted")
    tcp_user_timeout_s: float = _setting(
        "0s", _DURATION_OR_ZERO, "time that sent bytes may stay unacknowledged; 0s leaves it to the kernel"
    )
    data_dir: str = _setting(
        str(default_data_dir()), Kind(str, str, "a path", "PATH"), "where the log keeps topics; one server's at a time"
    )
    log_segment_bytes: int = _setting("128MiB", _SIZE, "size at which a topic begins a new file")
    log_buffer_bytes: int = _setting("64MiB", _SIZE, "records that wait for the disk before producers have to wait")
    log_cache_bytes: int = _setting("64MiB", _LARGE_SIZE, "records that are kept in memory for consumers")
    log_keep_interval_s: float = _setting("30s", _DURATION, "how often retention and compaction look for work")
    log_locations: bool = _setting("no", _YES_OR_NO, "whether drivers' positions are written to topic ride.locations")
    log_level: str = _setting("info", _LOG_LEVEL, "least severe log line that is written")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings: how it is named, read and explained."""

    name: str  # field of Settings
    default: str  # as one would type it
    kind: Kind
    reason: str

    @property
    def env(self) -> str:
        return self.name.removesuffix(self.kind.suffix).upper()

    @property
    def option(self) -> str:
        return "--" + self.env.lower().replace("_", "-")


SETTINGS = tuple(Setting(f.name, **f.metadata) for f in fields(Settings))


@dataclass(frozen=True, slots=True)
class Resolved:
    """The value of one setting, and where it is from: "default", "env" or "option"."""

    setting: Setting
    text: str
    value: Any
    source: str

    @property
    def canonical(self) -> str:
        """The value as text, which reads as the same value."""
        return self.setting.kind.format(self.value)

    @property
    def given_as(self) -> str:
        """The setting with its value as the operator wrote it, for an error's line."""
        return f"{self.setting.option} {self.text}" if self.source == "option" else f"{self.setting.env}={self.text}"


def resolve(overrides: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Resolved]:
    """Find every setting's value and source.

    Args:
        overrides: values of command-line options, as text, by field name; a name that is no field is an
            error.
        environ: environment variables. An empty one counts as not set.

    Returns:
        By field name, in the order of the table.

    Raises:
        SettingsError: a value is not allowed, or two that don't go together.
    """
    unknown = overrides.keys() - {setting.name for setting in SETTINGS}
    if unknown:
        raise SettingsError("no such setting: " + ", ".join(sorted(unknown)))
    found = {setting.name: _resolve_one(setting, overrides, environ) for setting in SETTINGS}
    _check_together(found)
    return found | _follow_timeout(found)


def load_settings(overrides: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The effective settings. As `resolve`; without `environ` the process's environment counts."""
    found = resolve(overrides or {}, os.environ if environ is None else environ)
    return Settings(**{name: resolved.value for name, resolved in found.items()})


def _resolve_one(setting: Setting, overrides: Mapping[str, str], environ: Mapping[str, str]) -> Resolved:
    text, source = setting.default, "default"
    if setting.name in overrides:
        text, source = overrides[setting.name], "option"
    elif environ.get(setting.env):
        text, source = environ[setting.env], "env"
    try:
        return Resolved(setting, text, setting.kind.parse(text), source)
    except ValueError:
        _refuse(Resolved(setting, text, None, source), f"allowed is {setting.kind.allowed}")


def _check_together(found: Mapping[str, Resolved]) -> None:
    """Refuse values that are each allowed but don't go together.

    Only if both were given: who sets a short timeout for a test need not set what it is compared with, too.
    """
    for longer, shorter in (
        ("heartbeat_timeout_s", "heartbeat_interval_s"),
        ("match_timeout_s", "match_window_s"),
    ):
        if _given(found[longer], found[shorter]) and found[longer].value <= found[shorter].value:
            _refuse(found[longer], f"it must be longer than {found[shorter].given_as}")
    for needed, by in (
        ("grpc_tls_key", "grpc_tls_cert"),
        ("grpc_tls_cert", "grpc_tls_key"),
        ("grpc_tls_cert", "grpc_tls_client_ca"),
        ("grpc_tls_client_ca", "grpc_tls_client_names"),
        ("http_tls_key", "http_tls_cert"),
        ("http_tls_cert", "http_tls_key"),
    ):
        if found[by].value and not found[needed].value:
            _refuse(found[by], f"it needs {found[needed].setting.env}, too")
    sources = [found[name] for name in ("auth_jwt_key", "auth_jwt_jwks", "auth_tokens") if found[name].value]
    if len(sources) > 1:
        _refuse(sources[1], f"{sources[0].given_as} says already whose tokens are accepted")
    for name in ("auth_jwt_issuer", "auth_jwt_audience"):
        if found[name].value and not (found["auth_jwt_key"].value or found["auth_jwt_jwks"].value):
            _refuse(found[name], "it needs AUTH_JWT_KEY or AUTH_JWT_JWKS, too")
    taken: dict[Address, Resolved] = {}
    for resolved in found.values():
        if isinstance(resolved.value, Address) and resolved.value.port:
            first = taken.setdefault(resolved.value, resolved)
            if first is not resolved and _given(first, resolved):
                _refuse(resolved, f"{first.given_as} is the same address")


def _follow_timeout(found: Mapping[str, Resolved]) -> dict[str, Resolved]:
    """Nobody asked for a certain interval: it follows a short timeout, so that two heartbeats may get lost."""
    interval, timeout = found["heartbeat_interval_s"], found["heartbeat_timeout_s"]
    longest_s = timeout.value / HEARTBEATS_A_TIMEOUT
    if interval.source == "default" and interval.value > longest_s:
        return {"heartbeat_interval_s": replace(interval, value=longest_s)}
    return {}


def _given(*both: Resolved) -> bool:
    return all(resolved.source != "default" for resolved in both)


def _refuse(resolved: Resolved, why: str) -> NoReturn:
    shown = "".join(character if character.isprintable() else "?" for character in resolved.given_as)
    raise SettingsError(f"{shown}: {why}")
