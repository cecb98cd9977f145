"""A stream producer against the log in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import purerpc
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, ProduceMessageResponse
from ride_trio.rpc import Channel
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.log_ledger import record_number
from ride_trio_loadgen.log_producer import CLOSE_TIMEOUT_S, ProduceCall, StreamProducer
from ride_trio_loadgen.log_production import AGAIN_S, Pace, Production
from ride_trio_loadgen.log_records import STICKY_BYTES, Requests, Values
from ride_trio_loadgen.log_tally import LogTally
from tests.loadgen.fake_log import FakeLog, FakePartition, connect

Acked = tuple[int, int, int]  # partition, offset, number


class Bench:
    """A producer, the log that it produces to, and what it was told."""

    def __init__(
        self,
        nursery: trio.Nursery,
        in_flight: int = 4,
        idempotent: bool = False,
        partitions: int = 1,
        record_bytes: int = 100,
    ):
        self.nursery = nursery
        self.log = FakeLog(commit_s=1.0)
        self.log.topics["t"] = [FakePartition() for _ in range(partitions)]
        self.log.requests = []
        self.acked: list[Acked] = []
        self.timeline = Timeline()
        requests = Requests("t", partitions, -1, Values(7, record_bytes, 1), idempotent=idempotent)
        self.production = Production(
            requests, LogTally(), lambda *of: self.acked.append(of), in_flight, idempotent, self.timeline
        )
        nursery.start_soon(self.log.run)

    @property
    def errors(self) -> dict[str, int]:
        return {kind: error.count for kind, error in self.production.tally.errors.items()}

    @property
    def heard(self) -> list[int]:
        """The numbers of the records that have reached the server."""
        assert self.log.requests is not None
        return [int.from_bytes(request.record.value[8:16]) for request in self.log.requests]

    @asynccontextmanager
    async def producer(self, pace: Pace | None = None) -> AsyncIterator[StreamProducer]:
        """A producer that runs until the block ends; then it has stopped, and has all its answers."""
        async with connect(self.nursery, self.log) as channel, trio.open_nursery() as nursery:
            producer = StreamProducer(0, self.production, partial(open_stream, channel), pace)
            nursery.start_soon(producer.run)
            yield producer
            self.production.stop()

    def reset_calls(self) -> None:
        """The server's handlers fail: their calls end with a status, what they have not answered yet never is."""
        self.log._batch.clear()
        for call in self.log.calls:
            call.scope.cancel()


def open_stream(channel: Channel) -> Any:
    path = "/takhin.v1.TakhinService/ProduceMessageStream"
    return channel.open(path, ProduceMessageRequest, ProduceMessageResponse)


@pytest.fixture
def bench(nursery: trio.Nursery) -> Bench:
    return Bench(nursery)


def numbers(*sequences: int) -> list[int]:
    return [record_number(0, sequence) for sequence in sequences]


async def test_so_many_records_are_in_flight_and_each_answer_makes_room_for_one(
    bench: Bench, autojump_clock: MockClock
) -> None:
    async with bench.producer() as producer:
        await trio.sleep(0.5)
        assert (bench.heard, producer.sent, producer.answered) == (numbers(0, 1, 2, 3), 4, 0)
        await trio.sleep(1.0)
        assert (bench.heard, producer.sent, producer.answered) == (numbers(*range(8)), 8, 4)
    assert producer.finished
    assert bench.acked == [(0, offset, record_number(0, offset)) for offset in range(8)]
    assert (bench.production.tally.sent, bench.production.tally.acked, bench.errors) == (8, 8, {})


async def test_latency_is_from_sending_to_the_answer(bench: Bench, autojump_clock: MockClock) -> None:
    async with bench.producer():
        await trio.sleep(1.5)
    assert bench.production.tally.produce.summary_ms() == {
        "p50": 1000.0, "p99": 1000.0, "p999": 1000.0, "max": 1000.0, "count": 8,
    }  # fmt: skip


