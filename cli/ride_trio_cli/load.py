"""`ride-trio load`: clients that behave like a city, or load the durable log, against a server that runs already."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
import typer

from ride_trio_cli.exits import fail, fail_interrupted, fail_usage, read_duration, read_option, read_target
from ride_trio_cli.interrupts import EndedAtOnceError, interruptible
from ride_trio_cli.report_file import Report, ReportFile, publish

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
    from ride_trio_cli.rides import PlanError, RidesFailedError, RidesPlan, run_with_progress

    if more_traces and not trace:
        fail_usage(f"{more_traces[0]}: a file stands after --trace")
    traces = (*(trace or ()), *(more_traces or ()))
    address = read_target(target)
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
    _conclude(report, json_file, failed=report.failed, interrupted=interrupted)


@app.command()
def log(
    target: Annotated[str, typer.Option(help="The server's gRPC address.", metavar="HOST:PORT")],
    topic: Annotated[str, typer.Option(help="The topic that is produced to and consumed from.", metavar="NAME")],
    partitions: Annotated[int, typer.Option(help="Create the topic with so many, if it is not there.", min=0)] = 0,
    producers: Annotated[
        int, typer.Option(help="Streams that produce; 0 reads the topic from its beginning to its end.", min=0)
    ] = 16,
    in_flight: Annotated[int, typer.Option(help="Records that a producer sends ahead of the answers.", min=1)] = 64,
    record_bytes: Annotated[int, typer.Option(help="Length of each record's value.", metavar="BYTES")] = 1000,
    duration: Annotated[str, typer.Option(help="How long it is produced.", metavar="DURATION")] = "30s",
    acks: Annotated[
        str, typer.Option(help="Answered when queued, when written, or when on disk.", metavar="0|1|all")
    ] = "all",
    rate: Annotated[
        float,
        typer.Option(help="Records a second in all, sent when they are due; 0: as fast as it goes.", metavar="HZ"),
    ] = 0.0,
    consumers: Annotated[
        int, typer.Option(help="Connections that share the partitions and read along; 0: none reads.", min=0)
    ] = 1,
    connections: Annotated[int, typer.Option(help="That the producers share; 0 is one for each.", min=0)] = 0,
    unary: Annotated[bool, typer.Option("--unary", help="A call a record instead of a stream a producer.")] = False,
    idempotent: Annotated[
        bool, typer.Option("--idempotent", help="Send again what a lost connection left without an answer.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the records' random bytes.")] = 1,
    json_file: ReportFile = None,
) -> None:
    """Producers produce, consumers read along; then a report. Exit code 1 if anything went wrong.

    Every record that was acknowledged has to be read, once, in its producer's order, at the offset of its answer.
    Latencies count from when a record was sent or, with --rate, due.

    Ctrl-C stops the producing: what is on its way is waited for, and the report is of the time until then (exit code
    130). A second one ends at once.
    """
    from ride_trio_cli.log_load import LogLoadFailedError, LogPlan, PlanError, parse_acks, run_with_progress

    address = read_target(target)
    try:
        plan = LogPlan(
            target_host=address.host,
            target_port=address.port,
            topic=topic,
            producers=producers,
            record_bytes=record_bytes,
            duration_s=read_duration("--duration", duration),
            in_flight=in_flight,
            acks=read_option("--acks", acks, parse_acks, "0, 1 or all"),
            partitions=partitions,
            rate=rate,
            consumers=consumers,
            connections=connections,
            unary=unary,
            idempotent=idempotent,
            seed=seed,
        )
    except PlanError as error:
        given = {"producers": producers, "consumers": consumers, "record_bytes": record_bytes, "rate": f"{rate:g}"}
        options = " ".join(f"--{field.replace('_', '-')} {given[field]}" for field in error.fields)
        fail_usage(f"{options}: {error.complaint}")
    try:
        report, interrupted = trio.run(interruptible, partial(run_with_progress, plan))
    except LogLoadFailedError as error:
        fail(str(error))
    except EndedAtOnceError:
        fail_interrupted("ended at once, without a report")
    _conclude(report, json_file, failed=report.failed, interrupted=interrupted)


def _conclude(report: Report, json_file: Path | None, *, failed: bool, interrupted: bool) -> None:
    """Publish the report, and end as it says."""
    publish(report, json_file)
    if interrupted:
        fail_interrupted("interrupted: the report is of the time until then")
    if failed:
        fail("the load did not go as it should: see the report")


def _duration_s(text: str | None, *, replay: bool) -> float:
    if text is None:
        return math.inf if replay else _DEFAULT_DURATION_S
    return read_duration("--duration", text)
