"""`ride-trio bench`: measure the engine, each figure beside its peers' from the same run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from ride_trio_cli.exits import fail

app = typer.Typer(help="Measure the engine beside others.", no_args_is_help=True)

_PEERS = ("grpc", "grpclib")  # import names of what the extra `bench` installs


@app.callback()
def bench() -> None:
    """Measure the engine beside others. Exit code 1 if a bench's bound does not hold."""


@app.command()
def rpc(
    messages: Annotated[int, typer.Option(help="Messages that each engine echoes in a round.", min=1)] = 20_000,
    rounds: Annotated[int, typer.Option(help="Times that every engine has its turn.", min=1)] = 5,
) -> None:
    """Server CPU a message on one bidi echo: our engine, grpc.aio, stock purerpc and others; one client for all."""
    _need_peers()
    from ride_trio_loadgen.bench import rpc

    _end(rpc.main(messages, rounds))


@app.command()
def sessions(
    sessions: Annotated[int, typer.Option(help="Connect streams that are held.", min=1)] = 20_000,
    connections: Annotated[int, typer.Option(help="Connections that they share.", min=1)] = 200,
) -> None:
    """Memory a session, CPU a heartbeat, the collector's longest pause: our server, and a bare grpc.aio one."""
    _need_peers()
    from ride_trio_loadgen.bench import sessions as bench_sessions

    _end(bench_sessions.main(sessions, connections))


@app.command("slow-peer")
def slow_peer(
    rounds: Annotated[int, typer.Option(help="Pairs of rounds, without and with slow peers.", min=1)] = 5,
) -> None:
    """Ack times of healthy sessions, without and with peers in their zone that never read."""
    from ride_trio_loadgen.bench import slow_peer

    _end(slow_peer.main(rounds))


def _need_peers() -> None:
    missing = [name for name in _PEERS if find_spec(name) is None]
    if missing:
        fail(f"{', '.join(missing)} not installed: pip install 'ride-trio[bench]'")


def _end(bound_holds: bool) -> None:
    if not bound_holds:
        fail("the bound of this bench does not hold")
