"""The options of every command that talks to a log, and how such a command is run: connected, its errors one line."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import trio
import typer

from ride_trio.values import Address
from ride_trio_cli.exits import fail, fail_interrupted, fail_usage, read_target
from ride_trio_cli.interrupts import EndedAtOnceError, cancellable, interruptible

if TYPE_CHECKING:
    from ride_trio_cli.log_client import LogClient

Value = TypeVar("Value")

DEFAULT_TARGET = "localhost:7443"
_PANEL = "Server"
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "target": (
        Annotated[
            str,
            typer.Option(
                help="The server's gRPC address.",
                metavar="HOST:PORT",
                envvar="RIDE_TRIO_TARGET",
                rich_help_panel=_PANEL,
            ),
        ],
        DEFAULT_TARGET,
    ),
    "token": (
        Annotated[
            str,
            typer.Option(
                help="Bearer token, where the server demands one.",
                metavar="TOKEN",
                envvar="RIDE_TRIO_TOKEN",
                show_default=False,
                rich_help_panel=_PANEL,
            ),
        ],
        "",
    ),
    "ca": (
        Annotated[
            Path | None,
            typer.Option(
                help="Use TLS; the server's certificate has to be signed by an authority in this PEM file.",
                metavar="FILE",
                exists=True,
                dir_okay=False,
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class LogServer:
    """The server that the options name.

    Attributes:
        token: sent with every call; none if it is empty.
        context: encrypts connections; None leaves them as they are.
    """

    address: Address
    token: str = ""
    context: ssl.SSLContext | None = None

    def run(self, work: Callable[[LogClient], Awaitable[Value]]) -> Value:
        """Connect, and return what `work` does. Errors and Ctrl-C end the command, in one line."""
        value: Value = self._run(cancellable, work)
        return value

    def run_until_stopped(self, work: Callable[[LogClient, trio.Event], Awaitable[Value]]) -> tuple[Value, bool]:
        """As `run`, for `work(log, stop)` that returns soon after `stop` is set: at the first Ctrl-C.

        Returns:
            What `work` returned, and whether there was a Ctrl-C. The second one ends the command.
        """
        value, interrupted = self._run(interruptible, work)
        return value, interrupted

    def _run(self, runner: Callable[..., Awaitable[Any]], work: Callable[..., Awaitable[Any]]) -> Any:
        from ride_trio_cli.log_client import LogCallError, with_log

        try:
            return trio.run(runner, partial(with_log, self, work))
        except LogCallError as error:
            fail(str(error))
        except EndedAtOnceError:
            fail_interrupted("interrupted")


def with_log_server(command: Callable[..., None]) -> Callable[..., None]:
    """Make a typer command of `command(server, **own_parameters)`, with options for where the log is.

    Args:
        command: its first parameter is filled with the `LogServer` that the options name.
    """

    def run(*, target: str, token: str, ca: Path | None, **given: Any) -> None:
        server = LogServer(read_target(target), _token(token), None if ca is None else _context(ca))
        command(server, **given)

    signature = inspect.signature(command, eval_str=True, locals={"LogServer": LogServer})
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()][1:]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return run


def _token(text: str) -> str:
    """It travels in a header; what it is is nothing for an error message."""
    token = text.strip()
    if not (token.isascii() and token.isprintable()):
        fail_usage("--token: allowed are printable ASCII characters")
    return token


def _context(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # an ssl.SSLError is one
        fail_usage(f"--ca {ca}: no certificate that can be read, as PEM ({error.strerror or error})")
