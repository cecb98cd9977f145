"""The commands that there are."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from ride_trio import __version__
from ride_trio_cli.main import app

runner = CliRunner()


@pytest.mark.parametrize(
    "command", ["serve", "config", "demo", "load", "bench", "topics", "produce", "consume", "groups", "log"]
)
def test_the_help_names_every_command(command: str) -> None:
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert re.search(rf"\b{command}\b", shown.stdout)


def test_the_version_is_the_packages() -> None:
    shown = runner.invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"ride-trio {__version__}\n")


def test_an_unknown_command_is_exit_code_2() -> None:
    assert runner.invoke(app, ["fly"]).exit_code == 2
