"""One ConsumeMessages call: what goes out when, and what a reader that does not read costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.errors import DamagedError, LogError, OffsetOutOfRangeError, UnknownTopicError
from ride_trio.eventlog.commit import Level
from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesRequest, ConsumeMessagesResponse
from ride_trio.services.log_consume import Consumer
from tests.eventlog.logs import NOW_MS, encode
from tests.services.log_house import LogCall, LogHouse


class Desk:
    """A topic of one partition, and its consumers."""

    def __init__(self, made: LogHouse) -> None:
        self.made = made
        self.log = made.log
        self.partition = made.log.topic("t").partition(0)
        self.ended: list[LogError | None] = []

    async def produce(self, *values: bytes) -> None:
        for value in values:
            self.partition.append(encode(self.partition, value, NOW_MS), NOW_MS)
        await self.log.commits.gathering.wait(Level.SYNCED)

    async def consume(self, offset: int = 0, *, room: float = float("inf"), **fields: Any) -> LogCall:
        call = LogCall(ConsumeMessagesResponse)
        call.room = room
        self.made.nursery.start_soon(self._consume, call, ConsumeMessagesRequest(topic="t", **fields), offset)
        await wait_all_tasks_blocked()
        return call

    async def _consume(self, call: LogCall, request: ConsumeMessagesRequest, offset: int) -> None:
        consumer = Consumer(self.log, call, request)
        consumer.add(self.log.cursor(self.partition, offset))
        try:
            await consumer.run()
        except LogError as error:
            self.ended.append(error)
        else:
            self.ended.append(None)


async def desk(nursery: trio.Nursery, path: Path, **options: int) -> Desk:
    made = await LogHouse(nursery, path / "data", **options).start()
    await made.log.create_topic("t", 1)
    return Desk(made)


def values(responses: list[Any]) -> list[list[bytes]]:
    return [[record.value for record in response.records] for response in responses]


async def test_what_is_there_and_what_comes(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(b"a", b"b")
    call = await it.consume()
    (first,) = await call.answers()
    assert [(r.offset, r.value) for r in first.records] == [(0, b"a"), (1, b"b")]
    assert (first.topic, first.partition, first.high_watermark) == ("t", 0, 2)
    await it.produce(b"c")
    (second,) = await call.answers()
    assert [(r.offset, r.value) for r in second.records] == [(2, b"c")]
    assert it.made.metrics.consumers.n == 1
    assert it.log.topic("t").consumed.n == 3


async def test_only_what_is_on_disk_is_seen(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await LogHouse(nursery, tmp_path / "data", stuck=True).start()
    await made.log.create_topic("t", 1)
    it = Desk(made)
    call = await it.consume()
    it.partition.append(encode(it.partition, b"a", NOW_MS), NOW_MS)
    await wait_all_tasks_blocked()
    made.writer.write()
    assert await call.answers() == []
    made.writer.sync()
    assert values(await call.answers()) == [[b"a"]]


async def test_all_tails_get_the_same_bytes(nursery: trio.Nursery, tmp_path: Path) -> None:
    """Made once: the first one's response is found by the others."""
    it = await desk(nursery, tmp_path)
    calls = [await it.consume() for _ in range(5)]
    hits = it.log.cache.hits
    await it.produce(b"a")
    assert [values(await call.answers()) for call in calls] == [[[b"a"]]] * 5
    assert it.log.cache.hits - hits == 5  # the batch once, the response four times


