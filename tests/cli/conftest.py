"""Fixtures of the log's commands: a log, and a way to run them against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Cli
from tests.cli.fake_log import FakeLog, running


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def port(log: FakeLog) -> Iterator[int]:
    with running(log) as port:
        yield port


@pytest.fixture
def anywhere(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs commands that say where the log is."""
    return Cli(capfd, tmp_path, monkeypatch)


@pytest.fixture
def cli(anywhere: Cli, port: int, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs commands against `log`."""
    monkeypatch.setenv("RIDE_TRIO_TARGET", f"127.0.0.1:{port}")
    return anywhere
