"""A report: for a person as a table, for a program by `--json FILE`, which is checked before the run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from ride_trio_cli.exits import fail, fail_usage

if TYPE_CHECKING:
    from rich.table import Table

_NAME = "--json"


def _check(file: Path | None) -> Path | None:
    """End the command if `file` can't be written. Nothing is created: a run that fails leaves no empty report."""
    if file is None:
        return None
    target = file.resolve()
    folder = target.parent
    if target.is_dir():
        fail_usage(f"{_NAME} {file}: is a folder")
    if not folder.is_dir():
        fail_usage(f"{_NAME} {file}: there is no folder {folder}")
    if not os.access(*((target, os.W_OK) if target.exists() else (folder, os.W_OK | os.X_OK))):
        fail_usage(f"{_NAME} {file}: not allowed to write there")
    return file


ReportFile = Annotated[
    Path | None,
    typer.Option(_NAME, help="Write the report there too, as JSON.", metavar="FILE", callback=_check),
]


def write(file: Path, text: str) -> None:
    """Write the file; what has come in the way since the check is one line and exit code 1."""
    try:
        file.write_text(text)
    except OSError as error:
        fail(f"{_NAME} {file}: {error.strerror}")


class Report(Protocol):
    """What a run was like."""

    def table(self) -> Table:
        """For a person."""

    def to_json(self) -> dict[str, Any]:
        """For a program."""


def publish(report: Report, json_file: Path | None) -> None:
    """Print the report as a table; write it as JSON if a file is given."""
    from rich.console import Console

    Console().print(report.table())
    if json_file is not None:
        write(json_file, json.dumps(report.to_json(), indent=2) + "\n")
