"""`ride-trio demo`: a server and a city of clients on this machine, for some seconds or until Ctrl-C, then a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import trio
import typer

from ride_trio.config import load_settings
from ride_trio_cli.exits import fail, fail_interrupted, read_duration
from ride_trio_cli.interrupts import EndedAtOnceError, interruptible
from ride_trio_cli.report_file import ReportFile, publish
from ride_trio_cli.server_process import ServerFailedError, server_process

if TYPE_CHECKING:
    from ride_trio_cli.rides import Report, RidesPlan

# Settings that the demo sets itself: only this machine can reach it, no port that is in use is taken, nothing stays.
_ADDRESSES = ("grpc_listen_addr", "http_listen_addr", "metrics_listen_addr")
OWN_SETTINGS = (*_ADDRESSES, "data_dir")
_LOOPBACK = dict.fromkeys(_ADDRESSES, "127.0.0.1:0")
_QUIET = {"log_level": "warning"}  # unless a level is asked for: the report should not drown in the log
_RATE_HZ = 2.0  # positions a second from each driver: lively enough to watch, nothing to a server
_SPEEDUP = 20.0  # the city in fast motion: trips end, and riders ask again, within the seconds of a demo
_KEPT_SPEEDUP = 4.0  # of a city to look at: faster than that, cars leap
_CROWD = (40, 20)  # drivers, riders
_KEPT_CROWD = (120, 50)  # enough that a map is alive everywhere
_FOR_EVER_S = 10 * 365 * 86_400.0
_CONNECTIONS = 4  # several, so that sessions meet across connections
_SPARE_TIME_S = 60.0  # beyond what is asked for: to start, to leave, to stop


def demo(
    overrides: dict[str, str],
    duration: Annotated[str, typer.Option(help="How long the load runs.", metavar="DURATION")] = "10s",
    keep: Annotated[bool, typer.Option("--keep", help="Run until Ctrl-C, as a city to look at.")] = False,
    drivers: Annotated[
        int | None, typer.Option(help="Drivers of the synthetic city.  [40, kept 120]", min=1, show_default=False)
    ] = None,
    riders: Annotated[
        int | None, typer.Option(help="Riders of the synthetic city.  [20, kept 50]", min=1, show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the city's chance; the same seed is the same city.")] = 1,
    json_file: ReportFile = None,
) -> None:
    """Run a server and a load against it, then print a report.

    Binds loopback only, on ports that are free, and says where a browser finds the city. Exit code 0 if nothing went
    wrong and riders were matched. Ctrl-C ends it early with the report of the time until then (exit code 130, with
    --keep as usual), a second one at once.
    """
    from ride_trio_cli.rides import RidesFailedError, RidesPlan

    given = (_QUIET if not os.environ.get("LOG_LEVEL") else {}) | overrides | _LOOPBACK
    settings = load_settings(given)
    plan = RidesPlan(
        target_host="127.0.0.1",
        target_port=0,
        drivers=drivers or (_KEPT_CROWD if keep else _CROWD)[0],
        riders=riders or (_KEPT_CROWD if keep else _CROWD)[1],
        duration_s=_FOR_EVER_S if keep else read_duration("--duration", duration),
        rate_hz=_RATE_HZ,
        seed=seed,
        speedup=_KEPT_SPEEDUP if keep else _SPEEDUP,
        connections=_CONNECTIONS,
        match_timeout_s=settings.match_timeout_s,
        heartbeat_s=settings.heartbeat_interval_s,
        guests=True,
    )
    try:
        with TemporaryDirectory(prefix="ride-trio-demo-") as folder:
            demo_run = partial(_demo, {**given, "data_dir": folder}, settings.shutdown_grace_s, plan)
            (report, exit_code), interrupted = trio.run(interruptible, demo_run)
    except (ServerFailedError, RidesFailedError, trio.TooSlowError) as error:
        fail(str(error) or "the demo took longer than it ever should")
    except EndedAtOnceError:
        fail_interrupted("ended at once, without a report")
    publish(report, json_file)
    if interrupted and not keep:
        fail_interrupted("interrupted: the report is of the time until then")
    _judge(report, exit_code)


async def _demo(given: Mapping[str, str], grace_s: float, plan: RidesPlan, stop: trio.Event) -> tuple[Report, int]:
    """Run server and load; return the report and the server's exit code."""
    from ride_trio_cli.rides import run_with_progress

    with trio.fail_after(plan.duration_s + plan.match_timeout_s + grace_s + _SPARE_TIME_S):
        async with server_process(given) as server:
            typer.echo(f"the city is at http://{server.http}/")
            report = await run_with_progress(replace(plan, target_port=server.grpc.port), stop)
            return report, await server.stop(grace_s)


def _judge(report: Report, exit_code: int) -> None:
    if report.failed:
        fail("the load did not go as it should: see the report")
    if report.matches == 0:
        fail("nobody was matched")
    if exit_code != 0:
        fail(f"the server ended with exit code {exit_code}")
