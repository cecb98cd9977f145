"""Fixtures of the log's commands: a log, and a way to run them against it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ride_trio_cli.main import app
from tests.cli.fake_log import FakeLog, running


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote to the system's files."""

    exit_code: int
    stdout: str
    stderr: str


Cli = Callable[..., Done]


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def port(log: FakeLog) -> Iterator[int]:
    with running(log) as port:
        yield port


@pytest.fixture
def anywhere(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command: `anywhere("topics", "list", stdin=b"")`."""

    def run(*words: str, stdin: bytes = b"") -> Done:
        file = tmp_path / "stdin"
        file.write_bytes(stdin)
        with file.open() as lines:
            monkeypatch.setattr(sys, "stdin", lines)
            with pytest.raises(SystemExit) as ended:
                app(list(words))
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def cli(anywhere: Cli, port: int, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """As `anywhere`, against `log`."""
    monkeypatch.setenv("RIDE_TRIO_TARGET", f"127.0.0.1:{port}")
    return anywhere
