"""What a run counts while it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

# Microseconds. An hour: nothing waits longer in a run; above it a value counts as this.
HIGHEST_US = 3_600_000_000
# Digits kept of each value, so a percentile is right to 0.1 %.
SIGNIFICANT_DIGITS = 3
# Bits that hold those digits; what is below them may be dropped before recording without changing a
# percentile.
KEPT_BITS = 11
# Different values that are kept as they are; with more, those bits are dropped.
ENTRIES_MAX = 100_000


class Latencies:
    """A distribution of times, kept as an HDR histogram in microseconds.

    `HdrHistogram.record_value` is plain Python and costs 2 us, as much as the rest of what happens to an ack.
    So `record` only counts equal values in a dict (0.2 us; values are cut to the histogram's own precision,
    which bounds the dict at some 20,000 entries), and the histogram is filled when somebody asks.

    Who can't spare that either appends whole microseconds to `fresh_us` and calls `fold` now and then (0.05 us each).
    """

    __slots__ = ("_counts", "_max_us", "count", "fresh_us")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._max_us = 0
        self.count = 0
        self.fresh_us: list[int] = []

    def record(self, seconds: float) -> None:
        """Count one time; below 0 counts as 0."""
        value_us = max(0, min(HIGHEST_US, round(seconds * 1e6)))
        self._max_us = max(self._max_us, value_us)
        value_us = _cut(value_us)
        self._counts[value_us] = self._counts.get(value_us, 0) + 1
        self.count += 1

    def fold(self) -> None:
        """Count what is in `fresh_us`."""
        if not self.fresh_us:
            return
        self._counts.update(self.fresh_us)
        self.count += len(self.fresh_us)
        self._max_us = max(self._max_us, min(HIGHEST_US, max(self.fresh_us)))
        self.fresh_us.clear()
        if len(self._counts) > ENTRIES_MAX:
            counts, self._counts = self._counts, Counter()
            for value_us, times in counts.items():
                self._counts[_cut(value_us)] += times

    def histogram(self) -> HdrHistogram:
        """All that was recorded, in microseconds."""
        self.fold()
        histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        for value_us, times in self._counts.items():
            histogram.record_value(max(0, min(HIGHEST_US, value_us)), times)
        return histogram

    def summary_ms(self) -> dict[str, float]:
        """p50, p99, p999 and max in milliseconds, all 0 if nothing was recorded, and `count`."""
        self.fold()
        at = self.histogram().get_percentile_to_value_dict([50.0, 99.0, 99.9]) if self.count else {}
        return {
            "p50": min(at.get(50.0, 0), self._max_us) / 1e3,
            "p99": min(at.get(99.0, 0), self._max_us) / 1e3,
            "p999": min(at.get(99.9, 0), self._max_us) / 1e3,
            "max": self._max_us / 1e3,
            "count": self.count,
        }


def _cut(value_us: int) -> int:
    """The value without the bits that the histogram would not keep."""
    dropped_bits = max(0, value_us.bit_length() - KEPT_BITS)
    return value_us >> dropped_bits << dropped_bits


@dataclass(slots=True)
class ErrorKind:
    """One way in which the run went wrong: how often, and the first case in words."""

    count: int
    example: str


@dataclass(slots=True)
class ErrorCounts:
    """What went wrong, by kind."""

    errors: dict[str, ErrorKind] = field(default_factory=dict)

    def error(self, kind: str, example: str, times: int = 1) -> None:
        """Count `times` cases of `kind`; the first one's words are kept.

        Args:
            kind: stable, lower case with underscores; a code of the server's may follow a colon.
        """
        seen = self.errors.get(kind)
        if seen is None:
            self.errors[kind] = ErrorKind(times, example)
        else:
            seen.count += times

    @property
    def error_count(self) -> int:
        return sum(kind.count for kind in self.errors.values())


@dataclass(slots=True)
class Tally(ErrorCounts):
    """The counters of a run. Written by the sessions and the ledger, read by progress and report."""

    sessions: int = 0  # opened
    live: int = 0  # open now
    sent: int = 0  # envelopes that want an ack: all but Hello
    acked: int = 0  # acks that answer an envelope, once each
    broadcasts: int = 0
    requests: int = 0  # LOOKING said; looking again after a lost driver is not another
    matches: int = 0  # MatchEvents that riders got
    no_driver: int = 0
    driver_lost: int = 0
    bytes_sent: int = 0  # of serialized envelopes, without framing
    bytes_received: int = 0
    ack: Latencies = field(default_factory=Latencies)  # from when the envelope was due to its ack
    match: Latencies = field(default_factory=Latencies)  # from when the LOOKING was due to the rider's MatchEvent
