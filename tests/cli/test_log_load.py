"""`ride-trio load log`: what it makes of its options, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest
import trio
import trio.testing
from typer.testing import CliRunner

from ride_trio_cli import log_load
from ride_trio_cli.main import app
from ride_trio_loadgen import Acks, LogPlan, LogReport, LogTopicError
from ride_trio_loadgen.log_tally import LogTally

runner = CliRunner()
NO_TIMES = {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0, "count": 0}


class Loads:
    """Stands for the load generator: keeps the plans, and reports what it is told to."""

    def __init__(self) -> None:
        self.plans: list[LogPlan] = []
        self.tally = LogTally()
        self.interrupts = 0
        self.complaint = ""

    async def run(self, plan: LogPlan, progress: object, stop: trio.Event) -> LogReport:
        if self.complaint:
            raise LogTopicError(self.complaint)
        self.plans.append(plan)
        for _ in range(self.interrupts):
            signal.raise_signal(signal.SIGINT)
            await trio.testing.wait_all_tasks_blocked()
        return LogReport(plan, self.tally, 1, NO_TIMES, 0, 0, held_s=0.0, wall_s=1.0, cpu_s=0.1, cpu_share=0.1)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    fake = Loads()
    monkeypatch.setattr(log_load, "run_log", fake.run)
    return fake


def load(words: str, *more: str) -> list[str]:
    return ["load", "log", "--target", ":7443", "--topic", "t", *words.split(), *more]


def test_options_make_the_plan(loads: Loads) -> None:
    words = (
        "--partitions 3 --producers 2 --in-flight 5 --record-bytes 100 --duration 1m30s --acks 1 --rate 4"
        " --consumers 6 --connections 7 --unary --idempotent --seed 9"
    )
    done = runner.invoke(app, load(words))
    assert done.exit_code == 0, done.output
    assert loads.plans == [
        LogPlan("localhost", 7443, "t", 2, 100, 90.0, 5, Acks.LEADER, 3, 4.0, 6, 7, unary=True, idempotent=True, seed=9)
    ]


@pytest.mark.parametrize(("text", "acks"), [("0", Acks.NONE), ("1", Acks.LEADER), ("all", Acks.ALL), ("-1", Acks.ALL)])
def test_acks_are_named_as_everywhere(loads: Loads, text: str, acks: Acks) -> None:
    done = runner.invoke(app, load("", f"--acks={text}"))
    assert (done.exit_code, [plan.acks for plan in loads.plans]) == (0, [acks])


def test_the_report_is_printed_and_written(loads: Loads, tmp_path: Path) -> None:
    loads.tally.acked = 4321
    file = tmp_path / "report.json"
    done = runner.invoke(app, load("--json", str(file)))
    assert (done.exit_code, json.loads(file.read_text())["acked"]) == (0, 4321)
    assert "4,321" in done.stdout


def test_errors_in_the_report_are_exit_code_1(loads: Loads) -> None:
    loads.tally.error("missing", "gone")
    done = runner.invoke(app, load(""))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--acks 2", "--acks 2: allowed is 0, 1 or all"),
        ("--acks some", "--acks some: allowed is 0, 1 or all"),
        ("--duration 5", "--duration 5: allowed is a duration above 0, such as 250ms, 30s or 5m"),
        ("--record-bytes 23", "--record-bytes 23: must be at least 24: so long is what the check needs"),
        ("--rate -1", "--rate -1: must not be below 0"),
        ("--rate inf", "--rate inf: must be finite"),
        ("--producers 0 --consumers 0", "--producers 0 --consumers 0: nobody produces, and nobody consumes"),
        ("--json /none/x", "--json /none/x: there is no folder /none"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(words: str, line: str, loads: Loads) -> None:
    done = runner.invoke(app, load(words))
    assert (done.exit_code, done.stderr, loads.plans) == (2, f"ride-trio: {line}\n", [])


def test_a_topic_that_cannot_be_loaded_is_one_line_and_exit_code_1(loads: Loads) -> None:
    loads.complaint = "there is no topic 't': --partitions N creates it"
    done = runner.invoke(app, load(""))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"ride-trio: {loads.complaint}\n")


def test_ctrl_c_still_prints_and_writes_the_report_and_is_exit_code_130(loads: Loads, tmp_path: Path) -> None:
    loads.tally.acked, loads.interrupts = 4321, 1
    file = tmp_path / "report.json"
    done = runner.invoke(app, load("--json", str(file)))
    assert (done.exit_code, json.loads(file.read_text())["acked"]) == (130, 4321)
    assert done.stderr == "ride-trio: interrupted: the report is of the time until then\n"


def test_a_second_ctrl_c_ends_at_once(loads: Loads) -> None:
    loads.interrupts = 2
    done = runner.invoke(app, load(""))
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr == "ride-trio: ended at once, without a report\n"


def test_a_target_where_nobody_listens_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = runner.invoke(app, ["load", "log", "--target", f"127.0.0.1:{port}", "--topic", "t"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"ride-trio: cannot connect to 127.0.0.1:{port}: ")
