from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from ride_trio_loadgen.log_plan import LogPlan
from ride_trio_loadgen.log_report import LogReport
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.tally import Latencies

PLAN = LogPlan("host", 1, "load", producers=16, record_bytes=1_000, duration_s=10.0)


@pytest.fixture
def report() -> LogReport:
    tally = LogTally(sent=20_000, acked=20_000, consumed=15_000, consumed_bytes=15_000_000)
    tally.first_s, tally.last_acked_s, tally.last_consumed_s = 100.0, 110.0, 115.0
    tally.produce.record(0.002)
    tally.end_to_end.record(0.003)
    no_lag = Latencies().summary_ms()
    return LogReport(PLAN, tally, 4, no_lag, 0, 0, held_s=0.0, wall_s=16.0, cpu_s=0.1, cpu_share=0.5)


def printed(report: LogReport) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(report.table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_json_has_what_programs_rely_on(report: LogReport) -> None:
    data = json.loads(json.dumps(report.to_json()))
    expected = {
        "sent": 20_000,
        "acked": 20_000,
        "consumed": 15_000,
        "records_per_s": 2_000.0,
        "mb_per_s": 2.0,
        "consumed_per_s": 1_000.0,
        "consumed_mb_per_s": 1.0,
        "cpu_us_per_record": 5.0,
        "cpu_share": 0.5,
        "check": "ok",
        "errors": {},
    }
    assert expected.items() <= data.items()
    assert (data["plan"]["topic"], data["plan"]["producers"]) == ("load", 16)
    assert data["produce_ms"] == {"p50": 2.0, "p99": 2.0, "p999": 2.0, "max": 2.0, "count": 1}
    assert data["end_to_end_ms"]["p99"] == 3.0


def test_the_table_says_what_a_person_wants_to_know(report: LogReport) -> None:
    text = printed(report)
    assert "16 producers, 4 partitions of load, 16.0 s" in text
    assert "20,000 (2,000/s, 2.0 MB/s)" in text
    assert "15,000 (1,000/s, 1.0 MB/s)" in text
    assert "p50 2.00   p99 2.00   p99.9 2.00   max 2.00 ms" in text
    assert "5.0 us a record, 50% of a core" in text
    assert "every acknowledged record was read, once, in order, at its offset" in text
    for seldom in ("others'", "never answered", "due and not sent", "not the server's alone"):
        assert seldom not in text


def test_what_was_checked_is_not_said_to_be_more_than_it_was(report: LogReport) -> None:
    assert "nobody has read" in printed(replace(report, plan=replace(PLAN, consumers=0)))
    assert "offsets are dense" in printed(replace(report, plan=replace(PLAN, producers=0)))


def test_what_the_check_has_found_is_told_apart_from_other_errors(report: LogReport) -> None:
    report.tally.error("status:UNAVAILABLE", "gone")
    assert (report.failed, report.check) == (True, "ok")
    report.tally.error("doubled", "record [7]", 2)
    report.tally.error("missing", "record 8")
    assert report.check == "1 missing, 2 doubled"
    assert report.to_json()["errors"] == {"doubled": 2, "missing": 1, "status:UNAVAILABLE": 1}
    text = printed(report)
    assert "1 missing, 2 doubled" in text
    assert "record [7]" in text
    assert "once, in order" not in text


def test_seldom_figures_are_shown_when_there_are_any(report: LogReport) -> None:
    report.tally.unanswered, report.tally.foreign = 12, 34
    text = printed(replace(report, behind=56, unacknowledged=7))
    for name, figure in (("never answered", 12), ("others' records", 34), ("due and not sent", 56), ("stored", 7)):
        (line,) = [line for line in text.splitlines() if name in line]
        assert str(figure) in line


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"cpu_share": 0.99}, "the generator had no CPU left"),
        ({"lag_ms": {"p50": 0.0, "p99": 20.0, "p999": 20.0, "max": 20.0, "count": 9}}, "the generator ran late (lag)"),
        ({"held_s": 2.5}, "producers waited for 2.5 s because consumers were behind"),
    ],
)
def test_figures_that_are_not_the_servers_alone_say_so(
    report: LogReport, changes: dict[str, object], doubt: str
) -> None:
    doubtful = replace(report, **changes)  # type: ignore[arg-type]
    assert doubtful.doubts == f"{doubt}: these figures are not the server's alone"
    assert doubt in " ".join(printed(doubtful).split())


def test_a_run_that_only_reads_counts_its_cpu_by_what_it_has_read(report: LogReport) -> None:
    report.tally.acked = 0
    assert report.cpu_us_per_record == pytest.approx(1e5 / 15_000)


def test_an_empty_run_has_a_table_too() -> None:
    empty = Latencies().summary_ms()
    report = LogReport(PLAN, LogTally(), 1, empty, 0, 0, held_s=0.0, wall_s=0.0, cpu_s=0.0, cpu_share=0.0)
    assert "0 (0/s, 0.0 MB/s)" in printed(report)
