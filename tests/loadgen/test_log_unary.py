from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, ProduceMessageResponse
from ride_trio.rpc import Channel
from ride_trio_loadgen.log_ledger import record_number
from ride_trio_loadgen.log_production import AGAIN_S, Pace, Production
from ride_trio_loadgen.log_records import Requests, Values
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.log_unary import UnaryProducer
from tests.loadgen.fake_log import FakeLog, FakePartition, connect

PATH = "/takhin.v1.TakhinService/ProduceMessage"


class FlakyLog(FakeLog):
    """Fails the next calls, after it has stored what they asked for, or answers nothing."""

    fails = 0

    async def ProduceMessage(self, message: ProduceMessageRequest) -> ProduceMessageResponse:
        answer = await super().ProduceMessage(message)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a handler's mistake")
        return answer


class Bench:
    def __init__(self, nursery: trio.Nursery, idempotent: bool = False) -> None:
        self.nursery = nursery
        self.log = FlakyLog(commit_s=1.0)
        self.log.topics["t"] = [FakePartition()]
        self.acked: list[tuple[int, int, int]] = []
        requests = Requests("t", 1, -1, Values(7, 100, 1), idempotent=idempotent)
        self.production = Production(requests, LogTally(), lambda *of: self.acked.append(of), 1, idempotent)
        nursery.start_soon(self.log.run)

    @asynccontextmanager
    async def producer(self, pace: Pace | None = None) -> AsyncIterator[UnaryProducer]:
        """A producer that runs until the block ends; then it has stopped, and has its answer."""
        async with connect(self.nursery, self.log) as channel, trio.open_nursery() as nursery:
            producer = UnaryProducer(0, self.production, partial(open_unary, channel), pace)
            nursery.start_soon(producer.run)
            yield producer
            self.production.stop()

    @property
    def errors(self) -> dict[str, int]:
        return {kind: error.count for kind, error in self.production.tally.errors.items()}


def open_unary(channel: Channel) -> Any:
    return channel.open(PATH, ProduceMessageRequest, ProduceMessageResponse)


async def test_one_call_after_the_other(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench(nursery)
    async with bench.producer() as producer:
        await trio.sleep(2.5)
        assert (producer.sent, producer.answered, producer.finished) == (3, 2, False)
    assert (producer.sent, producer.answered, producer.finished) == (3, 3, True)
    assert bench.acked == [(0, offset, record_number(0, offset)) for offset in range(3)]
    tally = bench.production.tally
    assert (tally.sent, tally.acked, tally.produce.summary_ms()["max"], bench.errors) == (3, 3, 1000.0, {})


async def test_calls_are_made_when_they_are_due_and_latency_counts_from_then(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench, begin_s = Bench(nursery), trio.current_time()
    async with bench.producer(Pace(begin_s + 0.5, 0.75)) as producer:
        for time_s, sent in ((0.4, 0), (0.6, 1), (1.4, 1), (1.6, 2)):
            await trio.sleep_until(begin_s + time_s)
            assert producer.sent == sent
    assert bench.production.tally.produce.summary_ms()["max"] == 1250.0  # due at 1.25 s, sent at 1.5 s


async def test_who_waits_for_what_is_due_is_stopped_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench, begin_s = Bench(nursery), trio.current_time()
    async with bench.producer(Pace(begin_s + 1000.0, 1.0)):
        await trio.sleep(1.0)
    assert trio.current_time() - begin_s < 2.0


async def test_while_it_is_held_nothing_is_sent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench(nursery)
    bench.production.hold()
    async with bench.producer() as producer:
        await trio.sleep(1.0)
        assert producer.sent == 0
        bench.production.release()
        await trio.sleep(0.5)
        assert producer.sent == 1
        bench.production.hold()
        await trio.sleep(1.0)
    assert producer.sent == 1


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_call_that_fails_is_made_again_or_its_record_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock, idempotent: bool
) -> None:
    bench = Bench(nursery, idempotent)
    bench.log.fails = 1
    async with bench.producer():
        await trio.sleep(1.0 + AGAIN_S + 0.1)
    tally = bench.production.tally
    assert bench.errors == {"status:UNKNOWN": 1}
    if idempotent:
        assert (bench.acked, tally.unanswered) == ([(0, 0, record_number(0, 0))], 0)
        assert len(bench.log.topics["t"][0].entries) == 1
    else:
        assert (bench.acked, tally.unanswered) == ([(0, 1, record_number(0, 1))], 1)


async def test_a_call_that_ends_without_an_answer_is_an_error(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    class NoAnswer:
        async def __aenter__(self) -> NoAnswer:
            return self

        async def __aexit__(self, *of: object) -> None:
            bench.production.stop()

        async def receive(self) -> None:
            return None

        async def send_encoded(self, data: bytes) -> None:
            pass

        async def done_sending(self) -> None:
            pass

        async def wait_status(self) -> Any:
            import purerpc

            return purerpc.Status(purerpc.StatusCode.OK)

    def open_call() -> Any:
        return NoAnswer()

    bench = Bench(nursery)
    await UnaryProducer(0, bench.production, open_call).run()
    assert (bench.errors, bench.production.tally.unanswered) == ({"no_answer": 1}, 1)
