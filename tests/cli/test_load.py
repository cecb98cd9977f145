"""`ride-trio load rides`: what it makes of its options, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest
import trio
import trio.testing
from typer.testing import CliRunner

from ride_trio_cli import rides
from ride_trio_cli.main import app
from ride_trio_loadgen import Report, RidesPlan
from ride_trio_loadgen.tally import Tally

runner = CliRunner()
NO_TIMES = {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0, "count": 0}


class Loads:
    """Stands for the load generator: keeps the plans, and reports what it is told to."""

    def __init__(self) -> None:
        self.plans: list[RidesPlan] = []
        self.tally = Tally()
        self.interrupts = 0

    async def run(self, plan: RidesPlan, progress: object, stop: trio.Event) -> Report:
        self.plans.append(plan)
        for _ in range(self.interrupts):
            signal.raise_signal(signal.SIGINT)
            await trio.testing.wait_all_tasks_blocked()
        return Report.of(self.tally, lag_ms=NO_TIMES, wall_s=1.0, connections=1, scenario=plan.to_json())


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    fake = Loads()
    monkeypatch.setattr(rides, "run_rides", fake.run)
    return fake


def test_options_make_the_plan(loads: Loads) -> None:
    words = "--target [::1]:7443 --drivers 3 --riders 2 --duration 1m30s --rate 4 --seed 9 --connections 5"
    done = runner.invoke(app, ["load", "rides", *words.split(), "--heartbeat", "700ms"])
    assert done.exit_code == 0, done.output
    (plan,) = loads.plans
    assert plan == RidesPlan("::1", 7443, 3, 2, 90.0, 4.0, seed=9, connections=5, heartbeat_s=0.7)


def test_a_replay_lasts_as_long_as_its_traces(loads: Loads, tmp_path: Path) -> None:
    traces = [tmp_path / "cab1", tmp_path / "cab2"]
    for trace in traces:
        trace.write_text("37.7 -122.4 0 1211000000\n")
    after_one, each = (
        ["--trace", *map(str, traces)],
        [word for file in traces for word in ("--trace", str(file))],
    )
    for words in (after_one, each):
        done = runner.invoke(app, ["load", "rides", *words, "--target", "localhost:1", "--speedup", "60"])
        assert done.exit_code == 0, done.output
        assert (loads.plans[-1].traces, loads.plans[-1].duration_s) == (tuple(traces), float("inf"))


def test_the_report_is_printed_and_written(loads: Loads, tmp_path: Path) -> None:
    loads.tally.matches = 4321
    file = tmp_path / "report.json"
    done = runner.invoke(app, ["load", "rides", "--target", ":7443", "--json", str(file)])
    assert (done.exit_code, json.loads(file.read_text())["matches"]) == (0, 4321)
    assert "4,321" in done.stdout


def test_errors_in_the_report_are_exit_code_1(loads: Loads) -> None:
    loads.tally.error("lost", "gone")
    done = runner.invoke(app, ["load", "rides", "--target", ":7443"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--target here", "--target here: allowed is HOST:PORT or [IPV6]:PORT, port 1 to 65535"),
        ("--target :0", "--target :0: allowed is HOST:PORT or [IPV6]:PORT, port 1 to 65535"),
        ("--target :1 --duration 5", "--duration 5: allowed is a duration above 0, such as 250ms, 30s or 5m"),
        (f"--target :1 {__file__}", f"{__file__}: a file stands after --trace"),
        ("--target :1 --rate 0", "--rate 0: must be above 0"),
        ("--target :1 --rate inf", "--rate inf: must be finite"),
        ("--target :1 --rate nan", "--rate nan: must be above 0"),
        ("--target :1 --speedup -2.5", "--speedup -2.5: must be above 0"),
        ("--target :1 --speedup inf", "--speedup inf: must be finite"),
        ("--target :1 --drivers 0 --riders 0", "--drivers 0 --riders 0: nobody in the city, and no traces"),
        ("--target :1 --heartbeat 0s", "--heartbeat 0s: allowed is a duration above 0, such as 250ms, 30s or 5m"),
        ("--target :1 --json /none/x", "--json /none/x: there is no folder /none"),
        ("--target :1 --json /dev", "--json /dev: is a folder"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(words: str, line: str, loads: Loads) -> None:
    done = runner.invoke(app, ["load", "rides", *words.split()])
    assert (done.exit_code, done.stderr, loads.plans) == (2, f"ride-trio: {line}\n", [])


def test_ctrl_c_still_prints_and_writes_the_report_and_is_exit_code_130(loads: Loads, tmp_path: Path) -> None:
    loads.tally.matches, loads.interrupts = 4321, 1
    loads.tally.error("lost", "gone")
    file = tmp_path / "report.json"
    done = runner.invoke(app, ["load", "rides", "--target", ":7443", "--json", str(file)])
    assert (done.exit_code, json.loads(file.read_text())["matches"]) == (130, 4321)
    assert "4,321" in done.stdout
    assert done.stderr == "ride-trio: interrupted: the report is of the time until then\n"


def test_a_second_ctrl_c_ends_at_once(loads: Loads) -> None:
    loads.interrupts = 2
    done = runner.invoke(app, ["load", "rides", "--target", ":7443"])
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr == "ride-trio: ended at once, without a report\n"


def test_a_target_where_nobody_listens_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = runner.invoke(app, ["load", "rides", "--target", f"127.0.0.1:{port}"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"ride-trio: cannot connect to 127.0.0.1:{port}: ")
