"""`ride-trio bench`: options in, exit code out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ride_trio_cli import bench
from ride_trio_cli.main import app
from ride_trio_loadgen.bench.log_setup import Scale as LogScale
from ride_trio_loadgen.bench.rpc_rows import Scale


@pytest.mark.parametrize(("bound_holds", "exit_code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_the_bound_holds(
    bound_holds: bool, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def main(scale: Scale, rows: Any, engines: Any, *, details: bool, json_file: Path | None) -> bool:
        seen.append((scale, rows, engines, details, json_file))
        return bound_holds

    monkeypatch.setattr("ride_trio_loadgen.bench.rpc.main", main)
    monkeypatch.setattr(bench, "_PEERS", ())
    options = ["--messages", "100", "--rounds", "2", "--rows", "memory, unary-50", "--engines", "sink,aio"]
    done = CliRunner().invoke(app, ["bench", "rpc", *options, "--details", "--json", "figures.json"])
    assert done.exit_code == exit_code
    engines = ["ride-trio (sink)", "grpc.aio", "grpc.aio, acks only"]
    expected = (Scale(messages=100, rounds=2), ["memory", "unary-50"], engines, True, Path("figures.json"))
    assert seen == [expected]


@pytest.mark.parametrize(
    ("option", "text", "line"),
    [
        ("--rows", "memory,nothing", "ride-trio: --rows nothing: allowed are many-a-frame, in-flight-100,"),
        ("--engines", "carrier pigeon", "ride-trio: --engines carrier pigeon: allowed are ride-trio (coroutine),"),
    ],
)
def test_an_unknown_row_or_engine_is_one_line_that_names_those_there_are(
    option: str, text: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_PEERS", ())
    done = CliRunner().invoke(app, ["bench", "rpc", option, text])
    assert done.exit_code == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_missing_peer_is_one_line_that_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_PEERS", ("no_such_engine",))
    done = CliRunner().invoke(app, ["bench", "rpc"])
    assert (done.exit_code, done.stderr) == (
        1,
        "ride-trio: no_such_engine not installed: pip install 'ride-trio[bench]'\n",
    )


@pytest.mark.parametrize(("bounds_hold", "exit_code"), [(True, 0), (False, 1)])
def test_the_log_is_measured_as_it_was_asked_for(
    bounds_hold: bool, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def main(scale: LogScale, rows: Any, *, details: bool, json_file: Path | None) -> bool:
        seen.append((scale, rows, details, json_file))
        return bounds_hold

    monkeypatch.setattr("ride_trio_loadgen.bench.log_bench.main", main)
    monkeypatch.setattr(bench, "_PEERS", ())
    options = ["--rounds", "2", "--seconds", "1.5", "--rows", "tails-10, stopped", "--json", "figures.json"]
    done = CliRunner().invoke(app, ["bench", "log", *options])
    assert done.exit_code == exit_code
    assert seen == [(LogScale(rounds=2, seconds=1.5), ["tails-10", "stopped"], False, Path("figures.json"))]


def test_an_unknown_row_of_the_log_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_PEERS", ())
    done = CliRunner().invoke(app, ["bench", "log", "--rows", "nothing"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("ride-trio: --rows nothing: allowed are produce-100, produce-100-mb,")


def test_the_long_run_is_as_long_as_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr("ride_trio_loadgen.bench.log_long.main", lambda *given: seen.append(given) or True)
    done = CliRunner().invoke(app, ["bench", "log-long", "--gigabytes", "0.5", "--rate", "20"])
    assert (done.exit_code, seen) == (0, [(0.5, 20.0, None)])
