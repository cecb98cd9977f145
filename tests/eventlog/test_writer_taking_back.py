"""A commit that could not be written is taken back: what happens meanwhile, and when that fails."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog.commit import Level
from tests.eventlog.damage import values
from tests.eventlog.held import HeldTruncate, HeldWrite, begin, failing, no_room, running
from tests.eventlog.logs import Core, append, read_all
from tests.eventlog.open_files import open_files


async def test_what_comes_while_a_commit_is_taken_back_fails_with_it_and_is_never_written(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    with monkeypatch.context() as patch:
        taking_back = HeldTruncate(patch)
        first = await failing(core, partition, patch)
        await taking_back.has_begun()
        second = begin(core, partition, b"meanwhile")
        await trio.sleep(0.01)
        taking_back.release()
        for commit in (first, second):
            with pytest.raises(LogFullError):
                await commit.wait(Level.SYNCED)
    assert b"meanwhile" not in partition.topic.active.path.read_bytes()
    append(partition, b"value-1")
    await core.commits.gathering.wait(Level.SYNCED)
    again = Core(tmp_path)
    assert await read_all(again.cursor(again.topic().partition(0))) == values(0, 1)


async def test_a_commit_that_cannot_be_taken_back_is_final(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    taking_back = HeldTruncate(monkeypatch, OSError(errno.EIO, "Input/output error"))
    taking_back.release()
    commit = await failing(core, partition, monkeypatch)
    with pytest.raises(LogFailedError):
        await commit.wait(Level.SYNCED)
    with pytest.raises(LogFailedError, match="start the server anew"):
        core.commits.check()


async def test_the_log_can_be_cancelled_while_a_commit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            core, partition = await running(tmp_path, nursery)
            taking_back = HeldTruncate(monkeypatch)
            commit = await failing(core, partition, monkeypatch)
            await taking_back.has_begun()
            nursery.cancel_scope.cancel()
            taking_back.release()
    assert commit.level is Level.FAILED
    assert partition.topic.active.path.stat().st_size == partition.topic.active.size


async def test_a_folder_is_forgotten_though_a_commit_before_it_fails(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    with monkeypatch.context() as patch:
        taking_back = HeldTruncate(patch)
        commit = await failing(core, partition, patch)
        await taking_back.has_begun()
        core.commits.writer.forget(partition.topic.folder)
        taking_back.release()
        with pytest.raises(LogFullError):
            await commit.wait(Level.SYNCED)
    with trio.fail_after(5):
        while open_files(tmp_path):  # noqa: ASYNC110  # no event tells of that
            await trio.sleep(0.001)


async def test_of_two_failures_the_one_that_leaves_nobody_sure_is_told(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, partition = await running(tmp_path, nursery)
    full = HeldWrite(monkeypatch, b"first")
    first = begin(core, partition, b"first")
    await full.has_begun()
    damaged = HeldWrite(monkeypatch, b"second")
    begin(core, partition, b"second")
    await damaged.has_begun()
    damaged.release(OSError(errno.EIO, "Input/output error"))
    await trio.sleep(0.01)
    full.release(no_room())
    with pytest.raises(LogFailedError):
        await first.wait(Level.SYNCED)
