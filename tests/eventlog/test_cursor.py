"""Reading: all of it, once, in order, from anywhere, whatever room there is and wherever it lies."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from ride_trio.errors import DamagedError, LogFailedError, OffsetOutOfRangeError, UnknownTopicError
from ride_trio.eventlog.compacted import Compacted
from ride_trio.eventlog.cursor import Cursor, Reader, offset_at
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.segments import Segment
from ride_trio.eventlog.topic import Topic
from tests.eventlog.damage import fill, rolled, values
from tests.eventlog.logs import NOW_MS, Core, append, in_place, no_syncs, read, read_all, records


@pytest.fixture(scope="module", autouse=True)
def _quick_disk() -> Iterator[None]:
    with no_syncs():
        yield


def close_segments(topic: Topic) -> None:
    """What the keeper does: indexes of what will not grow go to the disk."""
    for segment in topic.segments[:-1]:
        if segment.index is not None:
            write_index(segment)
            segment.index = None


# A commit is sizes of values, of two partitions by turns; None begins a new segment.
commits = st.lists(st.one_of(st.none(), st.lists(st.integers(0, 300), min_size=1, max_size=12)), max_size=12)
rooms = st.lists(st.integers(0, 1_500), min_size=1, max_size=20)


def write(core: Core, topic: Topic, plan: list[list[int] | None]) -> list[list[tuple[int, bytes]]]:
    """What each partition has then."""
    model: list[list[tuple[int, bytes]]] = [[] for _ in topic.partitions]
    for sizes in plan:
        if sizes is None:
            rolled(core, topic)
        for turn, size in enumerate(sizes or ()):
            partition = topic.partition(turn % len(topic.partitions))
            value = b"%d:" % partition.next_offset + bytes(size)
            model[partition.number].append((partition.next_offset, value))
            append(partition, value)
        core.flush()
    return model


@given(commits, rooms, st.sampled_from([1, 2_000, 1 << 20]), st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
async def test_all_of_it_once_in_order_from_anywhere(
    plan: list[list[int] | None], room: list[int], cache_bytes: int, closed: bool, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        core = Core(Path(folder), cache_bytes=cache_bytes)
        topic = core.topic(2)
        model = write(core, topic, plan)
        if closed:
            close_segments(topic)
        if data.draw(st.booleans(), "restarted"):
            core = Core(Path(folder), cache_bytes=cache_bytes)
            topic = core.topic(2)
        for partition, stored in zip(topic.partitions, model, strict=True):
            start = data.draw(st.integers(0, len(stored)), "start")
            cursor, found, turn = core.cursor(partition, start), list[tuple[int, bytes]](), 0
            while cursor.is_behind:
                size = room[turn % len(room)]
                entries = await read(cursor, size)
                some = records(entries)
                assert len(some) == 1 or len(entries) <= size
                assert some
                found += [(r.offset, r.value) for r in some]
                assert cursor.offset == some[-1].offset + 1
                turn += 1
            assert found == stored[start:]
            assert cursor.read(100) == b""


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30), st.integers(-1, 45), st.booleans())
@settings(max_examples=80, deadline=None)
async def test_the_first_record_of_a_time_or_later(plan: list[tuple[int, bool]], wanted: int, closed: bool) -> None:
    with TemporaryDirectory() as folder:
        core = Core(Path(folder), cache_bytes=1)
        topic = core.topic(2)
        times = []
        for time, commit in plan:
            append(topic.partition(0), b"value", timestamp=NOW_MS + time)
            append(topic.partition(1), b"other", timestamp=NOW_MS + 50 - time)
            times.append(time)
            if commit:
                core.flush()
            if commit and not time % 3:
                rolled(core, topic)
        core.flush()
        if closed:
            close_segments(topic)
        expected = next((offset for offset, time in enumerate(times) if time >= wanted), len(times))
        assert await offset_at(core.reader, topic.partition(0), NOW_MS + wanted) == expected


async def test_a_tail_reads_what_has_just_been_written_from_memory(tmp_path: Path) -> None:
    core = Core(tmp_path)
    partition = core.topic().partition(0)
    cursor = core.cursor(partition)
    for number in range(5):
        assert not cursor.is_behind
        assert cursor.read(1 << 20) == b""
        fill(core, partition, number)
        assert cursor.is_behind
        assert [r.value for r in records(cursor.read(1 << 20))] == [b"value-%d" % number]
    assert core.metrics.cold_reads.n == 0


async def test_what_is_not_on_disk_is_not_served(tmp_path: Path) -> None:
    core = Core(tmp_path)
    partition = core.topic().partition(0)
    append(partition, b"value-0")
    core.write()
    assert core.cursor(partition).read(1 << 20) == b""
    core.writer.sync()
    assert await read_all(core.cursor(partition)) == values(0)


async def test_reading_goes_on_while_segments_come_and_go(tmp_path: Path) -> None:
    core = Core(tmp_path, cache_bytes=1)
    topic = core.topic()
    partition = topic.partition(0)
    cursor = core.cursor(partition)
    found: list[tuple[int, bytes]] = []
    for number in range(12):
        fill(core, partition, 2 * number, 2 * number + 1)
        if number % 3 == 2:
            rolled(core, topic)
            close_segments(topic)
        if len(topic.segments) > 3:
            gone = topic.segments.pop(0)
            gone.path.unlink()
            gone.index_path.unlink()
        found += [(r.offset, r.value) for r in records(await read(cursor, 1))]
        if number % 2:
            found += [(r.offset, r.value) for r in records(await read(cursor, 100))]
    found += await read_all(cursor, 1)
    assert found == values(*range(24))


@pytest.mark.parametrize("offset", [-1, 1, 7])
async def test_offsets_that_are_not_there(tmp_path: Path, offset: int) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0, 1, 2, 3)
    rolled(core, topic)
    fill(core, topic.partition(0), 4, 5)
    topic.segments.pop(0)
    cursor = core.cursor(topic.partition(0), offset)
    told = f"offset {offset} of topic-1/0: there is 4 to 6"
    with pytest.raises(OffsetOutOfRangeError, match=told):
        cursor.read(100)
    with pytest.raises(OffsetOutOfRangeError, match=told):
        await cursor.load()
    assert await read_all(core.cursor(topic.partition(0), 4)) == values(4, 5)


async def test_a_topic_that_was_deleted(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    cursor = core.cursor(topic.partition(0))
    topic.deleted = True
    with pytest.raises(UnknownTopicError, match="topic 'topic-1' was deleted"):
        cursor.read(100)
    with pytest.raises(UnknownTopicError):
        await cursor.load()


# ------------------------------------------------------------------ what happens while a thread reads


def meanwhile(core: Core, happens: Callable[[], object]) -> Reader:
    """A reader for whose thread something happens first, once."""
    left = [happens]

    async def run_sync(function: Callable[..., Any], /, *args: Any) -> Any:
        if left:
            left.pop()()
        return await in_place(function, *args)

    return Reader(core.cache, run_sync, core.metrics.cold_reads)


@pytest.fixture
async def cold(tmp_path: Path) -> Core:
    """Two records in each of three segments, of which none is in memory."""
    core = Core(tmp_path)
    topic = core.topic()
    for number in range(3):
        fill(core, topic.partition(0), 2 * number, 2 * number + 1)
        rolled(core, topic)
    close_segments(topic)
    return Core(tmp_path)


def remove(segment: Segment) -> None:
    segment.path.unlink()
    segment.index_path.unlink()


async def test_retention_passes_a_reader(cold: Core) -> None:
    topic = cold.topic()

    def happens() -> None:
        remove(topic.segments.pop(0))

    cursor = Cursor(meanwhile(cold, happens), topic.partition(0), 1)
    with pytest.raises(OffsetOutOfRangeError, match="offset 1 of topic-1/0: there is 2 to 6"):
        await cursor.load()


async def test_a_topic_is_deleted_under_a_reader(cold: Core) -> None:
    topic = cold.topic()

    def happens() -> None:
        topic.deleted = True
        for segment in topic.segments[:-1]:
            remove(segment)

    with pytest.raises(UnknownTopicError):
        await Cursor(meanwhile(cold, happens), topic.partition(0), 1).load()
    with pytest.raises(UnknownTopicError):
        await offset_at(cold.reader, topic.partition(0), NOW_MS)


async def test_retention_passes_a_search(cold: Core) -> None:
    topic = cold.topic()

    def happens() -> None:
        remove(topic.segments.pop(0))

    assert await offset_at(meanwhile(cold, happens), topic.partition(0), NOW_MS) == 2


async def test_a_file_that_is_missing_is_damage_and_no_endless_loop(cold: Core) -> None:
    topic = cold.topic()
    remove(topic.segments[1])
    cursor = cold.cursor(topic.partition(0))
    with trio.fail_after(5):
        assert [r.offset for r in records(await read(cursor, 100))] == [0, 1]
        with pytest.raises(DamagedError, match=r"00000000000000000002\.log of topic 'topic-1' is missing"):
            await read(cursor)


async def test_a_batch_that_is_damaged_under_a_reader_is_not_served(cold: Core) -> None:
    topic = cold.topic()
    path = topic.segments[0].path
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"topic-1/0 at offset 0: 1/0{19}1\.log is damaged at byte 56"):
        await read(cold.cursor(topic.partition(0)))


async def test_a_disk_that_cannot_be_read_is_an_error_of_the_log(cold: Core) -> None:
    topic = cold.topic()

    async def run_sync(function: Callable[..., Any], /, *args: Any) -> Any:
        raise trouble

    reader = Reader(cold.cache, run_sync, cold.metrics.cold_reads)
    trouble = OSError(errno.EIO, "Input/output error")
    with pytest.raises(DamagedError, match=r"0001\.log of topic 'topic-1' can't be read: Input/output error"):
        await Cursor(reader, topic.partition(0), 1).load()
    trouble = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(LogFailedError, match=r"0001\.log of topic 'topic-1' can't be read: Too many open files"):
        await offset_at(reader, topic.partition(0), NOW_MS)


@pytest.mark.parametrize("cache_bytes", [1, 3_000, 6_000, 6_500, 8_000])
async def test_an_index_that_fills_the_cache_leaves_room_for_a_batch(tmp_path: Path, cache_bytes: int) -> None:
    core = Core(tmp_path, cache_bytes=cache_bytes)
    topic = core.topic()
    for number in range(200):  # 28 bytes of index each
        append(topic.partition(0), b"value-%d" % number)
        core.flush()
    rolled(core, topic)
    close_segments(topic)
    with trio.fail_after(5):
        assert await read_all(core.cursor(topic.partition(0)), 500) == values(*range(200))


# ------------------------------------------------------------------ how much there is


async def test_how_much_waits(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    partition = topic.partition(0)
    sizes = []
    for number in range(4):
        before = core.metrics.produced_bytes("topic-1").n
        fill(core, partition, 2 * number, 2 * number + 1)
        sizes.append(core.metrics.produced_bytes("topic-1").n - before)
    entry = sizes[1] // 2
    assert core.cursor(partition, 8).waiting_bytes(1_000) == 0
    assert core.cursor(partition, 0).waiting_bytes(1_000) == sum(sizes)
    assert core.cursor(partition, 3).waiting_bytes(1_000) == sum(sizes[1:]) - entry
    assert core.cursor(partition, 0).waiting_bytes(1) == sizes[0]  # no more is looked at
    rolled(core, topic)
    assert core.cursor(partition, 0).waiting_bytes(1_000) == 1_000  # it lies further back, so it will be enough
    fill(core, partition, 8)
    assert core.cursor(partition, 8).waiting_bytes(1_000) > 0


async def test_nothing_is_held_by_a_reader_that_does_not_read_on(tmp_path: Path) -> None:
    core = Core(tmp_path, cache_bytes=10_000)
    partition = core.topic().partition(0)
    cursors = [core.cursor(partition) for _ in range(10)]
    for _ in range(50):
        append(partition, b"x" * 1_000)
        core.flush()
    for cursor in cursors:
        await read(cursor, 1)
    assert core.cache.size_bytes <= 10_000


# ------------------------------------------------------------------ compacted


def compact(topic: Topic, entries: dict[int, bytes], kept: set[int]) -> None:
    """Put one file in the place of the two oldest segments, with some of the only partition's entries."""
    end = topic.segments[2].head.bases
    output = Compacted(topic.segments[:2], end)
    for offset in sorted(kept):
        if offset < end[0]:
            output.add(0, offset, NOW_MS, entries[offset])
    topic.segments[:2] = [output.finish()]
    output.close()