async def test_records_are_sent_when_they_are_due_and_not_before(bench: Bench, autojump_clock: MockClock) -> None:
    begin_s = trio.current_time()
    bench.nursery.start_soon(bench.timeline.run)
    async with bench.producer(Pace(begin_s + 0.2, 0.3)):
        for time_s, sent in ((0.1, 0), (0.25, 1), (0.45, 1), (0.55, 2), (0.85, 3)):
            await trio.sleep_until(begin_s + time_s)
            assert len(bench.heard) == sent
    assert len(bench.acked) == 3


async def test_a_record_that_had_to_wait_counts_from_when_it_was_due(bench: Bench, autojump_clock: MockClock) -> None:
    begin_s = trio.current_time()
    bench.nursery.start_soon(bench.timeline.run)
    async with bench.producer(Pace(begin_s, 0.1)) as producer:
        await trio.sleep_until(begin_s + 1.05)
        assert (len(bench.heard), producer.sent) == (8, 8)  # 4 wait for the first commit, and 4 could go after it
        assert producer.behind(trio.current_time()) == 3
    worst = bench.production.tally.produce.summary_ms()["max"]
    assert worst == pytest.approx(2000 - 400, abs=5)  # the fifth: due at 0.4 s, sent at 1 s, answered at 2 s


async def test_while_it_is_held_nothing_new_is_sent(bench: Bench, autojump_clock: MockClock) -> None:
    async with bench.producer():
        await trio.sleep(0.5)
        bench.production.hold()
        await trio.sleep(5.0)
        assert (len(bench.heard), len(bench.acked)) == (4, 4)
        bench.production.release()
        await wait_all_tasks_blocked()
        assert len(bench.heard) == 8


