from __future__ import annotations

from ride_trio_loadgen.log_counts import LogCounts
from ride_trio_loadgen.tally import ErrorCounts


def kinds(counts: LogCounts, *ends: int) -> dict[str, int]:
    counts.finish(ends)
    return {kind: error.count for kind, error in counts.errors.errors.items()}


def counts_of(*offsets: int) -> LogCounts:
    """A topic whose partition 1 was at 100, and records acknowledged there."""
    counts = LogCounts([0, 100], ErrorCounts())
    for number, offset in enumerate(offsets):
        counts.acked(1, offset, number)
    return counts


def test_offsets_that_fit_the_ends_are_right() -> None:
    assert kinds(counts_of(101, 100, 102), 0, 103) == {}


def test_others_may_produce_meanwhile() -> None:
    assert kinds(counts_of(100, 105), 7, 110) == {}


def test_an_end_before_an_acknowledged_record_means_missing_ones() -> None:
    counts = counts_of(100, 101, 102)
    assert kinds(counts, 0, 101) == {"missing": 2}
    words = "partition 1 ends at 101; a record was acknowledged at offset 102"
    assert counts.errors.errors["missing"].example == words


def test_more_records_than_offsets_were_answered_twice() -> None:
    counts = counts_of(100, 101, 101, 100, 102)
    assert kinds(counts, 0, 103) == {"offset_answered_twice": 2}
    words = "partition 1: 5 records at offsets from 100 to 102"
    assert counts.errors.errors["offset_answered_twice"].example == words