async def entries_of(core: Core, partition: Partition) -> dict[int, bytes]:
    cursor, found = core.cursor(partition), dict[int, bytes]()
    while cursor.is_behind:
        offset = cursor.offset
        found[offset] = await read(cursor, 1)
    return found


@given(
    kept=st.sets(st.integers(0, 17)),
    kept_again=st.sets(st.integers(0, 17)),
    start=st.integers(0, 24),
    before=st.integers(0, 30),
    room=rooms,
    cache_bytes=st.sampled_from([1, 1 << 20]),
)
@settings(max_examples=60, deadline=None)
async def test_what_compaction_has_left_from_anywhere(
    kept: set[int], kept_again: set[int], start: int, before: int, room: list[int], cache_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        core = Core(Path(folder), cache_bytes=cache_bytes)
        topic = core.topic()
        for number in range(4):
            fill(core, topic.partition(0), *range(6 * number, 6 * number + 4))
            fill(core, topic.partition(0), 6 * number + 4, 6 * number + 5)
            if number < 3:
                rolled(core, topic)
        close_segments(topic)
        entries = await entries_of(core, topic.partition(0))
        cursor = core.cursor(topic.partition(0), start)
        found = [(r.offset, r.value) for r in records(await read(cursor, before))] if before else []
        compact(topic, entries, kept)
        if before % 2 and cursor.is_behind:
            found += [(r.offset, r.value) for r in records(await read(cursor, 1))]
        compact(topic, entries, kept & kept_again)
        turn = 0
        while cursor.is_behind:
            found += [(r.offset, r.value) for r in records(await read(cursor, room[turn % len(room)]))]
            turn += 1
        offsets = [offset for offset, _ in found]
        assert found == values(*offsets)
        assert offsets == sorted(set(offsets))
        left = {*(kept & kept_again), *range(18, 24)}
        assert {offset for offset in left if offset >= start} <= set(offsets) <= set(range(start, 24))
        assert cursor.offset == 24
