"""`ride-trio config`: the settings that `ride-trio serve` would use, and where each is from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Annotated

import typer

from ride_trio.config import Resolved, resolve

_SOURCE_NAMES = {"default": "default", "env": "environment", "option": "option"}


def config(
    overrides: dict[str, str],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the effective settings as KEY=value, each with its source."""
    found = resolve(overrides, os.environ).values()
    typer.echo(_json(found) if as_json else _table(found))


def _table(found: Iterable[Resolved]) -> str:
    rows = [(f"{one.setting.env}={one.canonical}", _SOURCE_NAMES[one.source]) for one in found]
    width = max(len(row) for row, _ in rows)
    return "\n".join(f"{row:<{width}}  # {source}" for row, source in rows)


def _json(found: Iterable[Resolved]) -> str:
    return json.dumps({one.setting.env: {"value": one.canonical, "source": one.source} for one in found}, indent=2)
