"""Whole runs against the log in memory, in mock time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesRequest, ProduceMessageResponse
from ride_trio_loadgen import log_run
from ride_trio_loadgen.log_plan import Acks, LogPlan, LogSnapshot
from ride_trio_loadgen.log_report import LogReport
from ride_trio_loadgen.log_run import ANSWER_TIMEOUT_S, LOOK_S, QUIET_S, STOPPED_TIMEOUT_S, perform
from ride_trio_loadgen.log_topic import LogTopicError
from tests.loadgen.fake_log import FakeLog, FakePartition, connect

# Records that a commit of the log takes: all that is in flight. One a second.
IN_FLIGHT = 12
PLAN = LogPlan("host", 1, "t", producers=3, record_bytes=100, duration_s=9.9, in_flight=4, partitions=2)
RECORDS = 10 * IN_FLIGHT


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(commit_s=1.0)


async def run(
    plan: LogPlan,
    log: FakeLog,
    progress: Callable[[LogSnapshot], None] | None = None,
    stop: trio.Event | None = None,
) -> LogReport:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        report = await perform(plan, lambda: connect(nursery, log), progress, stop)
        nursery.cancel_scope.cancel()
    return report


async def test_everything_that_is_acknowledged_is_read_back(log: FakeLog, autojump_clock: MockClock) -> None:
    report = await run(PLAN, log)
    assert (report.failed, report.errors, report.check) == (False, {}, "ok")
    tally = report.tally
    assert (tally.sent, tally.acked, tally.consumed, report.unacknowledged) == (RECORDS, RECORDS, RECORDS, 0)
    # Three producers, who stay where they begin: at partitions 0, 1 and 0.
    assert [len(partition.entries) for partition in log.topics["t"]] == [RECORDS // 3 * 2, RECORDS // 3]
    assert report.acked_per_s == pytest.approx(IN_FLIGHT, rel=0.01)
    assert tally.produce.summary_ms()["p50"] == tally.end_to_end.summary_ms()["p50"] == 1000.0


@pytest.mark.parametrize("acks", Acks)
async def test_the_acks_that_were_asked_for_are_asked_for(acks: Acks, log: FakeLog, autojump_clock: MockClock) -> None:
    log.requests = []
    report = await run(replace(PLAN, acks=acks), log)
    assert not report.failed
    assert {request.required_acks for request in log.requests} == {int(acks)}


async def test_unary_calls_are_as_many_producers_as_are_in_flight(log: FakeLog, autojump_clock: MockClock) -> None:
    report = await run(replace(PLAN, unary=True), log)
    assert (report.errors, report.tally.acked, report.tally.consumed) == ({}, RECORDS, RECORDS)


async def test_idempotent_producers_carry_ids(log: FakeLog, autojump_clock: MockClock) -> None:
    report = await run(replace(PLAN, idempotent=True), log)
    assert (report.errors, len(log.ids)) == ({}, RECORDS)


async def test_a_rate_is_kept_and_what_could_not_be_sent_is_told(log: FakeLog, autojump_clock: MockClock) -> None:
    report = await run(replace(PLAN, rate=6.0), log)
    assert (report.errors, report.behind) == ({}, 0)
    assert report.tally.acked == pytest.approx(60, abs=1)
    report = await run(replace(PLAN, rate=24.0), log)
    assert report.tally.acked == RECORDS
    assert report.behind == pytest.approx(RECORDS, abs=IN_FLIGHT)


async def test_without_consumers_answers_are_held_against_the_topics_ends(
    log: FakeLog, autojump_clock: MockClock
) -> None:
    plan = replace(PLAN, consumers=0)
    report = await run(plan, log)
    assert (report.errors, report.tally.acked, report.tally.consumed) == ({}, RECORDS, 0)

    def twice(answer: ProduceMessageResponse) -> None:
        answer.offset //= 2

    log.misanswers = twice
    report = await run(replace(plan, topic="other"), log)
    assert report.errors == {"offset_answered_twice": RECORDS // 2}


async def test_without_producers_the_topic_is_read_to_where_it_ended(log: FakeLog, autojump_clock: MockClock) -> None:
    await run(PLAN, log)
    report = await run(replace(PLAN, producers=0, duration_s=1000.0), log)
    assert (report.errors, report.tally.consumed, report.tally.foreign) == ({}, RECORDS, RECORDS)
    assert report.wall_s < 2 * LOOK_S


async def test_a_topic_that_has_records_is_read_from_its_end(log: FakeLog, autojump_clock: MockClock) -> None:
    await run(PLAN, log)
    report = await run(PLAN, log)
    assert (report.errors, report.tally.consumed, report.tally.foreign) == ({}, RECORDS, 0)


async def test_a_topic_that_cannot_be_loaded_ends_it_before_it_begins(log: FakeLog) -> None:
    with trio.fail_after(5), pytest.raises(ExceptionGroup) as caught:
        await run(replace(PLAN, partitions=0), log)
    assert caught.group_contains(LogTopicError)


async def test_stop_ends_it_early_and_it_still_checks_everything(log: FakeLog, autojump_clock: MockClock) -> None:
    stop, stages = trio.Event(), list[str]()

    def progress(snapshot: LogSnapshot) -> None:
        stages.append(snapshot.stage)
        if snapshot.elapsed_s > 2.5:
            stop.set()

    report = await run(PLAN, log, progress, stop)
    assert report.wall_s < 5.0
    assert report.errors == {}
    assert report.tally.acked == report.tally.consumed == 3 * IN_FLIGHT
    assert list(dict.fromkeys(stages)) == ["running", "waiting for answers"]


async def test_progress_has_the_figures(log: FakeLog, autojump_clock: MockClock) -> None:
    seen: list[LogSnapshot] = []
    await run(PLAN, log, seen.append)
    assert len(seen) > PLAN.duration_s / LOOK_S
    last = seen[-1]
    assert (last.sent, last.acked, last.consumed, last.total_s) == (RECORDS, RECORDS, RECORDS, PLAN.duration_s)


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(
    log: FakeLog, autojump_clock: MockClock, stopped: bool
) -> None:
    log.deaf = True
    stop = trio.Event()

    def progress(snapshot: LogSnapshot) -> None:
        if stopped and snapshot.sent:
            stop.set()

    report = await run(PLAN, log, progress, stop)
    assert report.errors == {"unanswered": IN_FLIGHT}
    expected_s = STOPPED_TIMEOUT_S if stopped else PLAN.duration_s + ANSWER_TIMEOUT_S
    assert expected_s <= report.wall_s <= expected_s + 7.0


def lose(offset: int, entry: bytes) -> list[bytes]:
    return [] if offset % 10 == 3 else [entry]


def double(offset: int, entry: bytes) -> list[bytes]:
    return [entry, entry] if offset % 10 == 3 else [entry]


def swap(answer: ProduceMessageResponse) -> None:
    answer.offset ^= 1


def to_another_partition(answer: ProduceMessageResponse) -> None:
    answer.partition ^= 1


@pytest.mark.parametrize(
    ("misbehaviour", "kinds"),
    [
        ({"tampers": lose}, {"missing", "offsets_not_dense"}),
        ({"tampers": double}, {"doubled", "offset_backward"}),
        ({"misanswers": swap}, {"wrong_record"}),
        ({"misanswers": to_another_partition}, {"wrong_partition"}),
        ({"refuses": "LOG_FULL: no room"}, {"refused:LOG_FULL"}),
    ],
)
async def test_what_a_server_does_wrong_is_found(
    log: FakeLog, autojump_clock: MockClock, misbehaviour: dict[str, Any], kinds: set[str]
) -> None:
    for name, value in misbehaviour.items():
        setattr(log, name, value)
    report = await run(PLAN, log)
    assert report.failed
    assert set(report.errors) == kinds


class StuckLog(FakeLog):
    """Serves the first records only."""

    async def ConsumeMessages(self, message: ConsumeMessagesRequest, request: Any) -> None:
        partition = self.topics[message.topic][message.partition]
        while not partition.entries:
            await partition.lot.park()
        await request.send_encoded(b"".join(partition.entries[:1]))
        await trio.sleep_forever()


async def test_reading_that_gets_nowhere_is_given_up(autojump_clock: MockClock) -> None:
    report = await run(PLAN, StuckLog(commit_s=1.0))
    assert report.errors == {"missing": RECORDS - 2}
    assert PLAN.duration_s + QUIET_S <= report.wall_s <= PLAN.duration_s + QUIET_S + 2.0


async def test_producers_wait_for_consumers_that_are_far_behind(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(log_run, "UNREAD_MAX", 30)
    report = await run(PLAN, StuckLog(commit_s=1.0))
    assert report.tally.acked == 3 * IN_FLIGHT + IN_FLIGHT  # what was acknowledged then, and what was in flight
    assert report.held_s > 5.0


@pytest.mark.parametrize(
    ("consumers", "partitions", "connections"), [(1, 2, 1), (3, 2, 2), (0, 2, 0), (1, 1_200, 3), (5, 1_200, 5)]
)
async def test_consumers_share_the_partitions_and_no_connection_has_too_many(
    log: FakeLog, autojump_clock: MockClock, consumers: int, partitions: int, connections: int
) -> None:
    made = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        plan = replace(PLAN, consumers=consumers, partitions=partitions, producers=2, connections=1, duration_s=1.5)

        def connect_and_count() -> Any:
            made.append(connect(nursery, log))
            return made[-1]

        report = await perform(plan, connect_and_count)
        nursery.cancel_scope.cancel()
    assert report.errors == {}
    assert len(made) == 1 + 1 + connections  # one that asks, one that the producers share


async def test_a_topic_deleted_meanwhile_cannot_be_checked(log: FakeLog, autojump_clock: MockClock) -> None:
    def progress(snapshot: LogSnapshot) -> None:
        if snapshot.stage == "waiting for answers" and snapshot.acked == snapshot.sent:
            log.topics.pop("t", None)

    report = await run(replace(PLAN, consumers=0), log, progress)
    assert report.errors == {"not_checked": 1}


async def test_partitions_of_a_topic_that_is_there_need_not_be_told(log: FakeLog, autojump_clock: MockClock) -> None:
    log.topics["t"] = [FakePartition() for _ in range(3)]
    report = await run(replace(PLAN, partitions=0), log)
    assert (report.partitions, report.errors) == (3, {})
