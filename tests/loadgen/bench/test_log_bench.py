"""Every row at a tiny scale: what is measured, not how fast it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ride_trio_loadgen.bench import log_bench
from ride_trio_loadgen.bench.log_rows import MEASUREMENTS, ROWS, Measurement
from ride_trio_loadgen.bench.log_setup import Figure, Figures, Scale, Setup

TINY = Scale(
    rounds=1,
    seconds=0.2,
    records=2_000,
    hot_records=500,
    tails=20,
    deliveries=5,
    stopped=20,
    filling_bytes=1_000_000,
)


def test_every_row_is_measured() -> None:
    pytest.importorskip("grpc")
    results: dict[str, list[Figure]] = {}
    log_bench.run(TINY, results)
    assert set(results) == set(log_bench.ROW_NAMES)
    assert {name for name, figures in results.items() if len(figures) != 1} == set()
    assert {row.name for row in ROWS if (results[row.name][0].beside is None) == bool(row.beside)} == set()
    assert {name for name, figures in results.items() if figures[0].ours <= 0} <= {"stopped"}
    assert {name for name, figures in results.items() if (figures[0].beside or 1) <= 0} == set()
    for size, record_bytes in {"100": 100, "1k": 1_024, "10k": 10_240}.items():
        records, megabytes = results[f"produce-{size}"][0], results[f"produce-{size}-mb"][0]
        assert megabytes.ours == pytest.approx(records.ours * record_bytes / 1e6)


def test_every_row_belongs_to_one_measurement() -> None:
    measured = [name for measurement in MEASUREMENTS for name in measurement.rows]
    assert sorted(measured) == sorted(log_bench.ROW_NAMES)


def test_rounds_are_interleaved_and_rows_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*rows: str, most_rounds: int = 10) -> Measurement:
        return Measurement(rows, lambda setup: {row: Figure(setup.scale.seconds) for row in rows}, most_rounds)

    monkeypatch.setattr(log_bench, "MEASUREMENTS", [fake("a", "b"), fake("c", most_rounds=1), fake("d")])
    said: list[str] = []
    results: dict[str, list[Figure]] = {}
    log_bench.run(Scale(rounds=2, seconds=0.1), results, ["b", "c"], said.append)
    assert [line.split(": ")[1] for line in said] == ["a", "c", "a"]
    assert results == {"a": [Figure(0.1)] * 2, "b": [Figure(0.1)] * 2, "c": [Figure(0.1)]}


def test_a_bound_that_does_not_hold_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"unary-64": [Figure(9_000.0, 3_000.0)]}
    monkeypatch.setattr(log_bench, "run", lambda _, results, *rest: results.update(slow))
    file = tmp_path / "figures.json"
    assert not log_bench.main(TINY, json_file=file)
    assert "does not hold: unary-64: 3 of grpc.aio, empty, at least 4 is allowed" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())
    assert (row["ours"], row["beside"], row["ratio"]) == ([9_000.0], [3_000.0], 3.0)
    assert row["bounds"] == [{"least": 4, "of_beside": True, "holds": False}]


def test_bounds_that_hold_are_success(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"unary-64": [Figure(12_000.0, 3_000.0)]}
    monkeypatch.setattr(log_bench, "run", lambda _, results, *rest: results.update(good))
    assert log_bench.main(TINY)


def test_what_was_measured_is_printed_when_something_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(setup: Setup) -> Figures:
        raise ValueError("7 records are missing")

    fine = Measurement(("unary-64",), lambda setup: {"unary-64": Figure(12_000.0, 3_000.0)})
    monkeypatch.setattr(log_bench, "MEASUREMENTS", [fine, Measurement(("stopped",), fails)])
    file = tmp_path / "figures.json"
    with pytest.raises(ValueError, match="7 records are missing"):
        log_bench.main(TINY, json_file=file)
    assert "12,000" in capsys.readouterr().out
    assert [row["row"] for row in json.loads(file.read_text())] == ["unary-64"]
