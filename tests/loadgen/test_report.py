from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from ride_trio_loadgen.report import Report
from ride_trio_loadgen.tally import Latencies, Tally


def lag(seconds: float) -> dict[str, float]:
    latencies = Latencies()
    latencies.record(seconds)
    return latencies.summary_ms()


@pytest.fixture
def tally() -> Tally:
    tally = Tally(sessions=1200, sent=10_000, acked=9_999, broadcasts=55, requests=4, matches=3, no_driver=1)
    tally.bytes_sent, tally.bytes_received = 1_500_000, 2_500_000
    tally.ack.record(0.002)
    tally.match.record(1.5)
    return tally


def report_of(tally: Tally, lag_s: float = 0.0001) -> Report:
    return Report.of(tally, lag_ms=lag(lag_s), wall_s=10.0, connections=12, scenario={"seed": 1})


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(report.table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_json_has_what_programs_rely_on(tally: Tally) -> None:
    data = json.loads(json.dumps(report_of(tally).to_json()))
    expected = {"sessions": 1200, "sent": 10_000, "acked": 9_999, "broadcasts": 55, "requests": 4}
    assert expected.items() <= data.items()
    assert {"matches": 3, "no_driver": 1, "errors": {}}.items() <= data.items()
    assert data["ack_ms"] == {"p50": 2.0, "p99": 2.0, "p999": 2.0, "max": 2.0, "count": 1}
    assert data["match_ms"]["p50"] == 1500.0
    assert data["sent_per_s"] == 1000.0
    assert data["bytes"] == {"sent": 1_500_000, "received": 2_500_000}


def test_errors_are_counted_by_kind(tally: Tally) -> None:
    tally.error("unanswered", "ride 1")
    tally.error("ack_twice", "user [7]", 2)
    report = report_of(tally)
    assert report.failed
    assert report.to_json()["errors"] == {"ack_twice": 2, "unanswered": 1}
    assert report.to_json()["error_examples"]["unanswered"] == "ride 1"
    assert "ack_twice" in printed(report)
    assert "user [7]" in printed(report)


def test_the_table_says_what_a_person_wants_to_know(tally: Tally) -> None:
    text = printed(report_of(tally))
    assert "1,200 sessions on 12 connections, 10.0 s" in text
    assert "10,000 (1,000/s), 1.5 MB" in text
    assert "p50 2.00   p99 2.00   p99.9 2.00   max 2.00 ms" in text
    assert "max 1.50 s" in text
    assert "ran late" not in text


def test_a_generator_that_lags_says_so(tally: Tally) -> None:
    assert report_of(tally, lag_s=0.05).lagged
    assert "the generator ran late" in printed(report_of(tally, lag_s=0.05))


def test_an_empty_run_has_a_table_too() -> None:
    report = Report.of(Tally(), lag_ms=Latencies().summary_ms(), wall_s=0.0, connections=0, scenario={})
    assert "-" in printed(report)
    assert not report.failed
