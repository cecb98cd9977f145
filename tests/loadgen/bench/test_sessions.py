from __future__ import annotations

import pytest

from ride_trio_loadgen.bench import sessions
from ride_trio_loadgen.bench.child import child
from ride_trio_loadgen.bench.session_servers import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_heartbeat_of_every_session_is_acked(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc")
    monkeypatch.setattr(sessions, "INTERVAL_S", 0.5)
    monkeypatch.setattr(sessions, "WINDOW_S", 1.0)
    with child("ride_trio_loadgen.bench.session_servers", engine) as server:
        result = await sessions.measure(engine, server, 40, 4)
    assert result.sent == result.acked == 40 + 80  # on opening, and in the window
    assert result.bytes_a_session > 0
    assert result.cpu_us_a_heartbeat > 0
