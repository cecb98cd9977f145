"""Writes that are held, and fail, when a test of the writing threads says so."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
import trio

from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.partition import Partition
from tests.eventlog.logs import Core, append
from tests.eventlog.threads import Threads, produce


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


async def running(tmp_path: Path, nursery: trio.Nursery, segment_bytes: int = 1 << 20) -> tuple[Core, Partition]:
    """Threads at work, and a partition whose topic has its segment and a record."""
    threads = Threads(tmp_path, segment_bytes)
    await nursery.start(threads.run)
    partition = threads.core.topic().partition(0)
    await produce(threads.core, partition, 1, Level.SYNCED)
    return threads.core, partition


class HeldTruncate:
    """Holds what takes a write back until it is released, and may let it fail then."""

    def __init__(self, patch: pytest.MonkeyPatch, error: OSError | None = None) -> None:
        self.begun, self._released = threading.Event(), threading.Event()
        ftruncate = os.ftruncate

        def truncate(fd: int, size: int) -> None:
            self.begun.set()
            assert self._released.wait(5)
            if error is not None:
                raise error
            ftruncate(fd, size)

        patch.setattr(os, "ftruncate", truncate)

    async def has_begun(self) -> None:
        assert await trio.to_thread.run_sync(self.begun.wait, 5)

    def release(self) -> None:
        self._released.set()


def no_room() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


async def failing(core: Core, partition: Partition, patch: pytest.MonkeyPatch) -> Commit:
    """A commit whose write is being taken back."""
    held = HeldWrite(patch, b"fails")
    commit = begin(core, partition, b"fails")
    await held.has_begun()
    held.release(no_room())
    return commit
