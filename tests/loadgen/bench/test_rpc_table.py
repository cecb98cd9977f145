from __future__ import annotations

import io

from rich.console import Console

from ride_trio_loadgen.bench.echo import BARE_TRIO, CORO, GRPC_AIO
from ride_trio_loadgen.bench.rpc_rows import ACKS_ONLY, SERVE, Bound
from ride_trio_loadgen.bench.rpc_table import Results, broken, holds, ratio, table

RESULTS: Results = {
    "in-flight-1": {CORO: [50.0, 90.0, 40.0], GRPC_AIO: [100.0], BARE_TRIO: [30.0]},
    "memory": {CORO: [5_000.0], GRPC_AIO: [20_000.0]},
    "opening": {CORO: [1.2]},
    "product-1": {SERVE: [30.0], ACKS_ONLY: [120.0]},
}


def _text(results: Results, *, details: bool = False) -> str:
    out = Console(file=io.StringIO(), width=170)
    out.print(table(results, details=details))
    return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_table_gives_medians_ratios_and_bounds() -> None:
    lines = _text(RESULTS).splitlines()
    (echo,) = (line for line in lines if "echo, 1 in flight" in line)
    assert [cell.strip() for cell in echo.split("│")[1:7]] == [
        "echo, 1 in flight, us", "50.0", "100", "30.0", "0.50", "<= 0.85: holds",
    ]  # fmt: skip
    assert "<= 1.60 of bare trio: BROKEN" in lines[lines.index(echo) + 1]
    (product,) = (line for line in lines if "acked position, 1" in line)
    assert "1/4.0" in product


def test_details_show_the_spread() -> None:
    assert "40.0 - 90.0" in _text(RESULTS, details=True)
    assert "40.0 - 90.0" not in _text(RESULTS)


def test_ratios_are_between_medians_and_none_without_both() -> None:
    assert ratio(RESULTS, "in-flight-1") == 0.5
    assert ratio(RESULTS, "opening", None) == 1.2
    assert ratio({"memory": {CORO: [1.0]}}, "memory") is None


def test_a_bound_holds_up_to_its_limit_and_is_open_if_not_measured() -> None:
    assert holds(RESULTS, "in-flight-1", Bound(0.5)) is True
    assert holds(RESULTS, "in-flight-1", Bound(0.49)) is False
    assert holds({"memory": {GRPC_AIO: [1.0]}}, "memory", Bound(1)) is None


def test_each_broken_bound_is_a_sentence() -> None:
    assert broken(RESULTS) == [
        "in-flight-1: 1.67 of bare trio, at most 1.6 is allowed",
        "memory: 0.25 of grpc.aio, at most 0.2 is allowed",
    ]
