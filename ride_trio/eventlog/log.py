"""The log: all topics, and what works on them.

    log = EventLog(data_dir, ...)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)            # recovers, then serves until cancelled
        topic = await log.create_topic("rides", 8)
        topic.partition(0).append(data, timestamp)
        await log.commits.gathering.wait(Level.SYNCED)

Everything but the threads' work is on the trio thread. `run` owns all tasks: the threads that write, the task that
hands commits to them, and the keeper, which closes segments, deletes and compacts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Any, Final

import trio

from ride_trio.errors import (
    DataDirError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    TopicExistsError,
    UnknownTopicError,
)
from ride_trio.eventlog.cache import Cache
from ride_trio.eventlog.commits import Commits, Writer
from ride_trio.eventlog.configs import parse_configs
from ride_trio.eventlog.cursor import Cursor, Reader, RunSync, offset_at
from ride_trio.eventlog.datadir import DataDir
from ride_trio.eventlog.disk_errors import disk_error
from ride_trio.eventlog.files import make_segment
from ride_trio.eventlog.groups import Groups
from ride_trio.eventlog.keeper import Keeper
from ride_trio.eventlog.metadata import Metadata
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.recovery import Recovered, recover
from ride_trio.eventlog.tables import TopicRow
from ride_trio.eventlog.topic import Topic, check_name
from ride_trio.eventlog.writer import ThreadedWriter
from ride_trio.metrics import LogMetrics

log = logging.getLogger(__name__)

MAX_PARTITIONS: Final = 10_000
# Threads that read files for consumers who are behind.
READING_THREADS: Final = 4
# At the end, time for what was accepted to get to the disk, s.
SETTLE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What holds for a log.

    Attributes:
        segment_bytes: A topic's newest segment is closed when it gets larger.
        buffer_bytes: What may wait for the disk; past it producers wait.
        cache_bytes: What is kept of batches in memory.
        keep_every_s: Between two looks at what retention and compaction have to do.
    """

    segment_bytes: int = 134_217_728
    buffer_bytes: int = 67_108_864
    cache_bytes: int = 67_108_864
    keep_every_s: float = 30.0


