"""Group commit: what goes together, who is told when, and who waits for room."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogStoppedError
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.commits import LARGE_BYTES, MAX_UNWRITTEN, NEXT_BYTES
from ride_trio.eventlog.partition import Partition
from tests.eventlog.logs import Core, InlineWriter, append, gather, hand_over, read_all

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
async def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


@pytest.fixture
async def partition(core: Core) -> Partition:
    return core.topic().partition(0)


# ------------------------------------------------------------------ what is handed over when


async def test_nothing_is_not_handed_over(core: Core) -> None:
    assert hand_over(core) is None


async def test_what_came_in_one_pass_goes_together(core: Core) -> None:
    core.commits.writer = core.writer = InlineWriter(core.commits, core.metrics)
    topics = [core.topic(4, topic_id=number) for number in (1, 2)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(core.commits.run)
        await wait_all_tasks_blocked()
        commit = core.commits.gathering
        for topic in topics:
            for partition in topic.partitions:
                append(partition, b"a", b"b")
        assert core.commits.gathering is commit
        await commit.wait(Level.SYNCED)
        nursery.cancel_scope.cancel()
    assert (len(commit.batches), len(commit.parts)) == (8, 2)
    assert {p.end_offset for topic in topics for p in topic.partitions} == {2}
    assert core.metrics.commit_bytes.counts[0] == 1
    assert (core.metrics.produced("topic-1").n, core.metrics.produced("topic-2").n) == (8, 8)


async def test_so_many_commits_are_on_their_way_at_once_and_no_more(tmp_path: Path) -> None:
    core = Core(tmp_path, bound_bytes=100 * LARGE_BYTES)
    partition = core.topic().partition(0)
    for number in range(MAX_UNWRITTEN):
        commit = gather(core, partition, b"x" * LARGE_BYTES)
        assert hand_over(core) is commit, number
    gather(core, partition, b"x" * LARGE_BYTES)
    core.commits.hurry()
    assert hand_over(core) is None
    core.writer.write()
    assert hand_over(core) is not None


async def test_small_ones_wait_for_the_sync_thread(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    hand_over(core)
    core.writer.write()
    gather(core, partition, b"second")
    assert hand_over(core) is None
    gather(core, partition, b"third")
    core.writer.sync()
    second = hand_over(core)
    assert second is not None
    assert second.batches[0].count == 2


async def test_who_waits_for_written_only_need_not_wait_for_a_sync(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    hand_over(core)
    core.writer.write()
    second = gather(core, partition, b"second")
    core.commits.hurry()
    assert hand_over(core) is second
    core.writer.write()
    assert second.level is Level.WRITTEN
    assert partition.end_offset == 0


async def test_a_large_one_need_not_wait_for_a_sync(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    hand_over(core)
    core.writer.write()
    second = gather(core, partition, b"x" * LARGE_BYTES)
    assert hand_over(core) is second


async def test_the_next_one_is_written_while_one_is_synced_if_it_is_worth_it(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    hand_over(core)
    core.writer.write()
    for _ in range(MAX_UNWRITTEN - 1):
        commit = gather(core, partition, b"x" * NEXT_BYTES)
        assert hand_over(core) is commit
        core.writer.write()
    gather(core, partition, b"x" * NEXT_BYTES)
    assert hand_over(core) is None  # these are enough: this one may grow
    core.writer.sync()
    assert hand_over(core) is not None


@pytest.mark.parametrize(("in_flight", "size"), [(1, NEXT_BYTES), (MAX_UNWRITTEN, LARGE_BYTES)])
async def test_that_it_is_worth_it_is_noticed_at_once(tmp_path: Path, in_flight: int, size: int) -> None:
    core = Core(tmp_path, bound_bytes=100 * LARGE_BYTES)
    partition = core.topic().partition(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(core.commits.run)
        for _ in range(in_flight):
            gather(core, partition, b"x" * NEXT_BYTES)
            await wait_all_tasks_blocked()
            core.writer.write()
        await wait_all_tasks_blocked()
        commit = core.commits.gathering
        for part in range(8):
            assert commit not in core.commits.in_flight, part
            append(partition, b"x" * (size // 8))  # to the same batch
            await wait_all_tasks_blocked()
        assert commit in core.commits.in_flight
        nursery.cancel_scope.cancel()


async def test_a_large_one_is_noticed_when_it_goes_on_growing(tmp_path: Path) -> None:
    core = Core(tmp_path, bound_bytes=100 * LARGE_BYTES)
    partition = core.topic().partition(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(core.commits.run)
        gather(core, partition, b"first")
        await wait_all_tasks_blocked()
        core.writer.write()
        second = core.commits.gathering
        for _ in range(6):
            gather(core, partition, b"x" * (LARGE_BYTES // 4))
            await wait_all_tasks_blocked()
        assert second in core.commits.in_flight
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------ who is told when


async def test_levels_are_told_in_order(core: Core, partition: Partition) -> None:
    told: list[object] = []
    commit = gather(core, partition, b"value")
    commit.listeners.append(lambda: told.append(commit.level))
    partition.watchers[lambda: told.append(partition.end_offset)] = None
    hand_over(core)
    assert told == []
    core.writer.write()
    assert told == [Level.WRITTEN]
    core.writer.sync()
    assert told == [Level.WRITTEN, 1, Level.SYNCED]  # consumers see it when its producer knows


@pytest.mark.parametrize("level", [Level.WRITTEN, Level.SYNCED])
async def test_waiting_for_a_level(core: Core, partition: Partition, level: Level, nursery: trio.Nursery) -> None:
    commit = gather(core, partition, b"value")
    reached: list[Level] = []

    async def wait() -> None:
        await commit.wait(level)
        reached.append(commit.level)

    nursery.start_soon(wait)
    nursery.start_soon(wait)
    hand_over(core)
    core.writer.write()
    await wait_all_tasks_blocked()
    assert len(reached) == (2 if level is Level.WRITTEN else 0)
    core.writer.sync()
    await wait_all_tasks_blocked()
    assert len(reached) == 2
    await commit.wait(level)  # and again, without waiting


async def test_who_waits_can_be_cancelled(core: Core, partition: Partition, autojump_clock: trio.abc.Clock) -> None:
    commit = gather(core, partition, b"value")
    with trio.move_on_after(5) as scope:
        await commit.wait(Level.SYNCED)
    assert scope.cancelled_caught
    core.flush()
    assert commit.level is Level.SYNCED


async def test_what_holds_a_record_that_is_not_on_disk(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    first = core.commits.gathering
    assert core.commits.holding(partition, 0) is first
    hand_over(core)
    assert core.commits.holding(partition, 0) is first
    core.flush()
    assert core.commits.holding(partition, 0) is None


async def test_a_record_that_is_written_is_not_held_by_what_came_after_it(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    first = hand_over(core)
    core.writer.write()
    second = gather(core, partition, b"second")
    assert core.commits.holding(partition, 0) is first
    assert core.commits.holding(partition, 1) is second
    core.commits.hurry()
    hand_over(core)
    assert core.commits.holding(partition, 0) is first
    assert core.commits.holding(partition, 1) is second


async def test_what_holds_a_record_of_a_topic_that_was_deleted(core: Core, partition: Partition) -> None:
    gather(core, partition, b"first")
    partition.topic.deleted = True
    core.flush()
    assert core.commits.holding(partition, 0) is None


# ------------------------------------------------------------------ room


async def test_producers_wait_for_room(tmp_path: Path, nursery: trio.Nursery) -> None:
    core = Core(tmp_path, bound_bytes=1_000)
    partition = core.topic().partition(0)
    told: list[str] = []

    async def produce(name: str) -> None:
        await core.commits.wait_room()
        gather(core, partition, b"x" * 600)
        told.append(name)

    assert not core.commits.is_full
    gather(core, partition, b"x" * 1_500)
    size = core.commits.size_bytes
    assert size > 1_500
    assert core.commits.is_full
    core.commits.when_room(lambda: told.append("called"))
    nursery.start_soon(produce, "one")
    nursery.start_soon(produce, "two")
    nursery.start_soon(produce, "three")
    await wait_all_tasks_blocked()
    hand_over(core)
    core.writer.write()
    await wait_all_tasks_blocked()
    assert (told, core.commits.size_bytes) == ([], size)
    core.writer.sync()
    await wait_all_tasks_blocked()
    assert told[0] == "called"
    assert len(told) == 3  # no more than have room
    core.flush()
    await wait_all_tasks_blocked()
    assert len(told) == 4


async def test_a_failure_makes_room(tmp_path: Path, nursery: trio.Nursery) -> None:
    core = Core(tmp_path, bound_bytes=1_000)
    partition = core.topic().partition(0)
    gather(core, partition, b"x" * 1_500)
    hand_over(core)
    nursery.start_soon(core.commits.wait_room)
    core.writer.trouble = FULL
    core.writer.write()
    await wait_all_tasks_blocked()
    assert core.commits.size_bytes == 0
    assert not nursery.child_tasks or not core.commits.is_full


# ------------------------------------------------------------------ topics that go


async def test_what_has_gathered_for_a_deleted_topic_goes_nowhere(core: Core) -> None:
    gone, left = core.topic(topic_id=1), core.topic(topic_id=2)
    append(gone.partition(0), b"gone")
    append(left.partition(0), b"left")
    commit = core.commits.gathering
    gone.deleted = True
    new = core.topic(topic_id=3)
    append(new.partition(0), b"new")
    core.flush()
    assert commit.level is Level.SYNCED
    assert not gone.active.exists
    assert await read_all(core.cursor(left.partition(0))) == [(0, b"left")]
    assert await read_all(core.cursor(new.partition(0))) == [(0, b"new")]
    assert core.commits.size_bytes == 0


async def test_a_failure_of_what_was_for_a_deleted_topic_is_one_for_all(core: Core) -> None:
    gone, left = core.topic(topic_id=1), core.topic(topic_id=2)
    append(gone.partition(0), b"gone")
    append(left.partition(0), b"left")
    hand_over(core)
    gone.deleted = True
    core.writer.trouble = FULL
    core.writer.write()
    core.writer.trouble = None
    append(left.partition(0), b"kept")
    core.flush()
    assert await read_all(core.cursor(left.partition(0))) == [(0, b"kept")]


async def test_passed_waits_for_what_is_in_flight_now(core: Core, partition: Partition, nursery: trio.Nursery) -> None:
    gather(core, partition, b"first")
    hand_over(core)
    done = trio.Event()

    async def wait() -> None:
        await core.commits.passed()
        done.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    gather(core, partition, b"second")
    core.writer.write()
    await wait_all_tasks_blocked()
    assert not done.is_set()
    core.writer.sync()
    await wait_all_tasks_blocked()
    assert done.is_set()


# ------------------------------------------------------------------ the end


async def test_nothing_is_accepted_when_it_stops(core: Core, partition: Partition) -> None:
    core.commits.stopped = True
    with pytest.raises(LogStoppedError):
        core.commits.check()


async def test_settled_waits_for_all_that_was_accepted(core: Core, partition: Partition, nursery: trio.Nursery) -> None:
    done = trio.Event()

    async def wait() -> None:
        await core.commits.settled()
        done.set()

    gather(core, partition, b"first")
    hand_over(core)
    gather(core, partition, b"second")
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    core.writer.write()
    core.writer.sync()
    await wait_all_tasks_blocked()
    assert not done.is_set()
    core.flush()
    await wait_all_tasks_blocked()
    assert done.is_set()
    await core.commits.settled()
