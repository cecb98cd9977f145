"""Each known attack against a server of ours: it is answered, a healthy client is served, memory stays bounded."""

from __future__ import annotations

import pytest

from ride_trio_loadgen.bench.attack_bench import (
    MOST_GROWTH_BYTES,
    RATE_HZ,
    AttackResult,
    attack,
    with_second_looks,
)
from ride_trio_loadgen.bench.attacks import ATTACKS

SECONDS = 0.5
PATIENCE_S = 10.0


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    known = ATTACKS[name]
    result = attack(name, SECONDS, patience_s=0.001 if known.in_time else PATIENCE_S)  # a missing echo raises
    assert result.calls == round(SECONDS * RATE_HZ)
    assert result.growth_bytes <= MOST_GROWTH_BYTES
    assert result.chunks >= known.connections
    if not known.in_time:
        assert known.answer in result.answers


@pytest.mark.parametrize("name", [name for name, known in ATTACKS.items() if known.in_time])
def test_an_attack_whose_time_is_up(name: str) -> None:
    result = attack(name, SECONDS, patience_s=PATIENCE_S, give_up_s=0.5)
    assert ATTACKS[name].answer in result.answers


@pytest.mark.parametrize(
    ("p99s", "counts", "holds"),
    [([2.9], 2.9, True), ([16.0, 1.2, 2.0], 2.0, True), ([4.0, 3.5, 1.0], 3.5, False), ([3.1, 9.0, 9.5], 9.0, False)],
)
def test_a_p99_that_is_too_high_is_looked_at_again_and_the_median_counts(
    p99s: list[float], counts: float, holds: bool
) -> None:
    left = [AttackResult("a", 0.5, 0.8, 0.5, p99, 100.0 * p99, 600, 1, "") for p99 in p99s]
    result = with_second_looks(lambda: left.pop(0))
    assert (result.p99_beside_ms, result.looks, result.holds) == (counts, len(p99s), holds)
    assert result.growth_bytes == 100.0 * max(p99s)
    assert left == []
