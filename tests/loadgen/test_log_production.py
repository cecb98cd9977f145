from __future__ import annotations

import pytest
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageResponse
from ride_trio_loadgen.log_ledger import record_number
from ride_trio_loadgen.log_production import Pace, Producer, Production
from ride_trio_loadgen.log_records import STICKY_BYTES, Requests, Values
from ride_trio_loadgen.log_tally import LogTally

Acked = list[tuple[int, int, int]]


class Silent(Producer):
    async def run(self) -> None:
        """It only counts."""


def production_of(acked: Acked, partitions: int = 1) -> Production:
    requests = Requests("t", partitions, -1, Values(7, STICKY_BYTES, 1), idempotent=False)
    return Production(requests, LogTally(), lambda *of: acked.append(of), in_flight=4, idempotent=False)


@pytest.mark.parametrize("interval_s", [0.25, 0.1, 1 / 3])
def test_a_pace_knows_when_each_record_is_due_and_how_many_are(interval_s: float) -> None:
    pace = Pace(start_s=100.0, interval_s=interval_s)
    assert [pace.due_by(time_s) for time_s in (0.0, 99.9, 100.0)] == [0, 0, 1]
    for sequence in range(1, 50):
        due_s = pace.due_s(sequence)
        assert (pace.due_by(due_s - 1e-6), pace.due_by(due_s + 1e-6)) == (sequence, sequence + 1)


async def test_an_acknowledged_record_is_counted_timed_and_told(autojump_clock: trio.testing.MockClock) -> None:
    acked: Acked = []
    production = production_of(acked, partitions=3)
    producer = Silent(2, production)
    from_s = trio.current_time()
    await trio.sleep(0.25)
    producer._count(5, from_s, ProduceMessageResponse(partition=(2 + 5) % 3, offset=77))
    assert acked == [((2 + 5) % 3, 77, record_number(2, 5))]
    tally = production.tally
    assert (tally.acked, tally.last_acked_s, tally.errors) == (1, from_s + 0.25, {})
    assert tally.produce.summary_ms()["max"] == 250.0


async def test_a_refused_record_is_an_error_by_its_code_and_nothing_is_acknowledged() -> None:
    acked: Acked = []
    production = production_of(acked)
    Silent(2, production)._count(5, 0.0, ProduceMessageResponse(error="MESSAGE_TOO_LARGE: 9 bytes"))
    error = production.tally.errors["refused:MESSAGE_TOO_LARGE"]
    assert (error.count, error.example) == (1, "producer 2: record 5: MESSAGE_TOO_LARGE: 9 bytes")
    assert (acked, production.tally.acked) == ([], 0)


async def test_an_answer_of_another_partition_is_an_error() -> None:
    acked: Acked = []
    production = production_of(acked, partitions=3)
    Silent(0, production)._count(5, 0.0, ProduceMessageResponse(partition=1))
    words = "producer 0: record 5 for partition 2 is answered with 1"
    assert production.tally.errors["wrong_partition"].example == words
    assert acked == []


async def test_holding_releasing_and_stopping_reach_who_waits_and_who_is_to_be_woken() -> None:
    production, woken = production_of([]), []
    production.wakes.append(lambda: woken.append(production.held))
    production.hold()
    assert (production.held, production.released.is_set(), woken) == (True, False, [])
    production.release()
    assert (production.held, production.released.is_set(), woken) == (False, True, [False])
    production.hold()
    production.stop()
    assert (production.stopping, production.stopped.is_set(), production.released.is_set()) == (True, True, True)
    assert len(woken) == 2


async def test_what_is_due_and_not_sent_is_known() -> None:
    producer = Silent(0, production_of([]), Pace(100.0, 0.5))
    producer.sent = 3
    assert (producer.behind(104.1), producer.behind(99.0)) == (6, 0)
    assert Silent(0, production_of([])).behind(1e9) == 0
