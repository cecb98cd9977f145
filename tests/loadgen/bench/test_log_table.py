from __future__ import annotations

import io
import json

from rich.console import Console

from ride_trio_loadgen.bench.log_rows import Bound
from ride_trio_loadgen.bench.log_setup import Figure
from ride_trio_loadgen.bench.log_table import Results, as_json, broken, holds, ratio, table

RESULTS: Results = {
    "produce-1k": [Figure(40_000, 100_000), Figure(60_000, 90_000), Figure(45_000, 60_000)],
    "consume-hot": [Figure(160_000)],
    "synced-p99": [Figure(9.0, 1.0)],
    "tails-10": [Figure(6.0)],
}
LITTLE_ROOM: Results = {"produce-1k": [Figure(40_000, 50_000)]}


def _text(results: Results, *, details: bool = False) -> list[str]:
    out = Console(file=io.StringIO(), width=170)
    out.print(table(results, details=details))
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_the_table_gives_medians_ratios_and_bounds() -> None:
    lines = _text(RESULTS)
    (produced,) = (line for line in lines if "produce 1 KB" in line)
    assert [cell.strip() for cell in produced.split("│")[1:8]] == [
        "produce 1 KB, acks=-1", "records/s", "45,000", "90,000", "append + fdatasync", "0.67",
        ">= 0.6 of beside: holds",
    ]  # fmt: skip
    assert ">= 50,000: BROKEN" in lines[lines.index(produced) + 1]
    assert "<= 8 of beside: BROKEN" in next(line for line in lines if "acks=-1, p99" in line)


def test_details_show_the_spread() -> None:
    assert any("40,000 - 60,000" in line and "60,000 - 100,000" in line for line in _text(RESULTS, details=True))
    assert not any("40,000 - 60,000" in line for line in _text(RESULTS))


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert ratio(RESULTS["produce-1k"]) == 60_000 / 90_000
    assert ratio(RESULTS["consume-hot"]) is None


def test_bounds_hold_up_to_their_limits() -> None:
    assert holds([Figure(5.0)], Bound(most=5)) is True
    assert holds([Figure(5.1)], Bound(most=5)) is False
    assert holds([Figure(6.0, 10.0)], Bound(least=0.6, of_beside=True)) is True
    assert holds([Figure(5.9, 10.0)], Bound(least=0.6, of_beside=True)) is False


def test_a_bound_is_not_asked_for_where_what_stands_beside_leaves_no_room() -> None:
    assert holds([Figure(29.0, 50.0)], Bound(least=30, room=0.6)) is False
    assert holds([Figure(29.0, 49.0)], Bound(least=30, room=0.6)) is None
    assert any(">= 50,000: no room" in line for line in _text(LITTLE_ROOM))
    assert broken(LITTLE_ROOM) == []


def test_each_broken_bound_is_a_sentence() -> None:
    assert broken(RESULTS) == [
        "produce-1k: 4.5e+04 records/s, at least 50000 is allowed",
        "synced-p99: 9 of fdatasync, at most 8 is allowed",
        "tails-10: 6 us, at most 5 is allowed",
    ]


def test_json_has_every_figure_and_what_became_of_the_bounds() -> None:
    produced, consumed, *_ = json.loads(as_json(RESULTS))
    assert produced["ours"] == [40_000, 60_000, 45_000]
    assert produced["beside_is"] == "append + fdatasync"
    assert produced["medians"] == {"ours": 45_000, "beside": 90_000}
    assert [bound["holds"] for bound in produced["bounds"]] == [True, False]
    assert (consumed["beside"], consumed["ratio"]) == ([None], None)
