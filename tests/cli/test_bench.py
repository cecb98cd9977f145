"""`ride-trio bench`: options in, exit code out."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ride_trio_cli import bench
from ride_trio_cli.main import app


@pytest.mark.parametrize(("bound_holds", "exit_code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_the_bound_holds(
    bound_holds: bool, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def main(messages: int, rounds: int) -> bool:
        seen.append((messages, rounds))
        return bound_holds

    monkeypatch.setattr("ride_trio_loadgen.bench.rpc.main", main)
    monkeypatch.setattr(bench, "_PEERS", ())
    done = CliRunner().invoke(app, ["bench", "rpc", "--messages", "10", "--rounds", "2"])
    assert (done.exit_code, seen) == (exit_code, [(10, 2)])


def test_a_missing_peer_is_one_line_that_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_PEERS", ("no_such_engine",))
    done = CliRunner().invoke(app, ["bench", "rpc"])
    assert (done.exit_code, done.stderr) == (
        1,
        "ride-trio: no_such_engine not installed: pip install 'ride-trio[bench]'\n",
    )
