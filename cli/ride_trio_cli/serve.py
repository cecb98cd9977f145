"""`ride-trio serve`: run the server in the foreground."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Annotated

import trio
import typer

from ride_trio.config import Settings, load_settings
from ride_trio.errors import RideTrioError
from ride_trio_cli.exits import fail

_STDIN_READ_BYTES = 4096  # what comes is thrown away; only the end matters


def serve(
    overrides: dict[str, str],
    stop_with_stdin: Annotated[
        bool, typer.Option("--stop-with-stdin", help="Stop when standard input ends.", hidden=True)
    ] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Prints one line when it is ready: `ready grpc=HOST:PORT metrics=HOST:PORT http=HOST:PORT`. The log goes to
    standard error.
    """
    settings = load_settings(overrides)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    ready = trio.Event()
    try:
        trio.run(_serve, settings, ready, stop_with_stdin)
    except (OSError, RideTrioError, ExceptionGroup) as error:
        cause = None if ready.is_set() else _cause(error)
        if cause is None:
            raise
        fail(f"cannot start: {cause}")


async def _serve(settings: Settings, ready: trio.Event, stop_with_stdin: bool) -> None:
    from ride_trio import app

    async with trio.open_nursery() as nursery:
        if stop_with_stdin:
            nursery.start_soon(_stop_with_stdin)
        async with trio.open_nursery() as server:
            bound = await server.start(app.serve, settings)
            ready.set()
            typer.echo(f"ready grpc={bound.grpc} metrics={bound.metrics} http={bound.http or 'off'}")
        nursery.cancel_scope.cancel()


async def _stop_with_stdin() -> None:
    """Be told of a parent's death even if it was killed: the system then closes the pipe that it held."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
        while await stdin.receive_some(_STDIN_READ_BYTES):
            pass
    signal.raise_signal(signal.SIGTERM)


def _cause(error: Exception) -> str | None:
    """What an operator can act on, if that is all there is: a port in use, a host that is not ours."""
    if isinstance(error, ExceptionGroup):
        return _cause(error.exceptions[0]) if len(error.exceptions) == 1 else None
    if isinstance(error, RideTrioError):
        return error.message
    return str(error) if isinstance(error, OSError) else None
