from __future__ import annotations

import json
import math

import pytest

from ride_trio_loadgen.log_plan import Acks, LogPlan, LogSnapshot
from ride_trio_loadgen.plan import PlanError


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"producers": -1}, "^producers -1: must not be below 0$"),
        ({"producers": 0, "consumers": 0}, "producers 0, consumers 0: nobody produces, and nobody consumes"),
        ({"record_bytes": 23}, "record_bytes 23: must be at least 24"),
        ({"duration_s": 0.0}, "duration_s 0.0: must be above 0"),
        ({"duration_s": math.inf}, "duration_s inf: must be finite"),
        ({"in_flight": 0}, "in_flight 0: must be above 0"),
        ({"rate": -1.0}, "rate -1.0: must not be below 0"),
        ({"rate": math.nan}, "rate nan: must not be below 0"),
        ({"rate": math.inf}, "rate inf: must be finite"),
        ({"partitions": -1}, "partitions -1"),
        ({"consumers": -1}, "consumers -1"),
        ({"connections": -1}, "connections -1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, float], complaint: str) -> None:
    values = {"topic": "t", "producers": 1, "record_bytes": 100, "duration_s": 1.0} | wrong
    with pytest.raises(PlanError, match=complaint):
        LogPlan("host", 1, **values)  # type: ignore[arg-type]


def test_the_json_tells_what_was_asked_for() -> None:
    plan = LogPlan("host", 1, "t", producers=2, record_bytes=100, duration_s=1.0, acks=Acks.ALL)
    data = json.loads(json.dumps(plan.to_json()))
    assert {"target": "host:1", "topic": "t", "producers": 2, "acks": -1, "in_flight": 64}.items() <= data.items()


def test_a_snapshot_mentions_errors_only_when_there_are_any() -> None:
    assert LogSnapshot("running", 0.0, 30.0, 3456, 3450, 99, 0).describe() == "3,456 sent, 3,450 acked, 99 consumed"
    assert LogSnapshot("running", 0.0, 30.0, 1, 1, 1, 3).describe().endswith(", 3 errors")
