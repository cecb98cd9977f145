"""`ride-trio produce`: lines of a file or of standard input become records."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ride_trio_cli.exits import fail, fail_interrupted, fail_usage, read_pair
from ride_trio_cli.log_server import AsJson, LogServer, with_log_server
from ride_trio_cli.tables import print_json

if TYPE_CHECKING:
    import trio

    from ride_trio_cli.log_client import LogClient
    from ride_trio_cli.log_producer import Outcome, Plan


class Acks(StrEnum):
    """When a record counts as acknowledged."""

    QUEUED = "0"
    WRITTEN = "1"
    ON_DISK = "all"


_ON_THE_WIRE = {Acks.QUEUED: 0, Acks.WRITTEN: 1, Acks.ON_DISK: -1}


@with_log_server
def produce(
    server: LogServer,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where the lines are; standard input without it.", dir_okay=False),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Of every record; it decides about the partition.")] = None,
    key_separator: Annotated[
        str | None, typer.Option(help="Each line begins with its key, which this ends.", metavar="TEXT")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(help="Of every record. May be given several times.", metavar="NAME=VALUE"),
    ] = None,
    partition: Annotated[
        int | None,
        typer.Option(help="Which one; by the key, or by turns without one, if it is not given.", min=0, max=2**31 - 1),
    ] = None,
    acks: Annotated[
        Acks,
        typer.Option(
            help="When a record is acknowledged: 0 when it is queued, 1 when it is written to the file, "
            "all when it is on disk."
        ),
    ] = Acks.ON_DISK,
    as_json: AsJson = False,
) -> None:
    """Store each line as a record.

    Says on standard error how many were acknowledged. The first error ends it with exit code 1, as soon as what is on
    its way has been answered; so does Ctrl-C, with exit code 130.
    """
    from ride_trio_cli.log_producer import Plan

    if key is not None and key_separator is not None:
        fail_usage("--key --key-separator: a record has one key")
    if key_separator == "":
        fail_usage("--key-separator '': allowed is one character or more")
    plan = Plan(
        topic=topic,
        partition=-1 if partition is None else partition,
        required_acks=_ON_THE_WIRE[acks],
        key=os.fsencode(key or ""),
        separator=os.fsencode(key_separator or ""),
        headers=[(name, os.fsencode(value)) for name, value in (read_pair("--header", text) for text in header or ())],
    )
    lines = sys.stdin.fileno() if file is None else _open(file)
    outcome, interrupted = server.run_until_stopped(partial(_produce, plan, lines))
    _report(outcome, topic, as_json=as_json)
    if outcome.failure:
        fail(f"{file} {outcome.failure}" if file else outcome.failure)
    if interrupted:
        fail_interrupted("interrupted")


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        fail_usage(f"{file}: {error.strerror}")


async def _produce(plan: Plan, file: int, log: LogClient, stop: trio.Event) -> Outcome:
    from ride_trio_cli.log_producer import MAX_LINE_BYTES, produce
    from ride_trio_cli.standard_streams import read_lines

    async with aclosing(read_lines(file, MAX_LINE_BYTES)) as lines:
        return await produce(log, plan, lines, stop)


def _report(outcome: Outcome, topic: str, *, as_json: bool) -> None:
    n = outcome.acknowledged
    typer.echo(f"{n:,} record{'s' if n != 1 else ''} acknowledged", err=True)
    if as_json:
        rows = [{"partition": p, "last_offset": offset} for p, offset in sorted(outcome.last_offsets.items())]
        shown = {"topic": topic, "sent": outcome.sent, "acknowledged": n, "partitions": rows}
        print_json({**shown, "error": outcome.failure or None})
