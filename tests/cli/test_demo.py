"""`ride-trio demo`: what counts as success, and one real run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ride_trio_cli.demo import _judge
from ride_trio_cli.main import app
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


def test_a_report_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "none" / "report.json"
    done = CliRunner().invoke(app, ["demo", "--json", str(file)])
    assert (done.exit_code, done.stderr) == (2, f"ride-trio: --json {file}: there is no folder {file.parent}\n")


def test_it_says_where_the_city_is_and_keeps_it_until_ctrl_c(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    options = f"--keep --duration 1s --drivers 20 --riders 10 --match-window 200ms --json {file}"
    command = [sys.executable, "-m", "ride_trio_cli", "demo", *options.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as demo:
        assert demo.stdout is not None
        place = re.fullmatch(r"the city is at (http://127\.0\.0\.1:\d+/)\n", demo.stdout.readline())
        assert place is not None
        time.sleep(3.0)
        with urllib.request.urlopen(f"{place[1]}api/v1/summary", timeout=10.0) as answer:
            assert json.load(answer)["sessions"]["grpc"] == 30
        demo.send_signal(signal.SIGINT)
        _, log = demo.communicate(timeout=60)
    assert demo.returncode == 0, log
    assert json.loads(file.read_text())["errors"] == {}


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_a_terminal_ends_it_with_exit_code_130(times: int, tmp_path: Path) -> None:
    """A terminal signals the whole process group."""
    file = tmp_path / "report.json"
    options = f"--duration 60s --drivers 20 --riders 10 --match-window 200ms --json {file}"
    command = [sys.executable, "-m", "ride_trio_cli", "demo", *options.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as demo:
        assert demo.stderr is not None
        assert "running" in demo.stderr.readline()
        time.sleep(1.0)  # until there are requests and rides
        os.killpg(demo.pid, signal.SIGINT)
        if times == 2:
            time.sleep(0.1)  # two at the same moment are one
            os.killpg(demo.pid, signal.SIGINT)
        said, complained = demo.communicate(timeout=30)
    assert demo.returncode == 130, complained
    assert "Traceback" not in complained
    if times == 1:
        assert json.loads(file.read_text())["errors"] == {}
        assert "matches" in said
    else:
        assert complained.endswith("ride-trio: ended at once, without a report\n")
