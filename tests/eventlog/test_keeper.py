"""The keeper at work: what is closed and deleted, and when; with commits, consumers and deletions coming between."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import OffsetOutOfRangeError
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.keeper import Keeper
from ride_trio.eventlog.recovery import recover
from ride_trio.eventlog.topic import Topic
from tests.eventlog.logs import append, in_place, read
from tests.eventlog.whole import DAY_MS, SECOND_MS, WholeLog, files

VALUE = bytes(1_000)


async def fill(whole: WholeLog, topic: Topic, records: int = 10, partition: int = 0) -> None:
    """A commit a record, so that segments get no larger than they should."""
    for _ in range(records):
        append(topic.partition(partition), VALUE, timestamp=whole.now_ms)
        await whole.log.commits.gathering.wait(Level.SYNCED)


async def test_a_segment_that_is_full_gets_its_index_at_once(small_segments: WholeLog) -> None:
    log = await small_segments.start(by_itself=True)
    topic = await log.create_topic("t", 2)
    await fill(small_segments, topic)
    await wait_all_tasks_blocked()
    assert len(topic.segments) > 2
    assert [segment.index is None for segment in topic.segments] == [True] * (len(topic.segments) - 1) + [False]
    assert all(segment.index_path.exists() for segment in topic.segments[:-1])
    assert [offset for offset, _ in await small_segments.read(topic.partition(0))] == list(range(10))


async def test_the_limit_in_bytes_is_held(small_segments: WholeLog) -> None:
    log = await small_segments.start(by_itself=True)
    limit = 40_000
    topic = await log.create_topic("t", 1, configs={"retention.bytes": str(limit)})
    largest = 0
    for _ in range(100):
        await fill(small_segments, topic, 1)
        await wait_all_tasks_blocked()
        largest = max(largest, sum(path.stat().st_size for path in topic.folder.glob("*.log")))
    assert limit * 3 / 4 < largest <= limit
    partition = topic.partition(0)
    assert partition.begin_offset == topic.segments[0].head.bases[0] > 50
    assert partition.end_offset == 100
    assert [o for o, _ in await small_segments.read(partition)] == list(range(partition.begin_offset, 100))
    assert small_segments.metrics.retention("deleted").n > 15
    assert small_segments.metrics.freed.n > 60_000


async def test_records_go_when_they_are_too_old(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(80 * SECOND_MS)})
    for _ in range(100):
        await fill(small_segments, topic, 1)
        small_segments.now_ms += 2 * SECOND_MS
        await small_segments.keeper.keep(topic)
    begin = topic.partition(0).begin_offset
    # 80 s are 40 records; an eighth more, since segments take records for 10 s.
    assert 100 - 45 - 1 <= begin <= 100 - 40


async def test_an_idle_topic_gets_empty_and_knows_where_it_goes_on(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 2, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 2)
    await fill(small_segments, topic, 1, partition=1)
    small_segments.now_ms += DAY_MS
    await small_segments.keeper.keep(topic)
    assert [p.begin_offset for p in topic.partitions] == [0, 0]
    small_segments.now_ms += 1
    await small_segments.keeper.keep(topic)
    assert [(p.begin_offset, p.end_offset) for p in topic.partitions] == [(2, 2), (1, 1)]
    assert files(topic) == ["00000000000000000002.log"]
    await small_segments.keeper.keep(topic)
    assert len(topic.segments) == 1  # nothing to roll for
    await small_segments.stop()
    log = await small_segments.start()
    topic = log.topic("t")
    assert [(p.begin_offset, p.end_offset) for p in topic.partitions] == [(2, 2), (1, 1)]
    await fill(small_segments, topic, 1)
    assert [offset for offset, _ in await small_segments.read(topic.partition(0))] == [2]


async def test_a_segment_larger_than_the_limit_goes_too(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.bytes": "3000"})
    await fill(small_segments, topic, 2)
    await small_segments.keeper.keep(topic)
    assert topic.partition(0).begin_offset == 0
    await fill(small_segments, topic, 1)
    await small_segments.keeper.keep(topic)
    assert topic.partition(0).begin_offset == 3


async def test_without_limits_nothing_goes(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": "-1"})
    await fill(small_segments, topic, 20)
    small_segments.now_ms += 10_000 * DAY_MS
    count = len(topic.segments)
    await small_segments.keeper.keep(topic)
    assert len(topic.segments) == count
    assert topic.partition(0).begin_offset == 0


async def test_a_consumer_that_was_passed_is_told(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 8)
    cursor = log.cursor(topic.partition(0), 0)
    await read(cursor, 2_500)
    assert cursor.offset == 2
    small_segments.now_ms += 2 * DAY_MS
    await small_segments.keeper.keep(topic)
    with pytest.raises(OffsetOutOfRangeError, match="offset 2 of t/0: there is 8 to 8"):
        cursor.read(1)


async def test_a_file_that_goes_under_a_read_is_no_damage(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 8)
    log.cache.clear()
    cursor = log.cursor(topic.partition(0), 0)
    small_segments.now_ms += 2 * DAY_MS
    async with trio.open_nursery() as nursery:
        nursery.start_soon(small_segments.keeper.keep, topic)
        with pytest.raises(OffsetOutOfRangeError):  # noqa: PT012 - which of both raises is up to chance
            while True:
                await cursor.load()
                await trio.lowlevel.checkpoint()


async def test_nobody_looks_for_a_file_that_has_gone(small_segments: WholeLog, nursery: trio.Nursery) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 4)
    small_segments.now_ms += 2 * DAY_MS
    log.cache.clear()

    async def slow(function: Callable[..., Any], *args: Any) -> Any:
        result = await in_place(function, *args)
        await trio.sleep_forever()
        return result

    nursery.start_soon(Keeper(log, slow).keep, topic)
    await wait_all_tasks_blocked()
    assert not (topic.folder / "00000000000000000001.log").exists()
    with pytest.raises(OffsetOutOfRangeError):
        log.cursor(topic.partition(0), 0).read(1)
    nursery.cancel_scope.cancel()


async def test_a_file_that_is_missing_is_damage(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1)
    await fill(small_segments, topic, 8)
    log.cache.clear()
    topic.segments[0].path.unlink()
    with pytest.raises(Exception, match="is missing"):
        await log.cursor(topic.partition(0), 0).load()
    with pytest.raises(Exception, match="is missing"):
        await log.offset_at(topic.partition(0), small_segments.now_ms)


# ------------------------------------------------------------------ what comes between


async def test_records_that_gather_go_into_the_new_segment(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 2)
    await fill(small_segments, topic, 1)
    append(topic.partition(0), b"before")
    rolled = log.commits.roll(topic)
    append(topic.partition(1), b"after")
    await rolled.wait(Level.SYNCED)
    assert [list(segment.head.bases) for segment in topic.segments] == [[0, 0], [1, 0]]
    assert await small_segments.read(topic.partition(0)) == [(0, VALUE), (1, b"before")]
    assert await small_segments.read(topic.partition(1)) == [(0, b"after")]
    found = recover(topic.folder, topic.topic_id, 2, 0)
    assert (list(found.ends), found.notes) == ([2, 1], [])


async def test_records_on_their_way_to_the_disk_stay_in_the_old_segment(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1)
    append(topic.partition(0), b"on its way")
    log.commits.hand_over_if_due()
    append(topic.partition(0), b"gathering")
    await log.commits.roll(topic).wait(Level.SYNCED)
    assert [list(segment.head.bases) for segment in topic.segments] == [[0], [1]]
    assert await small_segments.read(topic.partition(0)) == [(0, b"on its way"), (1, b"gathering")]


async def test_a_roll_that_fails_leaves_things_as_they_were(
    small_segments: WholeLog, caplog: pytest.LogCaptureFixture
) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 1)
    small_segments.now_ms += 2 * DAY_MS
    log.commits.writer.trouble = OSError(errno.ENOSPC, "No space left on device")
    await small_segments.keeper.keep(topic)
    assert "topic 't': its files can't be kept in order: the disk is full" in caplog.text
    assert (len(topic.segments), topic.partition(0).begin_offset, topic.partition(0).end_offset) == (1, 0, 1)
    log.commits.writer.trouble = None
    await small_segments.keeper.keep(topic)
    assert (topic.partition(0).begin_offset, topic.partition(0).end_offset) == (1, 1)


async def test_a_disk_that_has_failed_does_not_hold_the_keeper_up(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1, configs={"retention.ms": str(DAY_MS)})
    await fill(small_segments, topic, 1)
    append(topic.partition(0), b"x")
    log.commits.hand_over_if_due()
    log.commits.on_failed(log.commits.in_flight[0], OSError(errno.EIO, "I/O error"), syncing=True)
    small_segments.now_ms += 2 * DAY_MS
    with trio.fail_after(1):
        await small_segments.keeper.keep(topic)
    assert len(topic.segments) == 1


async def test_a_topic_that_is_deleted_meanwhile_leaves_nothing_behind(
    small_segments: WholeLog, nursery: trio.Nursery
) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1)
    gate = trio.Event()

    async def late(function: Callable[..., Any], *args: Any) -> Any:
        await gate.wait()
        topic.folder.mkdir(exist_ok=True)  # the thread had opened its file before the folder went
        return function(*args)

    await fill(small_segments, topic, 4)
    assert len(topic.segments) == 2
    nursery.start_soon(Keeper(log, late).keep, topic)
    await wait_all_tasks_blocked()
    await log.delete_topic("t")
    assert not topic.folder.exists()
    gate.set()
    await wait_all_tasks_blocked()
    assert not topic.folder.exists()


async def test_what_fails_is_tried_again(small_segments: WholeLog, caplog: pytest.LogCaptureFixture) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1)
    trouble = [OSError(errno.ENOSPC, "No space left on device")]

    async def full(function: Callable[..., Any], *args: Any) -> Any:
        if trouble:
            raise trouble.pop()
        return await in_place(function, *args)

    keeper = Keeper(log, full)
    await fill(small_segments, topic, 4)
    await keeper.keep(topic)
    assert "topic 't': its files can't be kept in order: [Errno 28] No space left on device" in caplog.text
    assert topic.segments[0].index is not None
    await keeper.keep(topic)
    assert topic.segments[0].index is None


async def test_at_the_end_the_newest_segment_gets_an_index_too(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await log.create_topic("t", 1)
    await fill(small_segments, topic, 5)
    await small_segments.stop()
    assert files(topic) == sorted(
        name for path in (s.path for s in topic.segments) for name in (path.name, path.with_suffix(".index").name)
    )
