"""Each known attack against a server of ours: it is answered, a healthy client is served, memory stays bounded."""

from __future__ import annotations

import pytest

from ride_trio_loadgen.bench.attack_bench import MOST_GROWTH_BYTES, RATE_HZ, attack
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
