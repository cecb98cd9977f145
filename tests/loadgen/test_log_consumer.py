from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.pb.takhin.v1.takhin_pb2 import (
    ConsumeMessagesRequest,
    ConsumeMessagesResponse,
    ProduceMessageRequest,
    Record,
)
from ride_trio.rpc import Channel
from ride_trio_loadgen.log_consumer import LogConsumer
from ride_trio_loadgen.log_ledger import LogLedger, record_number
from ride_trio_loadgen.log_production import AGAIN_S
from ride_trio_loadgen.log_records import Requests, Values
from ride_trio_loadgen.log_tally import LogTally
from tests.loadgen.fake_log import FakeLog, FakePartition, connect

RUN = 7


class Bench:
    """A reader of partition 1, and the log that it reads."""

    def __init__(self, nursery: trio.Nursery, begin: int = 0) -> None:
        self.nursery = nursery
        self.log = FakeLog()
        self.partition = FakePartition()
        self.log.topics["t"] = [FakePartition(), self.partition]
        self.values = Values(RUN, 100, 1)
        self.tally = LogTally()
        self.ledger = LogLedger([0, begin], self.tally)
        self._requests = Requests("t", 1, -1, self.values, idempotent=False)

    def put(self, *sequences: int, sent_s: float = 0.0) -> None:
        """Records of producer 0 arrive."""
        for sequence in sequences:
            (request,) = self._requests.encode(0, sequence, [sent_s])
            self.put_value(ProduceMessageRequest.FromString(request).record.value)

    def put_value(self, value: bytes) -> None:
        self.partition.append(1, Record(value=value))
        self.partition.lot.unpark_all()

    def acked(self, *sequences: int) -> None:
        for offset, sequence in enumerate(sequences):
            self.ledger.acked(1, offset, record_number(0, sequence))

    @asynccontextmanager
    async def consumer(self) -> AsyncIterator[LogConsumer]:
        async with connect(self.nursery, self.log) as channel, trio.open_nursery() as nursery:
            opens = partial(open_consume, channel)
            consumer = LogConsumer("t", 1, opens, self.values, self.ledger, self.tally)
            nursery.start_soon(consumer.run)
            yield consumer
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    @property
    def errors(self) -> dict[str, int]:
        self.ledger.finish()
        return {kind: error.count for kind, error in self.tally.errors.items()}


def open_consume(channel: Channel) -> Any:
    path = "/takhin.v1.TakhinService/ConsumeMessages"
    return channel.open(path, ConsumeMessagesRequest, ConsumeMessagesResponse)


@pytest.fixture
def bench(nursery: trio.Nursery) -> Bench:
    return Bench(nursery)


async def test_what_is_there_and_what_comes_is_read_and_told_to_the_ledger(bench: Bench) -> None:
    bench.acked(0, 1, 2)
    bench.put(0, 1)
    async with bench.consumer():
        await wait_all_tasks_blocked()
        assert bench.ledger.waiting == 1
        bench.put(2)
    assert (bench.ledger.waiting, bench.ledger.next_offset(1), bench.errors) == (0, 3, {})
    assert (bench.tally.consumed, bench.tally.consumed_bytes, bench.tally.foreign) == (3, 300, 0)


async def test_end_to_end_latency_is_from_sending_to_reading(bench: Bench, autojump_clock: MockClock) -> None:
    begin_s = trio.current_time()
    async with bench.consumer():
        await trio.sleep(2.0)
        bench.put(0, sent_s=begin_s + 0.5)
    assert bench.tally.end_to_end.summary_ms()["max"] == 1500.0
    assert bench.tally.last_consumed_s == begin_s + 2.0


async def test_reading_begins_where_the_ledger_is(nursery: trio.Nursery) -> None:
    bench = Bench(nursery, begin=2)
    bench.put(0, 1, 2, 3)
    async with bench.consumer():
        pass
    assert (bench.tally.consumed, bench.errors) == (2, {})


async def test_many_records_come_in_several_responses(bench: Bench) -> None:
    bench.put(*range(10_000))
    async with bench.consumer():
        pass
    assert (bench.tally.consumed, bench.errors) == (10_000, {})


async def test_after_a_lost_call_reading_goes_on_where_it_was(bench: Bench, autojump_clock: MockClock) -> None:
    bench.acked(0, 1, 2)
    bench.put(0, 1)
    async with bench.consumer():
        await wait_all_tasks_blocked()
        for call in bench.log.calls:
            call.scope.cancel()
        bench.put(2)
        await trio.sleep(AGAIN_S * 1.5)
    assert (bench.tally.consumed, bench.errors) == (3, {"status:CANCELLED": 1})


async def test_a_call_that_cannot_begin_is_an_error_and_tried_again(bench: Bench, autojump_clock: MockClock) -> None:
    topic = bench.log.topics.pop("t")
    async with bench.consumer():
        await trio.sleep(AGAIN_S * 1.5)
        bench.log.topics["t"] = topic
        bench.put(0)
        await trio.sleep(AGAIN_S)
    assert (bench.tally.consumed, bench.errors) == (1, {"status:NOT_FOUND": 2})


async def test_a_server_that_ends_the_call_with_ok_is_an_error(bench: Bench, autojump_clock: MockClock) -> None:
    class Ending(FakeLog):
        async def ConsumeMessages(self, message: ConsumeMessagesRequest, request: Any) -> None:
            """It has nothing to say."""

    bench.log = Ending()
    async with bench.consumer():
        await trio.sleep(AGAIN_S * 0.5)
    assert bench.errors == {"ended_early": 1}


async def test_others_records_are_counted_apart_and_have_no_latency(bench: Bench) -> None:
    bench.acked(0)
    bench.put(0)
    bench.put_value(b"somebody else's")
    bench.put_value(bytes(100))
    async with bench.consumer():
        pass
    assert (bench.tally.consumed, bench.tally.foreign, bench.errors) == (3, 2, {})
    assert bench.tally.end_to_end.summary_ms()["count"] == 1


async def test_a_damaged_record_is_an_error(bench: Bench) -> None:
    bench.put(0)
    (entry,) = bench.partition.entries
    bench.partition.entries[0] = entry.replace(bench.values.rest, bytes(len(bench.values.rest)))
    async with bench.consumer():
        pass
    assert bench.errors == {"damaged": 1}
    words = "reader of partition 1: the record at offset 0 is not as it was sent"
    assert (bench.tally.errors["damaged"].example, bench.tally.foreign) == (words, 0)


@pytest.mark.parametrize(
    ("tampers", "errors"),
    [
        (lambda offset, entry: [] if offset == 1 else [entry], {"offsets_not_dense": 1, "missing": 1}),
        (lambda offset, entry: [entry, entry] if offset == 2 else [entry], {"offset_backward": 1, "doubled": 1}),
    ],
)
async def test_what_a_server_loses_or_doubles_is_found(bench: Bench, tampers: Any, errors: dict[str, int]) -> None:
    bench.acked(0, 1, 2)
    bench.put(0, 1, 2)
    bench.log.tampers = tampers
    async with bench.consumer():
        pass
    assert bench.errors == errors