class EventLog:
    """See the module's text.

    Args:
        path: The data directory.
        metrics: Where it counts.
        options: Its sizes.
        run_sync: Runs what blocks, in a thread.
        now_ms: The clock of timestamps, Unix ms.
        writer: Makes what writes commits; threads by default.

    Raises:
        DataDirError: (From `run`) the directory can't be used.
    """

    def __init__(
        self,
        path: Path,
        metrics: LogMetrics,
        options: LogOptions | None = None,
        *,
        run_sync: RunSync | None = None,
        now_ms: Callable[[], int] = lambda: time_ns() // 1_000_000,
        writer: Callable[[Commits, LogMetrics], Writer] | None = None,
    ) -> None:
        self.path = path
        self.metrics = metrics
        self.options = options or LogOptions()
        self.now_ms = now_ms
        self.topics: dict[str, Topic] = {}
        self.cache = Cache(self.options.cache_bytes)
        self._run_sync: RunSync = run_sync or partial(
            trio.to_thread.run_sync, limiter=trio.CapacityLimiter(READING_THREADS)
        )
        self.reader = Reader(self.cache, self._run_sync, metrics.cold_reads)
        self.commits = Commits(self.cache, metrics, self.options.buffer_bytes, self.options.segment_bytes, now_ms)
        self._make_writer = writer
        self._names = trio.Lock()  # held while a topic is made or deleted

    def __repr__(self) -> str:
        return f"<EventLog {self.path}, {len(self.topics)} topics>"

    # ------------------------------------------------------------------ life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Recover what is there, then write until cancelled; what was accepted by then still gets to the disk.

        Raises:
            DataDirError: The directory can't be used.
        """
        with DataDir(self.path) as self.data_dir:
            self.metadata = Metadata(self.data_dir.metadata, self._metadata_run_sync())
            self.metadata.open()
            try:
                await self._recover()
                await self._serve(task_status)
            finally:
                self.metadata.close()

    def _metadata_run_sync(self) -> Any:
        return None if isinstance(self._run_sync, partial) else self._run_sync

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        self.groups = Groups(self.metadata, self.topics)
        self.metrics.ends, self.metrics.lags = self._ends, self.groups.lags
        self.metrics.buffered_bytes = lambda: self.commits.size_bytes
        self.keeper = Keeper(self, self._run_sync)
        threads = trio.CancelScope(shield=True)  # they go on until all is on disk, whoever is cancelled
        async with trio.open_nursery() as below:
            try:
                await below.start(self._start_writer, threads)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.keeper.run, self.options.keep_every_s)
                    nursery.start_soon(self.commits.run)
                    nursery.start_soon(self.commits.watch)
                    task_status.started()
            finally:
                await self._settle()
                threads.cancel()

    async def _start_writer(self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        if self._make_writer is not None:
            self.commits.writer = self._make_writer(self.commits, self.metrics)
            task_status.started()
            return
        self.commits.writer = writer = ThreadedWriter(self.commits, self.metrics)
        with scope:
            await writer.run(task_status=task_status)

    async def _settle(self) -> None:
        """What was accepted gets to the disk."""
        self.commits.stopped = True
        with trio.move_on_after(SETTLE_S, shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.commits.run)
                await self.commits.settled()
                nursery.cancel_scope.cancel()
            await self.keeper.close_all()

    async def _remove_deleted(self, rows: Sequence[TopicRow]) -> None:
        """Remove what is left of topics that were being deleted.

        Raises:
            DataDirError: There are files of a topic that the metadata has never had, or they can't be removed.
        """
        last, known = self.metadata.last_topic_id(), {row.topic_id for row in rows}
        folders = self.data_dir.topic_folders()
        for topic_id, folder in folders.items():
            if topic_id > last:
                raise DataDirError(
                    f"{folder} is of a topic that {self.data_dir.metadata.name} has never had: it is a new one, or an "
                    "older copy. Find the right one and put it back, or move the folder away"
                )
        for topic_id in folders.keys() - known:
            await self._run_sync(shutil.rmtree, folders[topic_id])

    async def _recover(self) -> None:
        rows = self.metadata.topics()
        await self._remove_deleted(rows)
        for row in rows:
            try:
                found = await self._run_sync(
                    _recovered, self.data_dir.folder(row.topic_id), row.topic_id, row.num_partitions, self.now_ms()
                )
            except OSError as error:
                raise DataDirError(f"topic '{row.name}': {error}") from error
            for note in found.notes:
                log.warning("%s: %s", row.name, note)
            self._add(row, found)

    def _add(self, row: TopicRow, found: Recovered) -> Topic:
        config = parse_configs(row.configs)
        folder = self.data_dir.folder(row.topic_id)
        topic = Topic(
            row.topic_id,
            row.name,
            config,
            folder,
            self.commits,
            found.segments,
            found.ends,
            found.producers,
            self.metrics,
        )
        self.topics[row.name] = topic
        return topic

    # ------------------------------------------------------------------ topics

    def topic(self, name: str) -> Topic:
        """A topic.

        Raises:
            UnknownTopicError: There is none of that name.
        """
        topic = self.topics.get(name)
        if topic is None:
            shown = "".join(c if c.isprintable() else "?" for c in name[:300])
            raise UnknownTopicError(f"no topic '{shown}'")
        return topic

    async def create_topic(
        self,
        name: str,
        num_partitions: int,
        replication_factor: int = 0,
        configs: Mapping[str, str] | None = None,
    ) -> Topic:
        """Make a topic; it is on disk when this returns.

        Args:
            name: As `topic.check_name` allows.
            num_partitions: 1 to 10,000.
            replication_factor: 0 or 1.
            configs: See `configs`.

        Raises:
            LogError: One of these is not allowed, there is such a topic, or the disk is full.
        """
        self.commits.check()
        check_name(name)
        if not 1 <= num_partitions <= MAX_PARTITIONS:
            raise InvalidPartitionsError(f"num_partitions {num_partitions}: allowed is 1 to {MAX_PARTITIONS}")
        if replication_factor not in (0, 1):
            raise InvalidReplicationFactorError(
                f"replication_factor {replication_factor}: this is one machine, allowed is 0 or 1"
            )
        configs = dict(configs or {})
        parse_configs(configs)
        async with self._names:
            if name in self.topics:
                raise TopicExistsError(f"there is a topic '{name}' already")
            created_ms = self.now_ms()
            topic_id = await self.metadata.create_topic(name, num_partitions, configs, created_ms)
            with trio.CancelScope(shield=True):  # the row is there: now the topic has to be, too, or neither
                try:
                    found = await self._run_sync(
                        _recovered, self.data_dir.folder(topic_id), topic_id, num_partitions, created_ms
                    )
                except OSError as error:
                    await self.metadata.delete_topic(topic_id)
                    raise disk_error(error) from error
            topic = self._add(TopicRow(topic_id, name, num_partitions, configs, created_ms), found)
            self.groups.topics_changed()
        return topic

    async def delete_topic(self, name: str) -> None:
        """Remove a topic, its records and what was committed on it. The name is free when this returns.

        Raises:
            LogError: There is none, or the disk is full.
        """
        async with self._names:
            topic = self.topic(name)
            await self.metadata.delete_topic(topic.topic_id)
            del self.topics[name]
            topic.deleted = True
            self.groups.topics_changed()
        for partition in topic.partitions:
            for tell in partition.watchers:
                tell()
        with trio.CancelScope(shield=True):
            await self.commits.passed()
            self.commits.writer.forget(topic.folder)
            await self._run_sync(partial(shutil.rmtree, topic.folder, ignore_errors=True))

    # ------------------------------------------------------------------ reading

    def cursor(self, partition: Partition, offset: int) -> Cursor:
        """A place to read from."""
        return Cursor(self.reader, partition, offset)

    async def offset_at(self, partition: Partition, time_ms: int) -> int:
        """The offset of the first record of a time, Unix ms, or later; the end if there is none."""
        return await offset_at(self.reader, partition, time_ms)

    def _ends(self) -> Iterator[tuple[str, int, int]]:
        return ((t.name, p.number, p.end_offset) for t in self.topics.values() for p in t.partitions)


def _recovered(folder: Path, topic_id: int, partitions: int, now_ms: int) -> Recovered:
    """What there is; a new topic gets its first file, if need be with its first record. Blocks."""
    found = recover(folder, topic_id, partitions, now_ms)
    if not found.segments[-1].exists:
        with suppress(OSError):  # the disk is full
            make_segment(found.segments[-1])
    return found
