"""The threads that write."""

from __future__ import annotations

import errno
import gc
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Timer
from time import sleep

import pytest
import trio

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.files import Files
from ride_trio.eventlog.writer import LANES, ThreadedWriter
from tests.eventlog.damage import values
from tests.eventlog.logs import Core, append, read_all
from tests.eventlog.open_files import largest_file, open_files
from tests.eventlog.threads import Threads, produce


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
    assert not [thread for thread in threading.enumerate() if "_work from" in thread.name]
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
        writer._give(None)

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


async def test_what_is_written_when_the_threads_have_had_their_way_is_told_of_at_the_end_of_the_pass(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    core, writer = threads.core, threads.core.commits.writer
    assert isinstance(writer, ThreadedWriter)
    await nursery.start(threads.run)
    partition = core.topic().partition(0)
    await produce(core, partition, 1, Level.SYNCED)
    told_by = list[str]()
    on_written = core.commits.on_written

    def note(commit: Commit) -> None:
        try:
            told_by.append(trio.lowlevel.current_task().name)
        except RuntimeError:  # there is no task: the pass is over
            told_by.append("the end of a pass")
        on_written(commit)

    def give_way() -> None:
        while writer._busy and not writer._done:
            sleep(0.001)

    monkeypatch.setattr(core.commits, "on_written", note)
    monkeypatch.setattr(os, "sched_yield", give_way)
    with trio.fail_after(5):  # who waits is woken all the same
        await produce(core, partition, 3, Level.WRITTEN)
    assert told_by == ["the end of a pass"] * 3


async def test_a_signal_that_reaches_a_thread_changes_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        threads = Threads(tmp_path)
        await nursery.start(threads.run)
        partition = threads.core.topic().partition(0)
        await produce(threads.core, partition, 1, Level.SYNCED)
        found = [thread for thread in threading.enumerate() if "_work from" in thread.name]
        assert len(found) == LANES + 1
        for thread in found:
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
        await trio.sleep(0.01)
        await produce(threads.core, partition, 3, Level.SYNCED)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("at", ["the end of a pass", "another time"])
async def test_a_listener_that_raises_ends_the_log_and_hangs_nobody(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    core, writer = threads.core, threads.core.commits.writer
    assert isinstance(writer, ThreadedWriter)

    def give_way() -> None:
        while at == "the end of a pass" and writer._busy and not writer._done:
            sleep(0.001)

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(os, "sched_yield", give_way)
    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(threads.run)
            partition = core.topic().partition(0)
            await produce(core, partition, 1, Level.SYNCED)
            for _ in range(3):
                append(partition, bytes(NEXT_BYTES))
                core.commits.hand_over_if_due()
            core.commits.in_flight[0].listeners.append(fail)
    with pytest.raises(LogFailedError):
        core.commits.check()
    assert core.commits.in_flight == []


async def test_the_threads_leave_no_file_open(tmp_path: Path) -> None:
    gc.collect()  # others' may be in circles
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        threads = Threads(tmp_path / str(number))
        async with trio.open_nursery() as nursery:
            await nursery.start(threads.run)
            await produce(threads.core, threads.core.topic().partition(0), 1, Level.SYNCED)
            nursery.cancel_scope.cancel()
        threads.core.commits.writer.forget(tmp_path)  # too late, and harmless
    assert len(os.listdir("/proc/self/fd")) == before


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
