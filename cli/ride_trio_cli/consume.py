"""`ride-trio consume`: print a topic's records as they come."""

from __future__ import annotations

import sys
from functools import partial as bind
from typing import TYPE_CHECKING, Annotated

import typer

from ride_trio_cli.exits import fail_interrupted, fail_usage
from ride_trio_cli.log_positions import ALLOWED, read_position
from ride_trio_cli.log_records import Render, as_details, as_json, as_safe_text, as_text
from ride_trio_cli.log_server import LogServer, with_log_server

if TYPE_CHECKING:
    import trio

    from ride_trio_cli.log_client import LogClient
    from ride_trio_cli.log_consumer import Plan


@with_log_server
def consume(
    server: LogServer,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.")],
    group: Annotated[
        str,
        typer.Option(
            help="Be a member of this group: read the partitions that it assigns, from where it was, and commit what "
            "is printed, every second and at the end.",
            metavar="GROUP",
            show_default=False,
        ),
    ] = "",
    partition: Annotated[int | None, typer.Option(help="Only this one; all by default.", min=0, max=2**31 - 1)] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help=f"Where to begin: {ALLOWED}. An offset needs --partition. With --group it counts where the group has "
            "committed nothing.",
            metavar="POSITION",
        ),
    ] = "earliest",
    max_records: Annotated[
        int | None, typer.Option("--max", help="End after so many records; without it at Ctrl-C.", min=1)
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Print partition:offset, time, key and headers before each value.")
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print a JSON object a line: topic, partition, offset, timestamp (Unix ms), key, value, headers. "
            "Bytes that are not UTF-8 are base64, in key_base64 and value_base64.",
        ),
    ] = False,
) -> None:
    """Print a topic's records, each value on a line, until Ctrl-C.

    Records of a partition come in order. Ctrl-C, enough records and the end of who reads standard output end it in good
    order: exit code 0, or 130 if there were fewer than --max.
    """
    from ride_trio_cli.log_consumer import Plan

    position = read_position("--from", begin)
    if group and partition is not None:
        fail_usage("--group --partition: the group assigns the partitions")
    if position.is_offset and group:
        fail_usage(f"--from {begin} --group: a group begins at a time; `ride-trio groups reset` sets an offset")
    if position.is_offset and partition is None:
        fail_usage(f"--from {begin}: an offset needs --partition")
    if details and json:
        fail_usage("--details --json: JSON has all the details")
    plan = Plan(topic, partition, group, position)
    printed, interrupted = server.run_until_stopped(bind(_consume, plan, _render(details, json), max_records))
    if interrupted and max_records is not None and printed < max_records:
        fail_interrupted(f"interrupted after {printed:,} of {max_records:,} records")


def _render(details: bool, json: bool) -> Render:
    if json:
        return as_json
    if details:
        return as_details
    return as_safe_text if sys.stdout.isatty() else as_text


async def _consume(plan: Plan, render: Render, max_records: int | None, log: LogClient, stop: trio.Event) -> int:
    from ride_trio_cli.log_consumer import Printer, consume
    from ride_trio_cli.standard_streams import Output

    output = Output(sys.stdout.fileno())
    printer = Printer(output, render, max_records)
    await consume(log, plan, printer, output, stop)
    return printer.printed
