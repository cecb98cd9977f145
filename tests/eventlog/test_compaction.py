"""Compaction: what stays and what goes, when, and what must survive it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest
import trio

from ride_trio.eventlog import compaction
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.compaction import due
from ride_trio.eventlog.cursor import NotInMemoryError, _first_since
from ride_trio.eventlog.keeper import Keeper
from tests.eventlog.logs import NOW_MS, append_from, in_place, read
from tests.eventlog.whole import DAY_MS, SECOND_MS, WholeLog, compacted_topic, files

TOMBSTONE = b""


async def test_of_each_key_the_newest_record_stays(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments, 2)
    one, two = topic.partitions
    await small_segments.produce(one, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")])
    await small_segments.produce(two, [(b"a", b"5"), (b"a", b"6")])
    await small_segments.roll(topic)
    await small_segments.produce(one, [(b"b", b"7")])
    await small_segments.roll(topic)
    await small_segments.produce(one, [(b"c", b"8"), (b"c", b"9")])
    await small_segments.keeper.compact(topic)
    # The newest segment is as it was, and what is in it does not count.
    assert await small_segments.read(one) == [(2, b"3"), (3, b"4"), (4, b"7"), (5, b"8"), (6, b"9")]
    assert await small_segments.read(two) == [(1, b"6")]
    assert [(p.begin_offset, p.end_offset) for p in topic.partitions] == [(0, 7), (0, 2)]
    assert files(topic) == [
        "00000000000000000001-00000000000000000002-1.index",
        "00000000000000000001-00000000000000000002-1.log",
        "00000000000000000003.log",
    ]
    assert small_segments.metrics.retention("compacted").n == 2
    assert small_segments.metrics.freed.n > 0


async def test_a_consumer_goes_on_from_every_offset(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    cursors = []
    for round_ in range(4):
        await small_segments.produce(partition, [(b"k%d" % (n % 7 + round_), b"%d" % n) for n in range(20)])
        await small_segments.roll(topic)
    for offset in range(partition.end_offset + 1):
        cursors.append(log.cursor(partition, offset))
        if offset % 2 and offset < partition.end_offset:
            await read(cursors[-1], 30)  # it is within a batch, and remembers where
    places = [cursor.offset for cursor in cursors]
    await small_segments.keeper.compact(topic)
    left = await small_segments.read(partition)
    assert len(left) == 10
    for place, cursor in zip(places, cursors, strict=True):
        found = []
        while cursor.is_behind:
            data = await read(cursor, 30)
            found += [data] if data else []
        assert len(found) == len([offset for offset, _ in left if offset >= place])
        assert cursor.offset == partition.end_offset


# ------------------------------------------------------------------ when, and how much at once


async def test_it_is_due_when_half_of_the_bytes_are_new(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    assert due(topic) == []
    await small_segments.produce(topic.partition(0), [(b"%d" % n, bytes(100)) for n in range(20)])
    assert due(topic) == []  # the newest does not count
    await small_segments.roll(topic)
    assert [source.segment for source in due(topic)] == topic.segments[:1]
    await small_segments.keeper.compact(topic)
    assert due(topic) == []
    await small_segments.produce(topic.partition(0), [(b"1", bytes(1_000))])
    await small_segments.roll(topic)
    assert due(topic) == []
    await small_segments.produce(topic.partition(0), [(b"2", bytes(1_500))])
    await small_segments.roll(topic)
    assert [source.segment for source in due(topic)] == topic.segments[:3]
    await small_segments.stop()
    log = await small_segments.start()
    assert [source.segment for source in due(log.topic("t"))] == log.topic("t").segments[:3]


async def test_its_segments_are_closed_after_a_day(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    await small_segments.produce(topic.partition(0), [(b"a", b"1")])
    small_segments.now_ms += DAY_MS
    await small_segments.keeper.keep(topic)
    assert len(topic.segments) == 1
    small_segments.now_ms += SECOND_MS
    await small_segments.keeper.keep(topic)
    assert len(topic.segments) == 2
    assert topic.partition(0).begin_offset == 0


async def test_many_keys_take_several_passes(small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_KEYS", 10)
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    for first in (0, 0, 8, 8, 16):
        await small_segments.produce(partition, [(b"%d" % n, b"%d" % n) for n in range(first, first + 8)])
        await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert [segment.name.last for segment in topic.segments] == [2, 3, 4, 5, 6]
    await small_segments.keeper.compact(topic)
    assert [segment.name for segment in topic.segments] == [(1, 4, 2), (5, 5, 0), (6, 6, 0)]
    assert sorted(value for _, value in await small_segments.read(partition)) == sorted(b"%d" % n for n in range(24))


async def test_a_segment_of_which_nothing_goes_is_not_written_again(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    for key, size in ((b"a", 4_000), (b"b", 4_100)):
        await small_segments.produce(topic.partition(0), [(key, bytes(size))])
        await small_segments.roll(topic)
        await small_segments.keeper.compact(topic)
    assert [segment.name for segment in topic.segments] == [(1, 1, 1), (2, 2, 1), (3, 3, 0)]
    assert small_segments.metrics.retention("compacted").n == 2


async def test_a_first_segment_with_too_many_keys_is_compacted_all_the_same(
    small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_KEYS", 3)
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    await small_segments.produce(topic.partition(0), [(b"%d" % (n % 10), b"%d" % n) for n in range(30)])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert [offset for offset, _ in await small_segments.read(topic.partition(0))] == list(range(20, 30))


async def test_it_works_in_slices_with_rests(
    small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(compaction, "SLICE_RECORDS", 3)
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    for _ in range(10):
        await small_segments.produce(topic.partition(0), [(b"k", bytes(10))] * 4)
    await small_segments.roll(topic)
    slices: list[float] = []

    async def counted(function: Callable[..., Any], *args: Any) -> Any:
        slices.append(trio.current_time())
        return await in_place(function, *args)

    await Keeper(log, counted, count().__next__).compact(topic)  # each slice is a second of work
    rests = [later - earlier for earlier, later in pairwise(slices)]
    assert len(slices) > 2 * 10
    assert sum(rests) / len(slices) == pytest.approx(3, rel=0.2)
    assert [offset for offset, _ in await small_segments.read(topic.partition(0))] == [39]


# ------------------------------------------------------------------ keys and tombstones


async def test_keys_are_compared_whole(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    keys = [b"", b"", b"x" * 32, b"x" * 33, b"x" * 34, b"x" * 33 + b"y", b"x" * 1_000, b"x" * 999 + b"y"]
    await small_segments.produce(topic.partition(0), [(key, b"old") for key in keys[2:]])
    await small_segments.produce(topic.partition(0), [(key, b"%d" % n) for n, key in enumerate(keys)])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    # Records without a key are nobody's newer version.
    assert [value for _, value in await small_segments.read(topic.partition(0))] == [b"%d" % n for n in range(8)]


async def test_a_tombstone_stays_for_a_day_and_then_goes(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"a", b"1"), (b"b", b"2")])
    await small_segments.roll(topic)
    await small_segments.produce(partition, [(b"a", TOMBSTONE)])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert await small_segments.read(partition) == [(1, b"2"), (2, TOMBSTONE)]
    for days, expected in ((1, [(1, b"2"), (2, TOMBSTONE)]), (2, [(1, b"2")])):
        small_segments.now_ms = NOW_MS + days * DAY_MS
        await small_segments.produce(partition, [(b"z", bytes(1_000 * days))])
        await small_segments.roll(topic)
        await small_segments.keeper.compact(topic)
        assert (await small_segments.read(partition))[:-1] == expected


async def test_a_tombstone_with_an_old_time_is_seen_once_all_the_same(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    small_segments.now_ms -= 9 * DAY_MS
    await small_segments.produce(topic.partition(0), [(b"a", b"1"), (b"a", TOMBSTONE)])
    small_segments.now_ms += 9 * DAY_MS
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert await small_segments.read(topic.partition(0)) == [(1, TOMBSTONE)]


# ------------------------------------------------------------------ what must survive


async def test_an_idempotent_producer_is_known_after_compaction_and_restart(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    for sequence in range(3):
        append_from(topic.partition(0), 7, 1, sequence, b"value")
    await log.commits.gathering.wait(Level.SYNCED)
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert topic.segments[0].name.generation == 1
    for restarted in (False, True):
        if restarted:
            await small_segments.stop()
            topic = (await small_segments.start()).topic("t")
        producer = topic.partition(0).producers.of(7, 1)
        assert [producer.offset_of(sequence) for sequence in range(4)] == [0, 1, 2, None]


async def test_a_search_by_time_finds_the_record_that_is_left(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    for n, key in enumerate((b"a", b"b", b"a", b"c", b"c", b"d")):
        small_segments.now_ms = NOW_MS + n
        await small_segments.produce(partition, [(key, b"%d" % n)])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert [offset for offset, _ in await small_segments.read(partition)] == [1, 2, 4, 5]
    found = [await log.offset_at(partition, NOW_MS + n) for n in range(-1, 7)]
    assert found == [1, 1, 1, 2, 4, 4, 5, 6]


async def test_a_search_by_time_where_nothing_is_left_at_the_end(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments, 2)
    partition, other = topic.partitions
    await small_segments.produce(partition, [(b"a", b"1"), (b"b", TOMBSTONE)])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    small_segments.now_ms += 2 * DAY_MS
    await small_segments.produce(other, [(b"z", bytes(1_000))])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert await small_segments.read(partition) == [(0, b"1")]
    log.cache.clear()
    assert await log.offset_at(partition, NOW_MS) == 0
    assert await log.offset_at(partition, NOW_MS + 1) == partition.end_offset == 2
    assert await small_segments.read(partition, 1) == []
    # A search that is on its way when the record goes.
    assert await _first_since(log.cursor(partition, 1), NOW_MS) == 2


async def test_a_search_by_time_while_its_files_are_replaced(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    for n in range(6):
        small_segments.now_ms = NOW_MS + n
        await small_segments.produce(topic.partition(0), [(b"%d" % n, b"x")])
        await small_segments.roll(topic)
    found = []

    async def search() -> None:
        found.append(await log.offset_at(topic.partition(0), NOW_MS + 3))

    async with trio.open_nursery() as nursery:
        log.cache.clear()
        nursery.start_soon(search)
        nursery.start_soon(small_segments.keeper.compact, topic)
    assert len(topic.segments) == 2
    assert found == [3]


async def test_a_consumer_whose_file_is_replaced_under_it(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    await small_segments.roll(topic)
    log.cache.clear()
    cursor = log.cursor(partition, 0)
    with pytest.raises(NotInMemoryError):
        cursor.read(1_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cursor.load)  # is about to open the old file
        nursery.start_soon(small_segments.keeper.compact, topic)
    assert await small_segments.read(partition, cursor.offset) == [(1, b"2"), (2, b"3")]
