"""What compaction does when something is wrong: damage, a full disk, a topic that goes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
import trio

from ride_trio.eventlog import compacted, compaction
from ride_trio.eventlog.commits import Level
from ride_trio.eventlog.compaction import due
from ride_trio.eventlog.keeper import Keeper
from ride_trio.eventlog.topic import Topic
from tests.eventlog.logs import NOW_MS, encode, in_place, read
from tests.eventlog.whole import DAY_MS, WholeLog, compacted_topic, files

TOMBSTONE = b""


def flip(topic: Topic, segment: int, position: int = -1) -> None:
    path = topic.segments[segment].path
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


async def test_a_damaged_segment_is_left_alone(small_segments: WholeLog, caplog: pytest.LogCaptureFixture) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"a", b"1"), (b"b", b"1")])
    await small_segments.produce(partition, [(b"c", b"1")])
    await small_segments.roll(topic)
    flip(topic, 0)
    small_segments.log.cache.clear()
    for value in (b"2", b"3"):
        await small_segments.produce(partition, [(b"a", value)])
        await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert [segment.name.generation for segment in topic.segments] == [0, 1, 0]
    assert "00000000000000000001.log is not compacted: it is damaged from byte" in caplog.text
    assert due(topic) == []  # it does not count any more
    assert await small_segments.read(partition, 3) == [(4, b"3")]
    cursor = small_segments.log.cursor(partition, 0)
    assert len(await read(cursor)) > 0
    assert cursor.offset == 2  # up to the damage


async def test_behind_damage_no_tombstone_goes(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"a", b"seen by those who start here")])
    await small_segments.produce(partition, [(b"b", b"damaged")])
    await small_segments.roll(topic)
    flip(topic, 0)
    await small_segments.produce(partition, [(b"a", TOMBSTONE)])
    for days in (0, 3):
        small_segments.now_ms = NOW_MS + days * DAY_MS
        await small_segments.produce(partition, [(b"z", bytes(1_000 + 500 * days))])
        await small_segments.roll(topic)
        await small_segments.keeper.compact(topic)
    assert topic.segments[1].name.generation == 2
    assert (await small_segments.read(partition, 2))[0] == (2, TOMBSTONE)


async def test_a_file_that_is_too_short_is_left_alone(
    small_segments: WholeLog, caplog: pytest.LogCaptureFixture
) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    for _ in range(2):
        await small_segments.produce(topic.partition(0), [(b"a", b"1")])
    await small_segments.roll(topic)
    path = topic.segments[0].path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 30])
    await small_segments.keeper.compact(topic)
    assert [segment.name.generation for segment in topic.segments] == [0, 0]
    assert "is not compacted" in caplog.text


async def test_records_that_make_no_sense_are_left_alone(
    small_segments: WholeLog, caplog: pytest.LogCaptureFixture
) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    partition.append(encode(partition, b"1", key=b"a"), NOW_MS)
    partition.append(b"\x0a\x7f", NOW_MS)
    partition.append(b"\xff", NOW_MS)
    await log.commits.gathering.wait(Level.SYNCED)
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert "makes no sense" in caplog.text
    assert topic.segments[0].damaged


async def test_a_full_disk_loses_nothing(small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    await small_segments.produce(topic.partition(0), [(b"a", b"1"), (b"a", b"2")])
    await small_segments.roll(topic)
    before = files(topic)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(compacted, "write_index", full)
        await small_segments.keeper.compact(topic)
    assert files(topic) == before
    assert len(await small_segments.read(topic.partition(0))) == 2
    await small_segments.keeper.compact(topic)
    assert await small_segments.read(topic.partition(0)) == [(1, b"2")]


async def test_a_topic_that_is_deleted_in_a_pass(
    small_segments: WholeLog, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SLICE_BYTES", 50)
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    for _ in range(9):
        await small_segments.produce(topic.partition(0), [(b"a", bytes(100))])
    await small_segments.roll(topic)
    steps = 0

    async def deleting(function: Callable[..., Any], *args: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 14:
            await log.delete_topic("t")
            topic.folder.mkdir()
        return await in_place(function, *args)

    await Keeper(log, deleting).compact(topic)
    assert steps == 15
    assert not topic.folder.exists()
    assert small_segments.metrics.retention("compacted").n == 0