async def test_a_tail_that_wants_small_responses_does_not_get_the_others_large_one(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    it = await desk(nursery, tmp_path)
    calls = [await it.consume(), await it.consume(max_bytes=5_000)]
    await it.produce(*[bytes(2_000)] * 5)
    assert [[len(r.records) for r in await call.answers()] for call in calls] == [[5], [2, 2, 1]]


async def test_a_tail_without_room_gets_the_same_later(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    calls = [await it.consume() for _ in range(3)]
    calls[1].room = 0
    await it.produce(b"a")
    await it.produce(b"b")
    assert [values(await call.answers()) for call in calls] == [[[b"a"], [b"b"]], [], [[b"a"], [b"b"]]]
    calls[1].room = 1_000
    calls[1].wake_source()
    assert [value for response in values(await calls[1].answers()) for value in response] == [b"a", b"b"]


# ---------------------------------------------------------------- sizes and rounds


async def test_max_bytes_and_at_least_one_record(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(*[bytes(1_000)] * 5)
    assert [len(r.records) for r in await (await it.consume(max_bytes=2_100)).answers()] == [2, 2, 1]
    assert [len(r.records) for r in await (await it.consume(max_bytes=10)).answers()] == [1] * 5


async def test_min_bytes_waits_no_longer_than_max_wait(
    nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock
) -> None:
    it = await desk(nursery, tmp_path)
    call = await it.consume(min_bytes=2_000, max_wait_ms=1_000)
    await it.produce(bytes(900))
    assert await call.answers() == []
    await it.produce(bytes(1_100))
    assert [len(r.records) for r in await call.answers()] == [2]
    await it.produce(bytes(900))
    assert await call.answers() == []
    await trio.sleep(1.1)
    assert [len(r.records) for r in await call.answers()] == [1]


async def test_max_batches_ends_it(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(*[bytes(1_000)] * 5)
    call = await it.consume(max_bytes=1_100, max_batches=2)
    assert [len(r.records) for r in await call.answers()] == [1, 1]
    assert it.ended == [None]


async def test_a_wait_that_brings_nothing_counts(
    nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock
) -> None:
    it = await desk(nursery, tmp_path)
    call = await it.consume(max_batches=2, max_wait_ms=400)
    await trio.sleep(0.79)
    assert it.ended == []
    await trio.sleep(0.02)
    assert it.ended == [None]
    assert call.got == []


# ---------------------------------------------------------------- who is slow, who is behind


async def test_who_does_not_read_is_given_nothing_and_goes_on_where_it_was(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    it = await desk(nursery, tmp_path)
    call = await it.consume(room=0)
    for _ in range(50):
        await it.produce(*[bytes(1_000)] * 10)
    assert await call.answers() == []
    got = await call.read(float("inf"))
    assert [record.offset for response in got for record in response.records] == list(range(500))


async def test_a_response_fits_what_the_windows_let_out(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(*[bytes(1_000)] * 100)
    call = await it.consume(room=20_000)
    (first, *_) = await call.answers()
    assert first.ByteSize() <= 20_000
    assert len(first.records) == 19


async def test_who_is_behind_reads_files(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path, cache_bytes=10_000, segment_bytes=50_000)
    for _ in range(20):
        await it.produce(*[bytes(1_000)] * 10)
    assert len(it.log.topic("t").segments) > 3
    got = await (await it.consume(max_bytes=15_000)).answers()
    assert [record.offset for response in got for record in response.records] == list(range(200))
    assert it.made.metrics.cold_reads.n > 0
    assert it.log.cache.size_bytes < 300_000


# ---------------------------------------------------------------- ends


async def test_deleting_the_topic_ends_its_consumers(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(b"a")
    call = await it.consume()
    assert len(await call.answers()) == 1
    await it.log.delete_topic("t")
    await wait_all_tasks_blocked()
    assert [type(error) for error in it.ended] == [UnknownTopicError]
    assert it.made.metrics.consumers.n == 0
    assert it.partition.watchers == {}


async def test_what_retention_has_passed_is_out_of_range(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path)
    await it.produce(b"a", b"b")
    call = await it.consume(room=0)
    it.log.topic("t").active.head.bases[0] = 1
    await call.read(float("inf"))
    assert [type(error) for error in it.ended] == [OffsetOutOfRangeError]


async def test_damage_is_named_when_all_before_it_is_out(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await desk(nursery, tmp_path, cache_bytes=1)
    await it.produce(b"good")
    await it.produce(b"damaged")
    await it.produce(b"after")
    path = it.log.topic("t").active.path
    data = bytearray(path.read_bytes())
    data[data.index(b"damaged")] ^= 1
    path.write_bytes(data)
    call = await it.consume()
    assert values(await call.answers()) == [[b"good"]]
    (error,) = it.ended
    assert isinstance(error, DamagedError)
    assert f"{path.name} is damaged at byte " in error.message
    assert "offset 1" in error.message
    assert values(await (await it.consume(2)).answers()) == [[b"after"]]
