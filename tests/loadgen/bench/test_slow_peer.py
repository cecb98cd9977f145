from __future__ import annotations

import pytest

from ride_trio_loadgen.bench import slow_peer
from ride_trio_loadgen.bench.child import child


async def test_a_round_times_every_ack_of_the_healthy_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_peer, "ROUND_S", 1.0)
    monkeypatch.setattr(slow_peer, "HEALTHY", 5)
    with child("ride_trio_loadgen.bench.session_servers", slow_peer.ENGINE) as server:
        result = await slow_peer.one_round(server.port, "test", slow=2)
    assert 0 < result.p50_ms <= result.p99_ms < 5_000
