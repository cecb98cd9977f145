"""`ride-trio load`: clients that behave like a city, against a server that runs already."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
import typer

from ride_trio.values import Address, parse_address
from ride_trio_cli.exits import fail, fail_interrupted, fail_usage, read_duration, read_option
from ride_trio_cli.interrupts import EndedAtOnceError, interruptible
from ride_trio_cli.report_file import ReportFile

app = typer.Typer(help="Load a running server.", no_args_is_help=True)

_DEFAULT_DURATION_S = 30.0  # of a synthetic city; a replay lasts as long as its traces


@app.callback()
def load() -> None:
    """Load a running server."""


@app.command()
def rides(
    target: Annotated[str, typer.Option(help="The server's gRPC address.", metavar="HOST:PORT")],
    drivers: Annotated[int, typer.Option(help="Drivers of the synthetic city.", min=0)] = 100,
    riders: Annotated[int, typer.Option(help="Riders of the synthetic city.", min=0)] = 50,
    duration: Annotated[
        str | None,
        typer.Option(help="How long riders ask (default 30s, or to the end of the traces).", metavar="DURATION"),
    ] = None,
    rate: Annotated[float, typer.Option(help="Positions a second from each session.", metavar="HZ")] = 1.0,
    seed: Annotated[int, typer.Option(help="Which synthetic city: the same seed is the same one.")] = 1,
    trace: Annotated[
        list[Path] | None,
        typer.Option(
            help="Replay a cab instead: lines `latitude longitude occupied unix_time`. Takes several.",
            metavar="FILE...",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    more_traces: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", exists=True, dir_okay=False, hidden=True)
    ] = None,
    speedup: Annotated[float, typer.Option(help="Seconds of the city in a second of the clock.")] = 1.0,
    connections: Annotated[int, typer.Option(help="Connections that the sessions share; 0 is one for 100.", min=0)] = 0,
    match_timeout: Annotated[
        str, typer.Option(help="The server's MATCH_TIMEOUT: how long an answer may take.", metavar="DURATION")
    ] = "30s",
    heartbeat: Annotated[
        str,
        typer.Option(
            help="Time between heartbeats; drivers follow the server's Welcome once they have it.", metavar="DURATION"
        ),
    ] = "5s",
    json_file: ReportFile = None,
) -> None:
    """Drivers drive, riders ask; then a report. Exit code 1 if anything went wrong.

    Ctrl-C stops the asking: everybody leaves, and the report is of the time until then (exit code 130). A second one
    ends at once.
    """
    from ride_trio_cli.rides import PlanError, RidesFailedError, RidesPlan, publish, run_with_progress

    if more_traces and not trace:
        fail_usage(f"{more_traces[0]}: a file stands after --trace")
    traces = (*(trace or ()), *(more_traces or ()))
    address = read_option("--target", target, _parse_target, "HOST:PORT or [IPV6]:PORT, port 1 to 65535")
    try:
        plan = RidesPlan(
            target_host=address.host,
            target_port=address.port,
            drivers=drivers,
            riders=riders,
            duration_s=_duration_s(duration, replay=bool(traces)),
            rate_hz=rate,
            seed=seed,
            traces=traces,
            speedup=speedup,
            connections=connections,
            match_timeout_s=read_duration("--match-timeout", match_timeout),
            heartbeat_s=read_duration("--heartbeat", heartbeat),
        )
    except PlanError as error:
        given = {
            "drivers": f"--drivers {drivers}",
            "riders": f"--riders {riders}",
            "duration_s": f"--duration {duration}",
            "rate_hz": f"--rate {rate:g}",
            "speedup": f"--speedup {speedup:g}",
            "connections": f"--connections {connections}",
            "match_timeout_s": f"--match-timeout {match_timeout}",
            "heartbeat_s": f"--heartbeat {heartbeat}",
        }
        fail_usage(f"{' '.join(given[field] for field in error.fields)}: {error.complaint}")
    try:
        report, interrupted = trio.run(interruptible, partial(run_with_progress, plan))
    except RidesFailedError as error:
        fail(str(error))
    except EndedAtOnceError:
        fail_interrupted("ended at once, without a report")
    publish(report, json_file)
    if interrupted:
        fail_interrupted("interrupted: the report is of the time until then")
    if report.failed:
        fail("the load did not go as it should: see the report")


def _duration_s(text: str | None, *, replay: bool) -> float:
    if text is None:
        return math.inf if replay else _DEFAULT_DURATION_S
    return read_duration("--duration", text)


def _parse_target(text: str) -> Address:
    address = parse_address(text)
    if not address.port:
        raise ValueError(text)
    return Address(address.host or "localhost", address.port)
