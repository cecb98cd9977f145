"""The log's core in a test: commits that are written when the test says so, and topics without a metadata file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from ride_trio.eventlog.cache import Cache
from ride_trio.eventlog.commit import Commit
from ride_trio.eventlog.commits import Commits
from ride_trio.eventlog.configs import parse_configs
from ride_trio.eventlog.cursor import Cursor, NotInMemoryError, Reader
from ride_trio.eventlog.entries import split
from ride_trio.eventlog.files import Begun, Files
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.recovery import recover
from ride_trio.eventlog.topic import Topic
from ride_trio.metrics import LogMetrics
from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesResponse, Record

NOW_MS = 1_700_000_000_000


class StuckWriter:
    """Writes and syncs what it is given when the test says so, and calls back at once.

    Attributes:
        given: commits that wait to be written.
        unsynced: commits that wait to be synced.
        trouble: raised in place of the next writes and syncs.
    """

    def __init__(self, commits: Commits, _: LogMetrics) -> None:
        self.given: deque[Commit] = deque()
        self.unsynced: list[Commit] = []
        self.trouble: OSError | None = None
        self._commits = commits
        self._files = Files()

    def submit(self, commit: Commit) -> None:
        self.given.append(commit)

    def forget(self, folder: Path) -> None:
        self._files.forget(folder)

    def give_way(self) -> None:
        pass

    def write(self) -> None:
        """Write the next commit."""
        commit = self.given.popleft()
        begun: list[Begun] = []
        try:
            if self.trouble is not None:
                raise self.trouble
            self._files.write(commit, begun)
        except OSError as error:
            self.given.clear()
            self._commits.on_failed(commit, error, syncing=not self._taken_back(begun, commit))
        else:
            self._commits.on_written(commit)
            self.unsynced.append(commit)

    def _taken_back(self, begun: list[Begun], commit: Commit) -> bool:
        try:
            self._files.take_back(begun, [commit])
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Sync all that is written."""
        due, self.unsynced = self.unsynced, []
        if self.trouble is not None:
            self.given.clear()
            self._commits.on_failed(due[0], self.trouble, syncing=True)
        else:
            self._commits.on_synced(due)


class InlineWriter(StuckWriter):
    """Writes and syncs at once, and calls back in the next pass."""

    def submit(self, commit: Commit) -> None:
        super().submit(commit)
        trio.lowlevel.current_trio_token().run_sync_soon(self._carry_out)

    def _carry_out(self) -> None:
        if self.given:  # nothing is, if it has failed with one before
            self.write()
        if self.unsynced:
            self.sync()


@contextmanager
def no_syncs() -> Iterator[None]:
    """Syncs take most of the time of a test with many small files, and change nothing that it sees."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("fsync", "fdatasync"):
            patched.setattr(os, name, lambda _: None)
        yield


async def in_place(function: Callable[..., Any], /, *args: Any) -> Any:
    """Stands for a thread: runs what it is given in place, after a checkpoint."""
    await trio.lowlevel.checkpoint()
    return function(*args)


class Core:
    """Commits, their writer, and topics that are found in a folder: a log without metadata, groups and tasks.

    Another one on the same folder is the server after a crash: what was not written is gone.
    """

    def __init__(
        self,
        path: Path,
        *,
        segment_bytes: int = 1 << 20,
        bound_bytes: int = 1 << 20,
        cache_bytes: int = 1 << 20,
    ) -> None:
        self.path = path
        self.metrics = LogMetrics()
        self.cache = Cache(cache_bytes)
        self.reader = Reader(self.cache, in_place, self.metrics.cold_reads)
        self.commits = Commits(self.cache, self.metrics, bound_bytes, segment_bytes, lambda: NOW_MS)
        self.commits.writer = self.writer = StuckWriter(self.commits, self.metrics)
        self.notes: list[str] = []

    def topic(self, partitions: int = 1, topic_id: int = 1, **configs: str) -> Topic:
        """A topic as its files have it. In names of configs, `_` stands for a dot."""
        config = parse_configs({name.replace("_", "."): value for name, value in configs.items()})
        folder = self.path / str(topic_id)
        found = recover(folder, topic_id, partitions, NOW_MS)
        self.notes += found.notes
        name = f"topic-{topic_id}"
        return Topic(
            topic_id, name, config, folder, self.commits, found.segments, found.ends, found.producers, self.metrics
        )

    def write(self) -> None:
        """Hand over what has gathered, and write it."""
        self.commits.gathering.hurried = True
        self.commits.hand_over_if_due()
        self.writer.write()

    def flush(self) -> None:
        """Get all that was accepted to the disk."""
        while self.commits.gathering.batches or self.commits.gathering.rolls or self.commits.in_flight:
            self.commits.hand_over_if_due()
            while self.writer.given:
                self.writer.write()
            if self.writer.unsynced:
                self.writer.sync()

    def cursor(self, partition: Partition, offset: int = 0) -> Cursor:
        return Cursor(self.reader, partition, offset)


def encode(partition: Partition, value: bytes, timestamp: int = NOW_MS, key: bytes = b"") -> bytes:
    """A record as it will be stored."""
    offset, number = partition.next_offset, partition.number
    data: bytes = Record(key=key, value=value, timestamp=timestamp, offset=offset, partition=number).SerializeToString()
    return data


def append(partition: Partition, *values: bytes, timestamp: int = NOW_MS) -> None:
    for value in values:
        partition.append(encode(partition, value, timestamp), timestamp)


def append_from(partition: Partition, producer_id: int, epoch: int, sequence: int, value: bytes) -> None:
    partition.append_from(producer_id, epoch, sequence, encode(partition, value), NOW_MS)


def records(entries: bytes) -> list[Record]:
    """Entries as a client reads them."""
    found = list(ConsumeMessagesResponse.FromString(entries).records)
    assert len(found) == sum(1 for _ in split(entries))
    return found


async def read(cursor: Cursor, room: int = 1 << 20) -> bytes:
    """What comes next, from wherever it is."""
    while True:
        try:
            return cursor.read(room)
        except NotInMemoryError:
            await cursor.load()


async def read_all(cursor: Cursor, room: int = 1 << 20) -> list[tuple[int, bytes]]:
    """(offset, value) of all from a place to the partition's end."""
    found = []
    while cursor.is_behind:
        found += [(r.offset, r.value) for r in records(await read(cursor, room))]
    return found


def gather(core: Core, partition: Partition, *values: bytes) -> Commit:
    append(partition, *values)
    return core.commits.gathering


def hand_over(core: Core) -> Commit | None:
    """The commit that is handed over now, if one is."""
    before = len(core.commits.in_flight)
    core.commits.hand_over_if_due()
    return core.commits.in_flight[-1] if len(core.commits.in_flight) > before else None
