"""How operators write durations, distances and addresses, and what the program makes of it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal

MAX_PORT = 65_535  # a port has 16 bits

# The units that Go's time.ParseDuration knows, since operators of Go services type the same values here.
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DISTANCE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(km|m|)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host` "" is all interfaces; `port` 0 is one that the system picks."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect. A name other than `localhost` is not looked up."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_duration(text: str) -> float:
    """Read a duration such as `5s`, `250ms`, `1m30s`, `1.5h` (or plain `0`).

    Returns:
        Seconds, zero or more.

    Raises:
        ValueError: for anything else.
    """
    parts = _DURATION_PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not text:
        if text == "0":
            return 0.0
        raise ValueError(text)
    return float(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in parts) / 1_000_000_000)


def format_duration(seconds: float) -> str:
    """Write seconds as `parse_duration` reads them, in the largest unit that keeps the number whole."""
    nanoseconds = round(seconds * 1_000_000_000)
    for unit in ("h", "m", "s", "ms", "us"):
        count, rest = divmod(nanoseconds, _NANOSECONDS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0s"


def parse_address(text: str) -> Address:
    """Read `:7443`, `host:7443` or `[::1]:7443`.

    Raises:
        ValueError: for anything else; an IPv6 address needs its brackets.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > MAX_PORT:
        raise ValueError(text)
    if host.startswith("[") and host.endswith("]"):
        return Address(str(ipaddress.IPv6Address(host[1:-1])), int(port))
    if not re.fullmatch(r"[A-Za-z0-9._-]*", host):
        raise ValueError(text)
    return Address(host, int(port))


_SIZE = re.compile(r"([0-9]{1,12})(B|kB|KiB|MB|MiB|GB|GiB)?")
_BYTES: dict[str | None, int] = {
    None: 1,
    "B": 1,
    "kB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
}


def parse_size(text: str) -> int:
    """Read a size such as `65536`, `10MB` or `10MiB`.

    Returns:
        Bytes.

    Raises:
        ValueError: for anything else.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _BYTES[match[2]]


def format_size(size: int) -> str:
    """Write bytes as `parse_size` reads them, in the largest binary unit that keeps the number whole."""
    for unit in ("GiB", "MiB", "KiB"):
        count, rest = divmod(size, _BYTES[unit])
        if count and not rest:
            return f"{count}{unit}"
    return str(size)


def parse_distance(text: str) -> float:
    """Read a distance such as `5000`, `5000m` or `5km`.

    Returns:
        Metres, zero or more.

    Raises:
        ValueError: for anything else.
    """
    match = _DISTANCE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(Decimal(match[1]) * (1000 if match[2] == "km" else 1))
