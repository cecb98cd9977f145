"""What compaction does when something is wrong: damage, a full disk, a topic that goes."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

from ride_trio.eventlog import compaction
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.compaction import due
from ride_trio.eventlog.keeper import Keeper
from ride_trio.eventlog.scan import scan
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


@pytest.mark.parametrize(("gone", "what"), [(0, "does not follow"), (1, "does not follow"), (2, "its end is missing")])
async def test_a_file_in_which_a_batch_is_missing_is_left_alone(
    small_segments: WholeLog, gone: int, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    for _ in range(3):
        await small_segments.produce(topic.partition(0), [(b"a", b"1")])
    await small_segments.roll(topic)
    segment = topic.segments[0]
    batch = list(scan(segment.path, segment.head.size))[gone]
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[: batch.position] + data[batch.end :])
    await small_segments.keeper.compact(topic)
    assert [segment.name.generation for segment in topic.segments] == [0, 0]
    assert "is not compacted" in caplog.text
    assert what in caplog.text


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x01k\x20", b"\x0a\x01k\x12"])
async def test_records_that_make_no_sense_are_left_alone(
    small_segments: WholeLog, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    partition.append(encode(partition, b"1", key=b"a"), NOW_MS)
    partition.append(data, NOW_MS)
    await log.commits.gathering.wait(Level.SYNCED)
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert "makes no sense" in caplog.text
    assert topic.segments[0].damaged


@contextmanager
def no_room_beyond(size_bytes: int) -> Iterator[None]:
    """Files can't get larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room_bytes", [40, 1_000, 20_000, 35_000])
async def test_a_full_disk_loses_nothing(
    small_segments: WholeLog, room_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is full when the head is written, or some records, or the last of them."""
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    records = [(b"a", b"old"), *((b"%d" % n, bytes(4_000)) for n in range(9))]
    await small_segments.produce(topic.partition(0), [*records, (b"a", b"new")])
    await small_segments.roll(topic)
    before = files(topic)
    with no_room_beyond(room_bytes):
        await small_segments.keeper.compact(topic)
    assert "its files can't be kept in order: [Errno 27] File too large" in caplog.text
    assert files(topic) == before
    assert len(await small_segments.read(topic.partition(0))) == 11
    await small_segments.keeper.compact(topic)
    assert [offset for offset, _ in await small_segments.read(topic.partition(0))] == list(range(1, 11))


async def test_a_disk_that_has_no_room_for_a_large_head(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments, 2_000)
    await small_segments.produce(topic.partition(0), [(b"a", b"old"), (b"a", b"new")])
    await small_segments.roll(topic)
    before = files(topic)
    with no_room_beyond(1_000):
        await small_segments.keeper.compact(topic)
    assert files(topic) == before


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
