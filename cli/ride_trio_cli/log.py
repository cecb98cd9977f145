"""`ride-trio log`: what can be done with the log's files while no server uses them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ride_trio.config import default_data_dir
from ride_trio.errors import DataDirError
from ride_trio_cli.exits import EXIT_FAILED, fail
from ride_trio_cli.log_records import printable
from ride_trio_cli.log_server import AsJson
from ride_trio_cli.tables import print_json, print_table

if TYPE_CHECKING:
    from ride_trio.eventlog.check import Report, TopicReport

app = typer.Typer(no_args_is_help=True)


@app.callback()
def log() -> None:
    """Look after the log's files while no server uses them."""


@app.command()
def check(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the log keeps its files (env DATA_DIR, default as in `ride-trio config`).",
            envvar="DATA_DIR",
            show_envvar=False,
            show_default=False,
            metavar="PATH",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Take no lock and write nothing there: for a copy or a snapshot.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read all files of the log, verify every checksum, offset and index, and tell what is there.

    Exit code 1 if something is damaged. What a crash has left half done is no damage: the next start cleans it up.
    """
    from ride_trio.eventlog.check import check_data_dir

    try:
        report = check_data_dir(data_dir or default_data_dir(), read_only=read_only)
    except DataDirError as error:
        fail(error.message)
    if as_json:
        print_json({"clean": not report.damages, **asdict(report)})
    else:
        _print(report)
    if report.damages:
        raise typer.Exit(EXIT_FAILED)


def _print(report: Report) -> None:
    for topic in report.topics:
        rows = [(partition.number, partition.begin, partition.end) for partition in topic.partitions]
        print_table(("partition", "begins at", "ends at"), rows, _title(topic))
    for line in report.left_over:
        typer.echo(printable(f"left over: {line}"))
    for damage in report.damages:
        typer.echo(printable(f"damaged: {damage}"))
    count = len(report.damages)
    typer.echo(f"{report.path}: {'clean' if not count else '1 damage' if count == 1 else f'{count} damages'}")


def _title(topic: TopicReport) -> str:
    segments = "1 segment" if topic.segments == 1 else f"{topic.segments} segments"
    return f"{topic.name}: {segments}, {topic.size_bytes:,} bytes, {topic.records:,} records"
