"""The threads that write under loads, failures and cancellations that are drawn: what was promised holds."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import sleep

import pytest
import trio

from ride_trio.errors import LogError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import NEXT_BYTES
from ride_trio.eventlog.files import make_segment
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.topic import Topic
from ride_trio.eventlog.writer import ThreadedWriter
from tests.eventlog.logs import Core, append, read_all
from tests.eventlog.threads import Threads

TOPICS = (1, 2)
PARTITIONS = 3
Place = tuple[int, int, int]  # topic, partition, offset


class Disk:
    """System calls that are slow and fail as often as was drawn; a write that finds no room may be torn."""

    def __init__(self, patch: pytest.MonkeyPatch, random: Random) -> None:
        self.slow = random.choice((0.0, 0.3, 0.8))
        self.full = random.choice((0.0, 0.05, 0.3))
        self.damaged = random.choice((0.0, 0.0, 0.0, 0.02))
        self.unsynced = random.choice((0.0, 0.0, 0.0, 0.05))
        self.kept = random.choice((0.0, 0.0, 0.0, 0.2))
        self._random = random
        self._pwritev, self._fdatasync, self._ftruncate = os.pwritev, os.fdatasync, os.ftruncate
        patch.setattr(os, "pwritev", self._write)
        patch.setattr(os, "fdatasync", self._sync)
        patch.setattr(os, "ftruncate", self._truncate)
        patch.setattr(os, "fsync", lambda _: None)

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _take_time(self) -> None:
        if self._happens(self.slow):
            sleep(self._random.random() * 0.003)

    def _write(self, fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        self._take_time()
        if self._happens(self.full):
            if self._happens(0.5):
                data = b"".join(buffers)
                os.pwrite(fd, data[: len(data) // 2], position)
            raise OSError(errno.ENOSPC, "No space left on device")
        if self._happens(self.damaged):
            raise OSError(errno.EIO, "Input/output error")
        return self._pwritev(fd, buffers, position, flags)

    def _sync(self, fd: int) -> None:
        self._take_time()
        if self._happens(self.unsynced):
            raise OSError(errno.EIO, "Input/output error")
        self._fdatasync(fd)

    def _truncate(self, fd: int, size: int) -> None:
        self._take_time()
        if self._happens(self.kept):
            raise OSError(errno.EIO, "Input/output error")
        self._ftruncate(fd, size)


@dataclass
class Told:
    """What became of records, as producers know it."""

    synced: dict[Place, bytes] = field(default_factory=dict)
    written: dict[Place, bytes] = field(default_factory=dict)
    failed: list[bytes] = field(default_factory=list)

    async def wait(self, commit: Commit, level: Level, place: Place, value: bytes) -> None:
        try:
            await commit.wait(level)
        except LogError:
            self.failed.append(value)
        else:
            (self.synced if level is Level.SYNCED else self.written)[place] = value


async def produce_at_random(core: Core, topics: list[Topic], told: Told, random: Random, waiters: trio.Nursery) -> None:
    for number in range(random.randrange(5, 80)):
        if core.commits.failed is not None:
            return
        partition: Partition = random.choice(random.choice(topics).partitions)
        topic = partition.topic
        place = (topic.topic_id, partition.number, partition.next_offset)
        value = b"%d of %d-%d-%d|" % (number, *place) + bytes(random.choice((5, 5, 5_000, NEXT_BYTES)))
        append(partition, value)
        commit, level = core.commits.gathering, Level.SYNCED
        if random.random() < 0.3:
            core.commits.hurry()
            level = Level.WRITTEN
        waiters.start_soon(told.wait, commit, level, place, value)
        if random.random() < 0.1:
            core.commits.writer.forget(topic.folder)
        if random.random() < 0.05:
            core.commits.roll(topic)
        if random.random() < 0.4:
            await trio.lowlevel.checkpoint()
        elif random.random() < 0.2:
            await trio.sleep(random.random() * 0.005)


async def stored_in(path: Path, topics: list[Topic], *, is_whole: bool) -> dict[Place, bytes]:
    """What a server finds that is started anew."""
    again, stored = Core(path), dict[Place, bytes]()
    for topic in topics:
        for partition in again.topic(PARTITIONS, topic.topic_id).partitions:
            found = await read_all(again.cursor(partition), 1 << 22)
            assert [offset for offset, _ in found] == list(range(len(found)))
            assert not is_whole or len(found) == topic.partitions[partition.number].end_offset
            stored |= {(topic.topic_id, partition.number, offset): value for offset, value in found}
    assert not is_whole or again.notes == []
    return stored


@pytest.mark.parametrize("seed", range(40))
async def test_what_was_promised_holds_whatever_happens(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, told = Random(seed), Told()
    threads = Threads(tmp_path, random.choice((20_000, 300_000)))
    core = threads.core
    topics = [core.topic(PARTITIONS, topic_id) for topic_id in TOPICS]
    for topic in topics:
        make_segment(topic.active)
    with monkeypatch.context() as patch:
        Disk(patch, random)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                await nursery.start(threads.run)
                async with trio.open_nursery() as waiters:
                    await produce_at_random(core, topics, told, random, waiters)
                    if random.random() < 0.5:
                        waiters.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
    commits, writer = core.commits, core.commits.writer
    assert isinstance(writer, ThreadedWriter)
    assert (list(writer._line), list(writer._to_begin), writer._syncing, writer._failing) == ([], [], False, False)
    stored = await stored_in(tmp_path, topics, is_whole=commits.failed is None)
    assert told.synced.items() <= stored.items()
    if commits.failed is None:
        assert (commits.in_flight, commits.room_bytes) == ([], commits.bound_bytes)
        assert told.written.items() <= stored.items()
        assert len(set(stored.values())) == len(stored)
        assert set(told.failed).isdisjoint(stored.values())
