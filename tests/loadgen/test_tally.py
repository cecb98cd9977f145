from __future__ import annotations

import pytest

from ride_trio_loadgen.tally import ENTRIES_MAX, HIGHEST_US, Latencies, Tally


def test_percentiles_of_a_known_distribution() -> None:
    latencies = Latencies()
    for value_us in range(1, 10_001):
        latencies.record(value_us / 1e6)
    summary = latencies.summary_ms()
    assert summary["p50"] == pytest.approx(5.0, rel=2e-3)
    assert summary["p99"] == pytest.approx(9.9, rel=2e-3)
    assert summary["p999"] == pytest.approx(9.99, rel=2e-3)
    assert summary["max"] == 10.0
    assert summary["count"] == 10_000


def test_cutting_to_the_histograms_precision_changes_no_percentile() -> None:
    latencies = Latencies()
    values_us = [7, 999, 1234, 56_789, 1_234_567, 45_678_901]
    for value_us in values_us:
        latencies.record(value_us / 1e6)
    plain = latencies.histogram()
    plain.reset()
    for value_us in values_us:
        plain.record_value(value_us)
    for percentile in (10, 30, 50, 70, 90, 100):
        expected = plain.get_value_at_percentile(percentile)
        assert latencies.histogram().get_value_at_percentile(percentile) == expected


def test_nothing_recorded_is_all_zeros() -> None:
    assert Latencies().summary_ms() == {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0, "count": 0}


def test_no_percentile_is_above_the_maximum() -> None:
    latencies = Latencies()
    latencies.record(1.234567)
    summary = latencies.summary_ms()
    assert summary["p50"] <= summary["max"] == 1234.567


def test_values_out_of_range_count_at_the_edge() -> None:
    latencies = Latencies()
    latencies.record(-1.0)
    latencies.record(1e9)
    assert latencies.summary_ms()["max"] == 3_600_000.0
    assert latencies.count == 2


def test_fresh_values_count_like_recorded_ones() -> None:
    recorded, appended = Latencies(), Latencies()
    for value_us in (3, 999, 1234, 1234, 56_789, 45_678_901):
        recorded.record(value_us / 1e6)
        appended.fresh_us.append(value_us)
    assert appended.summary_ms() == recorded.summary_ms()
    assert (appended.count, appended.fresh_us) == (6, [])


def test_fresh_values_out_of_range_count_at_the_edge() -> None:
    latencies = Latencies()
    latencies.fresh_us += [-5, HIGHEST_US + 7]
    assert latencies.summary_ms() == {
        "p50": 0.0,
        "p99": 3_600_000.0,
        "p999": 3_600_000.0,
        "max": 3_600_000.0,
        "count": 2,
    }


def test_many_different_fresh_values_cost_no_memory_and_no_precision() -> None:
    latencies, values = Latencies(), range(0, 3 * ENTRIES_MAX * 7, 7)
    for start in range(0, len(values), 1000):
        latencies.fresh_us += values[start : start + 1000]
        latencies.fold()
        assert len(latencies._counts) <= ENTRIES_MAX
    assert latencies.count == len(values)
    assert latencies.summary_ms()["p99"] == pytest.approx(values[-1] * 0.99 / 1e3, rel=2e-3)


def test_an_error_kind_keeps_its_first_example() -> None:
    tally = Tally()
    tally.error("ack_twice", "the first")
    tally.error("ack_twice", "the second", 3)
    assert tally.error_count == 4
    assert tally.errors["ack_twice"].example == "the first"
