"""Two threads write at a time: what is told in which order, and what fails together."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
import trio

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog import writer as writer_module
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.writer import LAZY_S
from tests.eventlog.damage import values
from tests.eventlog.held import HeldWrite, begin, running
from tests.eventlog.logs import Core, append, read_all
from tests.eventlog.open_files import open_files
from tests.eventlog.threads import Threads, produce


async def test_what_is_done_before_its_turn_is_told_of_in_its_turn(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
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
    core, one = await running(tmp_path, nursery)
    other = core.topic(topic_id=2).partition(0)
    await produce(core, other, 1, Level.SYNCED)
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
    core, partition = await running(tmp_path, nursery)
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
    core, partition = await running(tmp_path, nursery, NEXT_BYTES + 1_000)
    topic = partition.topic
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
    core, partition = await running(tmp_path, nursery, NEXT_BYTES + 1_000)
    topic = partition.topic
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


async def test_a_file_that_a_failed_commit_never_got_to_ends_where_it_would_have_begun_in_it(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, one = await running(tmp_path, nursery)
    other = core.topic(topic_id=2).partition(0)
    await produce(core, other, 1, Level.SYNCED)
    with monkeypatch.context() as patch:
        held = HeldWrite(patch, b"fails")
        append(one, b"fails")
        first = begin(core, other, b"of the same commit")
        await held.has_begun()
        second = begin(core, other, b"behind it")
        await held.is_overtaken()
        held.release(OSError(errno.ENOSPC, "No space left on device"))
        for commit in (first, second):
            with pytest.raises(LogFullError):
                await commit.wait(Level.SYNCED)
    for partition in (one, other):
        assert partition.topic.active.path.stat().st_size == partition.topic.active.size


async def test_a_folder_is_forgotten_when_nobody_writes_and_holds_up_what_comes_behind_it_until_then_only(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    held = HeldWrite(monkeypatch, b"first")
    begin(core, partition, b"first")
    await held.has_begun()
    core.commits.writer.forget(partition.topic.folder)
    last = begin(core, partition, b"last")
    await trio.sleep(0.02)
    assert not held.others.is_set()
    assert open_files(tmp_path)
    held.release()
    with trio.fail_after(5):
        await last.wait(Level.SYNCED)
    assert partition.end_offset == 3


async def test_who_waits_for_its_turn_does_not_wait_for_a_sync_that_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path, NEXT_BYTES + 1_000)
    core = threads.core
    syncs, go_on = threading.Event(), threading.Event()

    def fail(_: int) -> None:
        syncs.set()
        assert go_on.wait(5)
        raise ZeroDivisionError

    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(threads.run)
            partition = core.topic().partition(0)
            await produce(core, partition, 1, Level.SYNCED)
            monkeypatch.setattr(os, "fdatasync", fail)
            core.commits.hurry()
            begin(core, partition, b"first")
            assert await trio.to_thread.run_sync(syncs.wait, 5)
            begin(core, partition, b"second")
            await trio.sleep(0.01)
            go_on.set()


async def test_a_sync_that_nobody_waits_for_comes_a_little_later_and_for_all_at_once(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    syncs, began = core.metrics.sync_time, trio.current_time()
    before = sum(syncs.counts)
    commits = []
    for number in range(3):
        append(partition, b"value-%d" % (number + 1))
        core.commits.hurry()
        commits.append(core.commits.gathering)
        await commits[-1].wait(Level.WRITTEN)
    if trio.current_time() - began < LAZY_S:  # the machine was not too slow for this to be seen
        assert [commit.level for commit in commits] == [Level.WRITTEN] * 3
    with trio.fail_after(5):
        while partition.end_offset < 4:  # noqa: ASYNC110  # who waits would make it come at once
            await trio.sleep(LAZY_S)
    assert trio.current_time() - began >= LAZY_S
    assert sum(syncs.counts) - before < 3


@pytest.mark.parametrize("who", ["a producer", "a tail"])
async def test_a_sync_that_somebody_waits_for_comes_at_once(
    who: str, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LAZY_S", 1_000.0)
    core, partition = await running(tmp_path, nursery)
    append(partition, b"value-1")
    core.commits.hurry()
    commit, told = core.commits.gathering, trio.Event()
    with trio.fail_after(5):
        if who == "a producer":
            await commit.wait(Level.SYNCED)
        else:
            partition.watchers[told.set] = None
            await told.wait()
    assert (commit.level, partition.end_offset) == (Level.SYNCED, 2)


async def test_a_segment_does_not_wait_for_a_sync_that_nobody_waits_for(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LAZY_S", 1_000.0)
    core, partition = await running(tmp_path, nursery, NEXT_BYTES + 1_000)
    for number in range(3):
        append(partition, bytes(NEXT_BYTES))
        core.commits.hurry()
        with trio.fail_after(5):
            await core.commits.gathering.wait(Level.WRITTEN)
        assert len(partition.topic.segments) == number + 1


async def test_what_was_acknowledged_as_written_stays_when_what_comes_behind_it_fails(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LAZY_S", 1_000.0)
    core, partition = await running(tmp_path, nursery)
    await produce(core, partition, 1, Level.WRITTEN)
    with monkeypatch.context() as patch:
        held = HeldWrite(patch, b"fails")
        commit = begin(core, partition, b"fails")
        await held.has_begun()
        held.release(OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(LogFullError), trio.fail_after(5):
            await commit.wait(Level.SYNCED)
    assert partition.end_offset == 2
    again = Core(tmp_path)
    assert len(await read_all(again.cursor(again.topic().partition(0)))) == 2


async def test_a_segment_that_only_begins_is_synced_as_far_as_it_goes(tmp_path: Path, nursery: trio.Nursery) -> None:
    core, partition = await running(tmp_path, nursery)
    await core.commits.roll(partition.topic).wait(Level.SYNCED)
    segment = partition.topic.active
    assert (segment.exists, segment.synced) == (True, segment.size)


@pytest.mark.parametrize("order", ["written before", "being written"])
async def test_who_waits_for_the_disk_does_not_wait_for_a_sync_that_was_put_off_before_it(
    order: str, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LAZY_S", 1_000.0)
    core, partition = await running(tmp_path, nursery)
    held = HeldWrite(monkeypatch, b"first")
    core.commits.hurry()
    first = begin(core, partition, b"first")
    await held.has_begun()
    if order == "written before":
        held.release()
        await first.wait(Level.WRITTEN)
    second = begin(core, partition, b"second")
    await held.is_overtaken()
    held.release()
    with trio.fail_after(5):
        while second.level is not Level.SYNCED:  # noqa: ASYNC110  # who waits tells that it does
            await trio.sleep(0.001)
    assert partition.end_offset == 3
