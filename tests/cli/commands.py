"""Runs commands in this process, as a shell would in one of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ride_trio_cli.main import app


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote to the system's files."""

    exit_code: int
    stdout: str
    stderr: str


class Cli:
    """`cli("topics", "list", stdin=b"")`. Not from inside trio: a command runs a loop of its own."""

    def __init__(self, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._stdin = tmp_path / "stdin"
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, stdin: bytes = b"") -> Done:
        self._stdin.write_bytes(stdin)
        with self._stdin.open() as lines, self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", lines)
            with pytest.raises(SystemExit) as ended:
                app(list(words))
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *self._capfd.readouterr())
