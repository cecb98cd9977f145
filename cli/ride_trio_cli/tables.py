"""What a command prints at its end: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from ride_trio_cli.log_records import printable


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | int]], title: str = "") -> None:
    """Print rows under their headings, a title before them; numbers, and "-" for none, are on the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        typer.echo(printable(title))
    table = Table(box=box.SIMPLE_HEAD)
    rows = list(rows)
    for number, heading in enumerate(headings):
        is_number = bool(rows) and all(isinstance(row[number], int) or row[number] == "-" for row in rows)
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    Console().print(table)


def print_json(document: Any) -> None:
    """Print a JSON document."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
