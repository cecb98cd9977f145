"""How a command ends when it can't go on: one line on standard error and an exit code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn, TypeVar

import typer

from ride_trio.values import Address, parse_address, parse_duration

EXIT_FAILED = 1  # it ran, or began to, and something went wrong
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells report it: 128 + SIGINT
EXIT_USAGE = 2  # it was called with something that is not allowed; the code that typer uses for that, too

Value = TypeVar("Value")


def fail(message: str) -> NoReturn:
    """End the command: something went wrong."""
    _end(message, EXIT_FAILED)


def fail_interrupted(message: str) -> NoReturn:
    """End the command: somebody pressed Ctrl-C."""
    _end(message, EXIT_INTERRUPTED)


def fail_usage(message: str) -> NoReturn:
    """End the command: it was called with something that is not allowed."""
    _end(message, EXIT_USAGE)


def _end(message: str, code: int) -> NoReturn:
    typer.echo(f"ride-trio: {message}", err=True)
    raise typer.Exit(code)


def read_duration(option: str, text: str) -> float:
    """The seconds of an option's duration; as `read_option`, and 0 is not allowed."""
    return read_option(option, text, _parse_duration_above_0, "a duration above 0, such as 250ms, 30s or 5m")


def _parse_duration_above_0(text: str) -> float:
    seconds = parse_duration(text)
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


def read_target(text: str) -> Address:
    """The server that `--target` names; as `read_option`. Without a host it is localhost, and port 0 is not allowed."""
    return read_option("--target", text, _parse_target, "HOST:PORT or [IPV6]:PORT, port 1 to 65535")


def _parse_target(text: str) -> Address:
    address = parse_address(text)
    if not address.port:
        raise ValueError(text)
    return Address(address.host or "localhost", address.port)


def read_pair(option: str, text: str) -> tuple[str, str]:
    """The two sides of an option's NAME=VALUE; as `read_option`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        fail_usage(f"{option} {text}: allowed is NAME=VALUE")
    return name, value


def read_option(option: str, text: str, parse: Callable[[str], Value], allowed: str) -> Value:
    """`parse(text)`; a ValueError ends the command, naming option, value and what is allowed."""
    try:
        return parse(text)
    except ValueError:
        fail_usage(f"{option} {text}: allowed is {allowed}")
