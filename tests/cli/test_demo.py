"""`ride-trio demo`: what counts as success, and one real run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ride_trio_cli.demo import _judge
from ride_trio_loadgen import Report
from ride_trio_loadgen.tally import Tally

NO_TIMES = {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0, "count": 0}


def report(matches: int, errors: int) -> Report:
    tally = Tally(matches=matches)
    if errors:
        tally.error("lost", "gone", errors)
    return Report.of(tally, lag_ms=NO_TIMES, wall_s=1.0, connections=1, scenario={})


def test_matches_no_errors_and_a_clean_end_are_success() -> None:
    _judge(report(matches=1, errors=0), exit_code=0)


@pytest.mark.parametrize(
    ("matches", "errors", "exit_code", "why"),
    [
        (9, 1, 0, "the load did not go as it should"),
        (0, 0, 0, "nobody was matched"),
        (9, 0, -9, "exit code -9"),
    ],
)
def test_anything_else_is_not(
    matches: int, errors: int, exit_code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught:
        _judge(report(matches, errors), exit_code)
    assert caught.value.exit_code == 1
    assert why in capsys.readouterr().err


def test_a_short_run_matches_riders_without_an_error(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = f"--duration 2s --drivers 20 --riders 10 --match-window 200ms --json {file}"
    command = [sys.executable, "-m", "ride_trio_cli", "demo", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["matches"] > 0
    assert found["errors"] == {}
    assert "matches" in done.stdout
