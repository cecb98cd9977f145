from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ride_trio_loadgen.plan import PlanError, RidesPlan, Snapshot
from tests.loadgen.runs import CITY, REPLAY


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rate_hz": 0.0}, "^rate_hz 0.0: must be above 0$"),
        ({"speedup": -1.0}, "speedup"),
        ({"drivers": -1}, "drivers -1: must not be below 0"),
        ({"drivers": 0, "riders": 0}, "nobody in the city"),
        ({"duration_s": math.inf}, "only a replay"),
        ({"duration_s": math.nan}, "duration_s nan"),
        ({"rate_hz": math.inf}, "rate_hz inf: must be finite"),
        ({"speedup": math.inf}, "speedup inf: must be finite"),
        ({"match_timeout_s": math.inf}, "match_timeout_s inf: must be finite"),
        ({"heartbeat_s": math.inf}, "heartbeat_s inf: must be finite"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, float], complaint: str) -> None:
    values = {"drivers": 1, "riders": 1, "duration_s": 1.0, "rate_hz": 1.0} | wrong
    with pytest.raises(PlanError, match=complaint):
        RidesPlan("host", 1, **values)  # type: ignore[arg-type]


def test_connections_are_about_one_for_100_sessions() -> None:
    assert [CITY.connections_for(sessions) for sessions in (1, 200, 201, 5_000)] == [2, 2, 3, 50]
    assert RidesPlan("host", 1, 1, 1, 1.0, 1.0, connections=7).connections_for(5_000) == 7


def test_the_json_tells_who_was_there() -> None:
    city, replay = CITY.to_json(), REPLAY.to_json()
    assert (city["target"], city["drivers"], city["riders"], city["duration_s"]) == ("host:1", 6, 8, 60.0)
    assert (replay["traces"], replay["duration_s"]) == (1, None)
    assert "drivers" not in replay


def test_a_snapshot_mentions_errors_only_when_there_are_any() -> None:
    figures = {"live": 12, "sent": 3, "acked": 3, "broadcasts": 9, "requests": 5, "open_requests": 1, "matches": 4}
    snapshot = Snapshot(stage="running", elapsed_s=0.0, total_s=30.0, no_driver=0, errors=0, **figures)
    assert "error" not in snapshot.describe()
    assert replace(snapshot, errors=3).describe().endswith(", 3 errors")
