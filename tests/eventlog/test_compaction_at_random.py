"""Compaction over random histories: each key's newest record is served, as it was, and nothing is wrong beside."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ride_trio.eventlog.check import check_data_dir
from ride_trio.eventlog.compaction import TOMBSTONE_MS, due
from ride_trio.eventlog.cursor import Cursor
from ride_trio.eventlog.topic import Topic
from tests.eventlog.logs import in_place, read, records
from tests.eventlog.whole import WholeLog, compacted_topic

PARTITIONS = 2
KEYS = (b"a", b"b", b"c", b"long" * 20)

put = st.tuples(
    st.integers(0, PARTITIONS - 1), st.sampled_from(KEYS), st.sampled_from((b"", b"short", bytes(300))), st.booleans()
)
step = st.one_of(put, put, put, st.sampled_from(("roll", "compact", "restart", "a day")))


@dataclass(frozen=True)
class Stored:
    """A record, and when it came."""

    offset: int
    key: bytes
    value: bytes
    at_ms: int


@dataclass
class Model:
    """What one partition was given, what a consumer that reads all along has got, and what is served no more.

    Attributes:
        seen: Offsets that it got.
        place: Where it goes on.
        closed: Records below this offset are in segments that a pass has gone over.
    """

    stored: list[Stored] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    place: int = 0
    closed: int = 0


class World:
    """A log beside its model."""

    def __init__(self, whole: WholeLog) -> None:
        self.whole = whole
        self.models = [Model() for _ in range(PARTITIONS)]
        self.topic: Topic

    async def run(self, steps: list[tuple[int, bytes, bytes, bool] | str]) -> None:
        await self.whole.start()
        self.topic = await compacted_topic(self.whole, PARTITIONS)
        for step in steps:
            await self.take(step)
        await self.take("roll")
        await self.take("compact")
        await self.take("restart")
        await self.check(at_the_end=True)
        await self.whole.stop()
        report = check_data_dir(self.whole.path)
        assert (report.damages, report.left_over) == ([], [])

    async def take(self, step: tuple[int, bytes, bytes, bool] | str) -> None:
        if isinstance(step, tuple):
            await self.put(*step)
        elif step == "roll":
            await self.whole.roll(self.topic)
        elif step == "compact":
            await self.compact()
        elif step == "restart":
            await self.whole.stop()
            self.topic = (await self.whole.start()).topic("t")
        else:
            self.whole.now_ms += TOMBSTONE_MS + 1

    async def put(self, number: int, key: bytes, value: bytes, follow: bool) -> None:
        partition, model = self.topic.partition(number), self.models[number]
        model.stored.append(Stored(partition.next_offset, key, value, self.whole.now_ms))
        await self.whole.produce(partition, [(key, value)])
        if follow:
            cursor = self.whole.log.cursor(partition, model.place)
            await self.follow(model, cursor, 1)

    async def follow(self, model: Model, cursor: Cursor, room: int) -> None:
        model.seen += [record.offset for record in records(await read(cursor, room))]
        model.place = cursor.offset

    async def compact(self) -> None:
        gone_over = due(self.topic)
        await self.whole.keeper.compact(self.topic)
        if gone_over:
            for model, end in zip(self.models, gone_over[-1].ends, strict=True):
                model.closed = end
        await self.check()

    async def check(self, *, at_the_end: bool = False) -> None:
        for partition, model in zip(self.topic.partitions, self.models, strict=True):
            assert partition.begin_offset == 0
            assert partition.end_offset == len(model.stored)
            served = await self.whole.read(partition)
            assert served == [(s.offset, s.value) for s in model.stored if s.offset in dict(served)]
            for key in KEYS:
                self.check_key([s for s in model.stored if s.key == key], {offset for offset, _ in served}, model)
            for start in range(partition.end_offset + 1):
                assert await self.whole.read(partition, start) == [item for item in served if item[0] >= start]
            if at_the_end:
                await self.check_consumer(model, partition.number)

    def check_key(self, stored: list[Stored], served: set[int], model: Model) -> None:
        """`stored` are the records of one key."""
        newest_closed = next((s for s in reversed(stored) if s.offset < model.closed), None)
        for record in stored:
            if record.offset >= model.closed:
                assert record.offset in served  # nobody has gone over it
            elif record is not newest_closed:
                assert record.offset not in served
            elif record.value or record.at_ms >= self.whole.now_ms - TOMBSTONE_MS:
                assert record.offset in served

    async def check_consumer(self, model: Model, number: int) -> None:
        """Going on from where it is, it has got each key's newest record, once, in order."""
        cursor = self.whole.log.cursor(self.topic.partition(number), model.place)
        while cursor.is_behind:
            await self.follow(model, cursor, 200)
        assert sorted(set(model.seen)) == model.seen
        for key in KEYS:
            newest = next((s for s in reversed(model.stored) if s.key == key), None)
            if newest is not None and newest.value:
                assert newest.offset in model.seen


async def run(path: Path, steps: list[tuple[int, bytes, bytes, bool] | str]) -> None:
    async with trio.open_nursery() as nursery:
        await World(WholeLog(nursery, path, in_place, segment_bytes=1_000)).run(steps)


@given(st.lists(step, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_histories(steps: list[tuple[int, bytes, bytes, bool] | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(partial(run, Path(folder) / "data", steps), clock=trio.testing.MockClock(autojump_threshold=0))
