"""Each known attack against a server of ours: it is answered, a healthy client is served, memory stays bounded."""

from __future__ import annotations

import pytest

from ride_trio_loadgen.bench.attack_bench import MOST_GROWTH_BYTES, RATE_HZ, attack
from ride_trio_loadgen.bench.attacks import ATTACKS

SECONDS = 0.5


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    result = attack(name, SECONDS)  # an echo that does not come raises
    assert result.calls == round(SECONDS * RATE_HZ)
    assert result.growth_bytes <= MOST_GROWTH_BYTES
    if ATTACKS[name].calm:
        assert "ENHANCE_YOUR_CALM" in result.answers
