"""Group commit: what becomes of all that was accepted when a disk is full, or fails."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ride_trio.errors import LogError, LogFailedError, LogFullError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.partition import Partition
from tests.eventlog.logs import Core, append, append_from, gather, hand_over, read_all

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.fixture
async def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


@pytest.fixture
async def partition(core: Core) -> Partition:
    return core.topic().partition(0)


async def outcome(commit: Commit) -> str:
    try:
        await commit.wait(Level.SYNCED)
    except LogError as error:
        return error.detail
    return "stored"


# ------------------------------------------------------------------ a disk that is full


async def test_what_cannot_be_written_fails_with_all_that_came_after_it(core: Core, partition: Partition) -> None:
    first = gather(core, partition, b"first")
    hand_over(core)
    core.writer.write()
    second = gather(core, partition, b"second")
    core.commits.hurry()
    hand_over(core)
    third = gather(core, partition, b"third")
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    assert partition.next_offset == 1
    fourth = gather(core, partition, b"fourth")
    core.flush()
    full = "RESOURCE_EXHAUSTED: the disk is full: No space left on device; nothing of this is stored"
    assert [await outcome(c) for c in (first, second, third, fourth)] == [
        "stored", full, full, "stored"
    ]  # fmt: skip
    assert await read_all(core.cursor(partition)) == [(0, b"first"), (1, b"fourth")]
    assert core.metrics.commit_failures.n == 1
    assert core.commits.failed is None
    core.commits.check()


async def test_each_who_waits_gets_an_error_of_their_own(core: Core, partition: Partition) -> None:
    commit = gather(core, partition, b"value")
    hand_over(core)
    core.writer.trouble = FULL
    core.writer.write()
    errors = []
    for _ in range(2):
        with pytest.raises(LogFullError) as caught:
            await commit.wait(Level.WRITTEN)
        errors.append(caught.value)
    assert errors[0] is not errors[1]


async def test_a_roll_that_fails_leaves_the_segment_before_it_to_grow(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=2_000)
    topics = [core.topic(2, topic_id=number) for number in (1, 2)]
    for topic in topics:
        append(topic.partition(0), b"a" * 900)
    core.flush()
    for topic in topics:
        for partition in topic.partitions:
            append(partition, b"b" * 900, b"c" * 900)
            partition.close_batch()
    hand_over(core)
    assert [len(topic.segments) for topic in topics] == [3, 3]
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    assert [len(topic.segments) for topic in topics] == [1, 1]
    for topic in topics:
        append(topic.partition(0), b"d" * 900)
        append(topic.partition(1), b"e" * 900)
    core.flush()
    again = Core(tmp_path, segment_bytes=2_000)
    for number in (1, 2):
        one, two = again.topic(2, topic_id=number).partitions
        assert await read_all(again.cursor(one)) == [(0, b"a" * 900), (1, b"d" * 900)]
        assert await read_all(again.cursor(two)) == [(0, b"e" * 900)]
    assert again.notes == []


async def test_a_first_segment_that_could_not_be_made_is_made_later(core: Core, partition: Partition) -> None:
    gather(core, partition, b"lost")
    hand_over(core)
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    gather(core, partition, b"kept")
    core.flush()
    again = Core(core.path)
    assert await read_all(again.cursor(again.topic().partition(0))) == [(0, b"kept")]
    assert again.notes == []


async def test_what_failed_may_be_sent_again(core: Core, partition: Partition) -> None:
    append_from(partition, 7, 0, 0, b"first")
    hand_over(core)
    append_from(partition, 7, 0, 1, b"second")
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    assert partition.producers.of(7, 0).offset_of(0) is None
    append_from(partition, 7, 0, 0, b"first")
    append_from(partition, 7, 0, 1, b"second")
    core.flush()
    assert await read_all(core.cursor(partition)) == [(0, b"first"), (1, b"second")]


async def test_other_trouble_with_writing_is_told_as_it_is(core: Core, partition: Partition) -> None:
    commit = gather(core, partition, b"value")
    hand_over(core)
    core.writer.trouble = OSError(errno.EROFS, "Read-only file system")
    core.writer.write()
    with pytest.raises(LogFailedError, match="Read-only file system; nothing of this is stored"):
        await commit.wait(Level.WRITTEN)


async def test_who_is_told_of_a_failure_may_send_again_at_once(core: Core, partition: Partition) -> None:
    commit = gather(core, partition, b"value")
    commit.listeners.append(lambda: append(partition, b"again"))
    hand_over(core)
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    core.flush()
    assert await read_all(core.cursor(partition)) == [(0, b"again")]


# ------------------------------------------------------------------ a disk that fails


async def test_after_a_failed_sync_nothing_more_is_accepted(core: Core, partition: Partition) -> None:
    commits = [gather(core, partition, b"first")]
    hand_over(core)
    core.writer.write()
    commits.append(gather(core, partition, b"second"))
    core.commits.hurry()
    hand_over(core)
    core.writer.write()
    commits.append(gather(core, partition, b"third"))
    core.writer.trouble = BROKEN
    core.writer.sync()
    assert [c.level for c in commits] == [Level.FAILED] * 3
    assert partition.end_offset == 0
    assert core.commits.in_flight == []
    with pytest.raises(LogFailedError, match="Input/output error; start the server anew"):
        core.commits.check()
    await core.commits.settled()
    await core.commits.passed()


async def test_what_the_threads_still_tell_after_that_is_not_heard(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    first = hand_over(core)
    core.writer.write()
    gather(core, partition, b"second")
    core.commits.hurry()
    second = hand_over(core)
    assert first is not None
    assert second is not None
    core.commits.on_failed(first, BROKEN, syncing=True)  # while the writer thread is at the second one
    core.commits.on_written(second)
    core.commits.on_failed(second, BROKEN, syncing=True)
    core.commits.on_failed(second, FULL, syncing=False)
    core.commits.on_synced([second])
    assert (first.level, second.level) == (Level.FAILED, Level.FAILED)
    assert partition.end_offset == 0


async def test_what_the_writer_was_given_behind_what_fails_is_not_written(core: Core, partition: Partition) -> None:
    commits = [gather(core, partition, b"first")]
    hand_over(core)
    commits.append(gather(core, partition, b"x" * NEXT_BYTES))
    assert hand_over(core) is commits[1]
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    assert [commit.level for commit in commits] == [Level.FAILED] * 2
    gather(core, partition, b"again")
    core.flush()
    assert await read_all(core.cursor(partition)) == [(0, b"again")]
    again = Core(core.path)
    assert await read_all(again.cursor(again.topic().partition(0))) == [(0, b"again")]
    assert again.notes == []
