"""What gets into files, how a failed write is taken back, and the two threads."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Timer

import pytest
import trio
import trio.lowlevel

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog.batches import HEADER_BYTES, unpack
from ride_trio.eventlog.commits import NEXT_BYTES, Commit, Level
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.writer import MAX_OPEN_FILES, Files, ThreadedWriter
from tests.eventlog.damage import fill, rolled, values
from tests.eventlog.logs import NOW_MS, Core, append, append_from, encode, read_all


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system lets no file get larger: what is written to one beyond that is cut short, and then refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def open_files(folder: Path) -> list[str]:
    """What this process has open below a folder."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name for name in names if name.startswith(str(folder))]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ files


async def test_batches_are_written_as_documented(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(4)
    fill(core, topic.partition(0), 0)
    synced = topic.active.size
    append_from(topic.partition(3), 7, 2, 5, b"a")
    append_from(topic.partition(3), 7, 2, 6, b"b")
    core.write()
    append(topic.partition(3), b"c", timestamp=NOW_MS + 1)
    core.write()
    data = topic.active.path.read_bytes()
    assert data.startswith(topic.active.head.pack())
    header = unpack(data, synced)
    assert header is not None
    assert header[5:] == (3, 2, 0, 1, NOW_MS, 7, 2, 5, synced)
    second = unpack(data, synced + HEADER_BYTES + header.size)
    assert second is not None
    assert second[5:] == (3, 1, 2, 0, NOW_MS + 1, 0, 0, 0, synced)  # the one before is not synced


async def test_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=1 << 24)
    topic = core.topic(1_500)
    for partition in topic.partitions:
        append(partition, b"value-0")
    core.flush()
    core = Core(tmp_path)
    for partition in core.topic(1_500).partitions[::100]:
        assert await read_all(core.cursor(partition)) == values(0)


async def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)

    def pwritev(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        return os.pwrite(fd, b"".join(buffers)[:5], position)

    pwrite = os.pwrite
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", pwritev)
        patched.setattr(os, "pwrite", lambda fd, data, position: pwrite(fd, bytes(data)[:7], position))
        for partition in topic.partitions:
            append(partition, b"value-0", b"value-1")
        core.flush()
    core = Core(tmp_path)
    for partition in core.topic(3).partitions:
        assert await read_all(core.cursor(partition)) == values(0, 1)
    assert core.notes == []


async def test_a_disk_that_is_full_in_the_middle_of_a_commit_leaves_files_as_they_were(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=3_000)
    topics = [core.topic(2, topic_id=number) for number in range(1, 4)]
    for topic in topics:
        append(topic.partition(0), b"x" * 500)
    append(topics[2].partition(1), b"y" * 500)
    core.flush()
    before = contents(tmp_path)
    for topic in topics:  # to the first, one more batch; of the second two more segments; the third has no room
        append(topic.partition(0), b"z" * 1_000)
        topic.partition(0).close_batch()
    for _ in range(2):
        append(topics[1].partition(1), b"z" * 2_300)
        topics[1].partition(1).close_batch()
    append(topics[2].partition(1), b"z" * 500)
    with largest_file(2_600):
        core.write()
    assert core.commits.in_flight == []
    assert contents(tmp_path) == before
    append(topics[2].partition(0), b"again")
    core.flush()
    core = Core(tmp_path)
    assert await read_all(core.cursor(core.topic(2, topic_id=3).partition(0))) == [(0, b"x" * 500), (1, b"again")]
    assert core.notes == []


async def test_a_new_segment_goes_before_the_one_that_it_follows_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, the server would find a head that says there was more before it."""
    core = Core(tmp_path, segment_bytes=2_000)
    topic = core.topic()
    append(topic.partition(0), b"x" * 1_000)
    core.flush()
    for _ in range(2):
        append(topic.partition(0), b"z" * 700)
        topic.partition(0).close_batch()
    second = topic.folder / "00000000000000000002.log"
    there: list[bool] = []
    synced: list[str] = []
    ftruncate, fsync = os.ftruncate, os.fsync

    def cut(fd: int, size: int) -> None:
        there.append(second.exists())
        assert synced[-1] == str(topic.folder)
        ftruncate(fd, size)

    monkeypatch.setattr(os, "ftruncate", cut)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    pwritev = os.pwritev
    left = iter([True, True, False])  # the first segment's batch, the second's head, its batch

    def fill_up(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        if not next(left):
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwritev(fd, buffers, position)

    monkeypatch.setattr(os, "pwritev", fill_up)
    core.write()
    assert there == [False]


async def test_more_new_segments_than_files_may_be_open_are_taken_back(tmp_path: Path) -> None:
    core = Core(tmp_path, bound_bytes=1 << 24)
    topics = [core.topic(topic_id=number) for number in range(1, MAX_OPEN_FILES + 5)]
    for topic in topics:
        append(topic.partition(0), b"x")
    append(topics[-1].partition(0), b"x" * 4_000)
    with largest_file(2_000):
        core.write()
    assert core.commits.in_flight == []
    assert contents(tmp_path) == {}
    for topic in topics:
        append(topic.partition(0), b"value-0")
    core.flush()
    assert len([name for name in open_files(tmp_path) if "(deleted)" not in name]) == MAX_OPEN_FILES


async def test_what_cannot_be_taken_back_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    append(topic.partition(0), b"x" * 4_000)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", fail)
    with largest_file(2_000):
        core.write()
    with pytest.raises(LogFailedError, match="start the server anew"):
        core.commits.check()


async def test_of_a_topic_only_the_newest_file_is_open(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    for number in range(3):
        fill(core, topic.partition(0), number)
        rolled(core, topic)
    fill(core, topic.partition(0), 3)
    assert open_files(tmp_path) == [str(topic.active.path)]


async def test_the_segment_before_is_synced_before_a_new_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    second = topic.folder / "00000000000000000002.log"
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        os, "fdatasync", lambda fd: synced.append((os.readlink(f"/proc/self/fd/{fd}"), second.exists()))
    )
    rolled(core, topic)
    assert synced == [(str(topic.segments[0].path), False)]


async def test_ten_thousand_partitions_need_one_open_file(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=1 << 24, bound_bytes=1 << 24)
    topic = core.topic(10_000)
    for partition in topic.partitions:
        append(partition, b"value-0")
    core.flush()
    assert len(open_files(tmp_path)) == 1
    assert topic.partition(9_999).end_offset == 1


# ------------------------------------------------------------------ threads


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
            with suppress(LogFullError):
                await commit.wait(Level.SYNCED)
                acknowledged.append(value)
    again = Core(tmp_path, segment_bytes=20_000)
    stored = [value for partition in again.topic(4).partitions for _, value in await read_all(again.cursor(partition))]
    assert sorted(stored) == sorted(acknowledged)
    assert again.notes == []
    assert 0 < len(acknowledged) < 600
