"""Every row at a tiny scale, against ours and its baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ride_trio_loadgen.bench import rpc
from ride_trio_loadgen.bench.echo import BARE_TRIO, CORO, GRPC_AIO
from ride_trio_loadgen.bench.rpc_rows import ACKS_ONLY, ENGINES, MEASUREMENTS, SERVE, Scale

TINY = Scale(messages=200, rounds=1, idle_streams=20, opened=100, sessions=20)


def test_every_row_is_measured_for_ours_and_its_baseline() -> None:
    pytest.importorskip("grpc")
    results = rpc.run(TINY, engines=(CORO, GRPC_AIO, BARE_TRIO, SERVE, ACKS_ONLY))
    assert tuple(results) == rpc.ROW_NAMES
    assert results["in-flight-1"].keys() == {CORO, GRPC_AIO, BARE_TRIO}
    assert results["broadcast-1000"].keys() == {CORO, GRPC_AIO}
    assert results["product-50"].keys() == {SERVE, ACKS_ONLY}
    assert results["opening"].keys() == {CORO}
    figures = {(name, engine): values for name, row in results.items() for engine, values in row.items()}
    assert {key for key, values in figures.items() if len(values) != TINY.rounds or values[0] < 0} == set()


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine not in (CORO, GRPC_AIO, BARE_TRIO)])
def test_every_other_engine_does_the_same_work(engine: str) -> None:
    pytest.importorskip("grpc")
    pytest.importorskip("grpclib")
    rows = ["many-a-frame", "in-flight-10", "connections-100", "unary-50", "broadcast-100", "product-1"]
    results = rpc.run(Scale(messages=100, rounds=1), rows, [engine])
    assert {name: set(row) for name, row in results.items()} == {
        name: {engine} for name in rows if any(name in m.rows and engine in m.engines for m in MEASUREMENTS)
    }


def test_rounds_are_interleaved_and_rows_can_be_chosen() -> None:
    pytest.importorskip("grpc")
    said: list[str] = []
    results = rpc.run(Scale(messages=100, rounds=2), ["in-flight-10"], [CORO, GRPC_AIO], said.append)
    assert [line.split(": ")[1].split(",")[0] for line in said] == [CORO, GRPC_AIO, CORO, GRPC_AIO]
    assert {name: sorted(map(len, row.values())) for name, row in results.items()} == {"in-flight-10": [2, 2]}


def test_a_bound_that_does_not_hold_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"unary-50": {CORO: [90.0, 60.0], GRPC_AIO: [100.0]}}
    monkeypatch.setattr(rpc, "run", lambda *_: slow)
    file = tmp_path / "figures.json"
    assert not rpc.main(TINY, json_file=file)
    assert "does not hold: unary-50: 0.75 of grpc.aio, at most 0.2 is allowed" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())
    assert row["rounds"] == slow["unary-50"]
    assert row["bounds"] == [{"at_most": 0.2, "of": GRPC_AIO, "holds": False}]


def test_bounds_that_hold_are_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "run", lambda *_: {"unary-50": {CORO: [10.0], GRPC_AIO: [100.0]}})
    assert rpc.main(TINY)