async def test_a_window_that_is_shut_holds_requests_and_loses_none(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench = Bench(nursery, in_flight=2_000)  # more than the 64 KiB of the stream's window
    async with bench.producer():
        await trio.sleep(3.5)
    assert bench.heard == numbers(*range(len(bench.heard)))
    assert len(bench.acked) == len(bench.heard) >= 6_000
    assert bench.errors == {}


@pytest.mark.parametrize("idempotent", [True, False])
async def test_after_a_lost_call_it_goes_on(nursery: trio.Nursery, autojump_clock: MockClock, idempotent: bool) -> None:
    bench = Bench(nursery, idempotent=idempotent)
    async with bench.producer() as producer:
        await trio.sleep(1.5)
        assert (producer.sent, producer.answered) == (8, 4)
        bench.reset_calls()
        await trio.sleep(AGAIN_S + 0.1)
        again = numbers(4, 5, 6, 7) if idempotent else numbers(8, 9, 10, 11)
        assert bench.heard == numbers(*range(8)) + again
    sequences = [number for _, _, number in bench.acked]
    assert sequences == numbers(0, 1, 2, 3) + again
    tally = bench.production.tally
    assert (tally.sent, tally.acked, tally.unanswered) == ((8, 8, 0) if idempotent else (12, 8, 4))
    assert bench.errors == {"status:CANCELLED": 1}


async def test_a_record_sent_again_counts_from_when_it_was_sent_first(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench, begin_s = Bench(nursery, idempotent=True), trio.current_time()
    async with bench.producer():
        await trio.sleep(0.5)
        bench.reset_calls()
        await trio.sleep_until(begin_s + 1.1)  # the batch that began at 0 s was committed at 1 s
    assert bench.production.tally.produce.summary_ms()["p50"] == 1000.0


async def test_who_is_stopped_while_a_call_is_lost_still_sends_again_what_was_not_answered(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench = Bench(nursery, idempotent=True)
    async with bench.producer() as producer:
        await trio.sleep(0.5)
        bench.reset_calls()
    assert (producer.answered, len(bench.acked)) == (4, 4)


async def test_a_refusal_is_counted_and_the_next_record_sent(bench: Bench, autojump_clock: MockClock) -> None:
    bench.log.refuses = "LOG_FULL: no room"
    async with bench.producer():
        await trio.sleep(1.5)
        bench.log.refuses = None
    assert bench.errors == {"refused:LOG_FULL": 4}
    assert [number for _, _, number in bench.acked] == numbers(4, 5, 6, 7)


async def test_partitions_take_turns(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench(nursery, partitions=3, record_bytes=STICKY_BYTES)
    async with bench.producer():
        await trio.sleep(0.5)
    assert bench.acked == [(n % 3, n // 3, record_number(0, n)) for n in range(4)]


class ScriptedCall:
    """A call whose server does what the test says."""

    def __init__(self, status: purerpc.Status | None = None) -> None:
        self.status: purerpc.Status | None = None
        self.ends_with = status
        self.sent: list[bytes] = []
        self.sink: Callable[[ProduceMessageResponse | None], bool] = lambda answer: True
        self.source: Callable[[], bytes | None] | None = None

    async def __aenter__(self) -> ScriptedCall:
        return self

    async def __aexit__(self, *of: object) -> None:
        pass

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        self.source = pull

    def wake_source(self) -> None:
        assert self.source is not None
        while (request := self.source()) is not None:
            self.sent.append(request)

    def set_sink(self, sink: Callable[[ProduceMessageResponse | None], bool]) -> None:
        self.sink = sink

    def answer(self, offset: int) -> None:
        assert self.sink(ProduceMessageResponse(topic="t", offset=offset))

    def end(self, status: purerpc.Status) -> None:
        self.status = status
        self.sink(None)

    async def done_sending(self) -> None:
        pass

    async def wait_status(self) -> purerpc.Status:
        if self.ends_with is None:
            await trio.sleep_forever()
        assert self.ends_with is not None
        return self.ends_with


def scripted(bench: Bench, call: ScriptedCall) -> StreamProducer:
    def open_call() -> Any:
        return call

    return StreamProducer(0, bench.production, open_call)


OK = purerpc.Status(purerpc.StatusCode.OK)


async def test_an_answer_too_many_is_an_error(bench: Bench, autojump_clock: MockClock) -> None:
    call = ScriptedCall(OK)
    producer = scripted(bench, call)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer.run)
        await wait_all_tasks_blocked()
        bench.production.stop()
        for offset in range(5):
            call.answer(offset)
    assert len(call.sent) == len(bench.acked) == 4
    assert bench.errors == {"answer_unexpected": 1}


async def test_a_server_that_ends_a_call_early_with_ok_is_an_error(bench: Bench, autojump_clock: MockClock) -> None:
    call = ScriptedCall(OK)
    producer = scripted(bench, call)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer.run)
        await wait_all_tasks_blocked()
        call.end(OK)
        bench.production.stop()
    assert bench.errors == {"ended_early": 1}
    assert bench.production.tally.unanswered == 4


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        (OK, {}),
        (purerpc.Status(purerpc.StatusCode.INTERNAL, "no"), {"status:INTERNAL": 1}),
        (None, {"close_timeout": 1}),
    ],
)
async def test_a_call_has_to_end_with_ok_after_the_half_close(
    bench: Bench, autojump_clock: MockClock, status: purerpc.Status | None, errors: dict[str, int]
) -> None:
    call, begin_s = ScriptedCall(status), trio.current_time()
    producer = scripted(bench, call)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer.run)
        await wait_all_tasks_blocked()
        bench.production.stop()
        for offset in range(4):
            call.answer(offset)
    assert bench.errors == errors
    assert trio.current_time() - begin_s <= CLOSE_TIMEOUT_S


async def test_a_call_that_cannot_be_opened_is_tried_again(bench: Bench, autojump_clock: MockClock) -> None:
    calls: list[ProduceCall] = []

    @asynccontextmanager
    async def open_call() -> AsyncIterator[ProduceCall]:
        if not bench.errors:
            raise purerpc.UnavailableError("nobody is here")
        calls.append(ScriptedCall(OK))
        yield calls[0]

    producer = StreamProducer(0, bench.production, open_call)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(producer.run)
        await trio.sleep(AGAIN_S * 1.5)
        assert (bench.errors, len(calls)) == ({"status:UNAVAILABLE": 1}, 1)
        nursery.cancel_scope.cancel()
