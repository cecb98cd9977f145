"""`ride-trio bench`: measure the engine, each figure beside its peers' from the same run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ride_trio_cli.exits import fail, fail_usage

app = typer.Typer(help="Measure the engine beside others.", no_args_is_help=True)

_PEERS = ("grpc", "grpclib")  # import names of what the extra `bench` installs


@app.callback()
def bench() -> None:
    """Measure the engine beside others. Exit code 1 if a bench's bound does not hold."""


@app.command()
def rpc(
    messages: Annotated[int, typer.Option(help="Messages of a row with 100 in flight in a round.", min=100)] = 20_000,
    rounds: Annotated[int, typer.Option(help="Times that every engine has its turn.", min=1)] = 5,
    rows: Annotated[str, typer.Option(help="Rows to measure, with commas between; all by default.")] = "",
    engines: Annotated[str, typer.Option(help="Parts of engines' names, with commas between; all by default.")] = "",
    details: Annotated[bool, typer.Option("--details", help="Show smallest and largest of the rounds, too.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.", dir_okay=False)] = None,
) -> None:
    """Server CPU of echoes, calls, broadcasts; memory: our engine, grpc.aio, purerpc and others; one client for all."""
    _need_peers()
    from ride_trio_loadgen.bench import rpc
    from ride_trio_loadgen.bench.rpc_rows import ENGINES, Scale

    chosen_rows = [_one_of("--rows", name, rpc.ROW_NAMES) for name in _listed(rows)] or rpc.ROW_NAMES
    chosen_engines = [engine for part in _listed(engines) for engine in _named("--engines", part, ENGINES)] or ENGINES
    scale = Scale(messages=messages, rounds=rounds)
    _end(rpc.main(scale, chosen_rows, chosen_engines, details=details, json_file=json))


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


@app.command()
def websockets(
    sockets: Annotated[int, typer.Option(help="WebSockets that are held.", min=1)] = 10_000,
) -> None:
    """Memory an idle WebSocket, CPU a handshake, and whether the server still answers among them."""
    from ride_trio_loadgen.bench import websockets as bench_websockets

    try:
        _end(bench_websockets.main(sockets))
    except ValueError as error:
        fail(str(error))


@app.command()
def attacks(
    only: Annotated[str, typer.Option(help="Parts of attacks' names, with commas between; all by default.")] = "",
    seconds: Annotated[float, typer.Option(help="Length of a round, without and beside each.", min=0.5)] = 2.5,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.", dir_okay=False)] = None,
) -> None:
    """A healthy client's echo times without and beside known attacks, the server's memory, and what it answers."""
    from ride_trio_loadgen.bench import attack_bench
    from ride_trio_loadgen.bench.attacks import ATTACKS

    names = tuple(name for part in _listed(only) for name in _named("--only", part, tuple(ATTACKS)))
    _end(attack_bench.main(names or tuple(ATTACKS), seconds, json))


@app.command()
def soak(
    seconds: Annotated[float, typer.Option(help="How long.", min=10)] = 600.0,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.", dir_okay=False)] = None,
) -> None:
    """Connections and calls that open, idle, reset, half-close and age out, in rush hours: is anything left behind?"""
    from ride_trio_loadgen.bench import soak

    _end(soak.main(seconds, json))


@app.command()
def log(
    rows: Annotated[str, typer.Option(help="Rows to measure, with commas between; all by default.")] = "",
    rounds: Annotated[int, typer.Option(help="Times that every measurement has its turn.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Length of each of its stretches.", min=0.1)] = 5.0,
    details: Annotated[bool, typer.Option("--details", help="Show smallest and largest of the rounds, too.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.", dir_okay=False)] = None,
) -> None:
    """The durable log beside plain appends and syncs, echoes, grpc.aio and bare sends. Its files are below TMPDIR."""
    _need_peers()
    from ride_trio_loadgen.bench import log_bench
    from ride_trio_loadgen.bench.log_setup import Scale

    chosen = [_one_of("--rows", name, log_bench.ROW_NAMES) for name in _listed(rows)] or log_bench.ROW_NAMES
    _end(log_bench.main(Scale(rounds=rounds, seconds=seconds), chosen, details=details, json_file=json))


@app.command("log-long")
def log_long(
    gigabytes: Annotated[float, typer.Option(help="How much is produced; a fifth of it is kept.", min=0.1)] = 5.0,
    rate: Annotated[float, typer.Option(help="Megabytes a second.", min=1)] = 40.0,
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file.", dir_okay=False)] = None,
) -> None:
    """Gigabytes through a topic with retention.bytes: the server's memory, the disk, a consumer's times."""
    from ride_trio_loadgen.bench import log_long

    _end(log_long.main(gigabytes, rate, json))


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _one_of(option: str, name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        fail_usage(f"{option} {name}: allowed are {', '.join(names)}")
    return name


def _named(option: str, part: str, names: tuple[str, ...]) -> list[str]:
    """All names that have this in them."""
    found = [name for name in names if part in name]
    return found or [_one_of(option, part, names)]


def _need_peers() -> None:
    missing = [name for name in _PEERS if find_spec(name) is None]
    if missing:
        fail(f"{', '.join(missing)} not installed: pip install 'ride-trio[bench]'")


def _end(bound_holds: bool) -> None:
    if not bound_holds:
        fail("the bound of this bench does not hold")
