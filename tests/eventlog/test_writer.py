"""The threads that write."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Timer

import pytest
import trio

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.files import Files
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.writer import ThreadedWriter
from tests.eventlog.damage import values
from tests.eventlog.logs import NOW_MS, Core, append, encode, read_all
from tests.eventlog.open_files import largest_file, open_files


class Threads:
    """A core with the real writer, and real time."""

    def __init__(self, path: Path, segment_bytes: int = 20_000) -> None:
        self.core = Core(path, segment_bytes=segment_bytes)
        self.core.commits.writer = ThreadedWriter(self.core.commits, self.core.metrics)  # type: ignore[assignment]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.core.commits.writer.run)  # type: ignore[attr-defined]
            nursery.start_soon(self.core.commits.run)
            task_status.started()


async def produce(core: Core, partition: Partition, count: int, level: Level) -> None:
    for number in range(count):
        partition.append(encode(partition, b"value-%d" % number), NOW_MS)
        commit = core.commits.gathering
        if level is Level.WRITTEN:
            core.commits.hurry()
        await commit.wait(level)
        assert commit.level >= level
        assert level is not Level.SYNCED or partition.end_offset > number


async def test_producers_of_all_kinds_at_once(tmp_path: Path, nursery: trio.Nursery) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    topics = [core.topic(3, topic_id=number) for number in (1, 2)]
    async with trio.open_nursery() as producers:
        for topic in topics:
            for partition, level in zip(topic.partitions, (Level.QUEUED, Level.WRITTEN, Level.SYNCED), strict=True):
                producers.start_soon(produce, core, partition, 60, level)
    await core.commits.settled()
    again = Core(tmp_path)
    for number in (1, 2):
        for partition in again.topic(3, topic_id=number).partitions:
            assert await read_all(again.cursor(partition)) == values(*range(60))
    assert again.notes == []
    assert sum(core.metrics.write_time.counts) > 0
    assert sum(core.metrics.sync_time.counts) > 0


async def test_a_full_disk_and_then_room_again(tmp_path: Path, nursery: trio.Nursery) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    partition = core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)
    with largest_file(2_000):
        append(partition, b"x" * 4_000)
        with pytest.raises(LogFullError):
            await core.commits.gathering.wait(Level.SYNCED)
    append(partition, b"value-1")
    await core.commits.gathering.wait(Level.SYNCED)
    assert await read_all(core.cursor(partition)) == values(0, 1)


async def test_a_sync_that_fails(tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    partition = core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    for _ in range(20):
        append(partition, b"lost")
        core.commits.hurry()
        commit = core.commits.gathering
        with pytest.raises(LogFailedError):
            await commit.wait(Level.SYNCED)
        if core.commits.failed is not None:
            break
    assert core.commits.failed is not None
    assert partition.end_offset == 1


async def test_files_of_a_deleted_topic_are_let_go(tmp_path: Path, nursery: trio.Nursery) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    topic = core.topic()
    await produce(core, topic.partition(0), 1, Level.SYNCED)
    assert open_files(tmp_path) == [str(topic.active.path)]
    core.commits.writer.forget(topic.folder)
    with trio.fail_after(5):
        while open_files(tmp_path):  # noqa: ASYNC110  # no event tells of that
            await trio.sleep(0.001)


async def test_what_was_submitted_is_finished_when_the_threads_stop(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    async with trio.open_nursery() as nursery:
        await nursery.start(threads.run)
        partition = core.topic().partition(0)
        append(partition, b"value-0")
        core.commits.hand_over_if_due()
        nursery.cancel_scope.cancel()
    assert not [thread for thread in threading.enumerate() if "_loop" in thread.name]
    await trio.lowlevel.checkpoint()
    assert partition.end_offset == 1


async def test_a_thread_that_dies_takes_the_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(tmp_path)
    core = threads.core

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Files, "write", fail)
    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(threads.run)
            append(core.topic().partition(0), b"value-0")


async def test_threads_that_are_stopped_before_they_have_begun_do_not_wait_for_each_other(tmp_path: Path) -> None:
    stuck = False

    def free(writer: ThreadedWriter) -> None:
        nonlocal stuck
        stuck = True
        writer._to_write.put(None)
        writer._to_sync.put(None)

    for _ in range(150):  # which of the tasks runs first is drawn
        core = Core(tmp_path)
        writer = ThreadedWriter(core.commits, core.metrics)
        rescue = Timer(5, free, [writer])
        rescue.start()
        async with trio.open_nursery() as nursery:
            await nursery.start(writer.run)
            nursery.cancel_scope.cancel()
        rescue.cancel()
        assert not stuck


async def test_the_trio_thread_gives_way_while_something_is_on_its_way_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_way = 0

    def give_way() -> None:
        nonlocal given_way
        given_way += 1

    monkeypatch.setattr(os, "sched_yield", give_way)
    threads = Threads(tmp_path)
    partition = threads.core.topic().partition(0)
    async with trio.open_nursery() as nursery:
        await nursery.start(threads.run)
        await trio.testing.wait_all_tasks_blocked()
        assert given_way == 0
        await produce(threads.core, partition, 3, Level.SYNCED)
        assert given_way >= 3
        nursery.cancel_scope.cancel()
    done = given_way
    threads.core.commits.in_flight.append(Commit())
    await trio.testing.wait_all_tasks_blocked()
    assert given_way == done


class Calls:
    """Notes which system calls write and sync, and lets them fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.error: OSError | None = None
        pwritev, fdatasync = os.pwritev, os.fdatasync

        def write(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
            self.made.append("write and sync" if flags & os.RWF_DSYNC else "write")
            if self.error is not None and flags & os.RWF_DSYNC:
                raise self.error
            return pwritev(fd, buffers, position, flags)

        def sync(fd: int) -> None:
            self.made.append("sync")
            fdatasync(fd)

        patch.setattr(os, "pwritev", write)
        patch.setattr(os, "fdatasync", sync)


async def test_who_waits_for_the_disk_only_has_one_call_and_who_waits_for_the_write_two(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    await nursery.start(threads.run)
    partition = threads.core.topic().partition(0)
    await produce(threads.core, partition, 1, Level.SYNCED)
    calls = Calls(monkeypatch)
    await produce(threads.core, partition, 1, Level.SYNCED)
    assert calls.made == ["write and sync"]
    calls.made.clear()
    await produce(threads.core, partition, 1, Level.WRITTEN)
    await threads.core.commits.settled()
    assert calls.made == ["write", "sync"]


async def test_more_buffers_than_one_call_takes_are_synced_behind_the_last(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, segment_bytes=1_000_000)
    await nursery.start(threads.run)
    topic = threads.core.topic(600)
    await produce(threads.core, topic.partition(0), 1, Level.SYNCED)
    calls = Calls(monkeypatch)
    for partition in topic.partitions:
        append(partition, b"")
    await threads.core.commits.gathering.wait(Level.SYNCED)
    assert calls.made == ["write", "write", "sync"]


async def test_a_write_and_sync_that_fails_for_another_reason_than_room_is_final(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    partition = core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)
    Calls(monkeypatch).error = OSError(errno.EIO, "Input/output error")
    append(partition, b"lost")
    with pytest.raises(LogFailedError):
        await core.commits.gathering.wait(Level.SYNCED)
    with pytest.raises(LogFailedError, match="start the server anew"):
        core.commits.check()
    assert partition.end_offset == 1


async def test_a_disk_that_is_full_now_and_then_loses_nothing_that_was_acknowledged(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    core = threads.core
    await nursery.start(threads.run)
    topic = core.topic(4)
    calls, random, acknowledged = Calls(monkeypatch), Random(5), list[bytes]()
    for number in range(300):
        calls.error = OSError(errno.ENOSPC, "No space left on device") if random.random() < 0.3 else None
        commits = []
        for part in range(random.randrange(1, 4)):
            value = b"%d-%d" % (number, part) + bytes(random.choice((10, NEXT_BYTES)))
            append(topic.partition(random.randrange(4)), value)
            commits.append((core.commits.gathering, value))
            if random.random() < 0.5:
                await trio.lowlevel.checkpoint()
        for commit, value in commits:
            with suppress(LogFullError), trio.fail_after(5):
                await commit.wait(Level.SYNCED)
                acknowledged.append(value)
    again = Core(tmp_path, segment_bytes=20_000)
    stored = [value for partition in again.topic(4).partitions for _, value in await read_all(again.cursor(partition))]
    assert sorted(stored) == sorted(acknowledged)
    assert again.notes == []
    assert 0 < len(acknowledged) < 600


# ------------------------------------------------------------------ two lanes


class HeldWrite:
    """Holds the write of what contains `mark` until it is released, and may let it fail then. Others go through."""

    def __init__(self, patch: pytest.MonkeyPatch, mark: bytes) -> None:
        self.begun, self.others = threading.Event(), threading.Event()
        self.error: OSError | None = None
        self._released = threading.Event()
        pwritev = os.pwritev

        def write(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
            if mark not in b"".join(buffers):
                size = pwritev(fd, buffers, position, flags)
                self.others.set()
                return size
            self.begun.set()
            assert self._released.wait(5)
            if self.error is not None:
                raise self.error
            return pwritev(fd, buffers, position, flags)

        patch.setattr(os, "pwritev", write)

    async def has_begun(self) -> None:
        assert await trio.to_thread.run_sync(self.begun.wait, 5)

    async def is_overtaken(self) -> None:
        assert await trio.to_thread.run_sync(self.others.wait, 5)
        await trio.sleep(0.01)  # what a thread tells comes after its write

    def release(self, error: OSError | None = None) -> None:
        self.error = error
        self._released.set()


def begin(core: Core, partition: Partition, value: bytes) -> Commit:
    """Hand over a commit that is large enough to be written beside another one."""
    append(partition, value + bytes(NEXT_BYTES))
    commit = core.commits.gathering
    core.commits.hand_over_if_due()
    assert commit in core.commits.in_flight
    return commit


async def test_what_is_done_before_its_turn_is_told_of_in_its_turn(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, 1 << 20)
    await nursery.start(threads.run)
    core, partition = threads.core, threads.core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)
    held = HeldWrite(monkeypatch, b"first")
    first = begin(core, partition, b"first")
    await held.has_begun()
    second = begin(core, partition, b"second")
    await held.is_overtaken()
    assert (first.level, second.level, partition.end_offset) == (Level.QUEUED, Level.QUEUED, 1)
    held.release()
    await second.wait(Level.SYNCED)
    assert (first.level, partition.end_offset) == (Level.SYNCED, 3)


async def test_what_is_written_behind_a_commit_that_fails_is_taken_back_with_it(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, 1 << 20)
    await nursery.start(threads.run)
    core = threads.core
    one, other = (core.topic(topic_id=number).partition(0) for number in (1, 2))
    for partition in (one, other):
        await produce(core, partition, 1, Level.SYNCED)
    with monkeypatch.context() as patch:
        held = HeldWrite(patch, b"fails")
        commits = [begin(core, one, b"fails")]
        await held.has_begun()
        append(one, b"behind it")
        commits.append(begin(core, other, b"behind it, in another file"))
        await held.is_overtaken()
        held.release(OSError(errno.ENOSPC, "No space left on device"))
        for commit in commits:
            with pytest.raises(LogFullError):
                await commit.wait(Level.SYNCED)
    assert one.topic.active.path.stat().st_size == one.topic.active.size
    assert other.topic.active.path.stat().st_size == other.topic.active.size
    for partition in (one, other):
        append(partition, b"value-1")
        await core.commits.gathering.wait(Level.SYNCED)
    again = Core(tmp_path)
    for number in (1, 2):
        assert await read_all(again.cursor(again.topic(topic_id=number).partition(0))) == values(0, 1)
    assert again.notes == []


async def test_a_write_that_fails_for_another_reason_takes_what_was_behind_it_along(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, 1 << 20)
    await nursery.start(threads.run)
    core, partition = threads.core, threads.core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)
    held = HeldWrite(monkeypatch, b"fails")
    begin(core, partition, b"fails")
    await held.has_begun()
    second = begin(core, partition, b"behind it")
    await held.is_overtaken()
    held.release(OSError(errno.EIO, "Input/output error"))
    with pytest.raises(LogFailedError):
        await second.wait(Level.SYNCED)
    assert partition.end_offset == 1
    with pytest.raises(LogFailedError, match="start the server anew"):
        core.commits.check()


async def test_a_segment_is_begun_when_all_before_it_is_safe(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head says what was before it."""
    threads = Threads(tmp_path, NEXT_BYTES + 1_000)
    await nursery.start(threads.run)
    core, topic = threads.core, threads.core.topic()
    await produce(core, topic.partition(0), 1, Level.SYNCED)
    held = HeldWrite(monkeypatch, b"first")
    begin(core, topic.partition(0), b"first")
    await held.has_begun()
    second = begin(core, topic.partition(0), b"second")
    await trio.sleep(0.02)
    assert not held.others.is_set()
    assert not topic.active.path.exists()
    held.release()
    await second.wait(Level.SYNCED)
    assert len(topic.segments) == 2


async def test_a_segment_that_was_to_be_begun_behind_a_commit_that_fails_is_not(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, NEXT_BYTES + 1_000)
    await nursery.start(threads.run)
    core, topic = threads.core, threads.core.topic()
    await produce(core, topic.partition(0), 1, Level.SYNCED)
    with monkeypatch.context() as patch:
        held = HeldWrite(patch, b"first")
        first = begin(core, topic.partition(0), b"first")
        await held.has_begun()
        second = begin(core, topic.partition(0), b"second")
        held.release(OSError(errno.ENOSPC, "No space left on device"))
        for commit in (first, second):
            with pytest.raises(LogFullError):
                await commit.wait(Level.SYNCED)
    await produce(core, topic.partition(0), 1, Level.SYNCED)
    assert [path.name for path in topic.folder.glob("*.log")] == [topic.active.path.name]
    again = Core(tmp_path)
    assert [value for _, value in await read_all(again.cursor(again.topic().partition(0)))] == [b"value-0"] * 2


async def test_who_waits_for_its_turn_does_not_wait_for_a_thread_that_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, NEXT_BYTES + 1_000)
    core = threads.core
    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(threads.run)
            partition = core.topic().partition(0)
            await produce(core, partition, 1, Level.SYNCED)
            held = HeldWrite(monkeypatch, b"first")
            begin(core, partition, b"first")
            await held.has_begun()
            begin(core, partition, b"second")
            await trio.sleep(0.01)
            held.release(ZeroDivisionError())  # type: ignore[arg-type]
