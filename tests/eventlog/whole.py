"""A whole log in a test: its clock is the test's, its threads' work is done in place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio
import trio.testing

from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.cursor import RunSync
from ride_trio.eventlog.keeper import Keeper
from ride_trio.eventlog.log import EventLog, LogOptions
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.topic import Topic
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import NOW_MS, InlineWriter, encode, read_all

SECOND_MS = 1_000
DAY_MS = 86_400_000


class WholeLog:
    """Starts and stops a log on a directory.

    Args:
        nursery: What it runs in.
        path: The data directory.
        options: Of `LogOptions`. Its keeper looks at everything after a million seconds, or when it is told to.

    Attributes:
        log: While it runs.
        now_ms: What its clock says.
        metrics: Of all its runs.
    """

    def __init__(self, nursery: trio.Nursery, path: Path, run_sync: RunSync, **options: int) -> None:
        self._nursery = nursery
        self._run_sync = run_sync
        self.path = path
        self.options = LogOptions(keep_every_s=1e6, **options)
        self.now_ms = NOW_MS
        self.metrics = LogMetrics()
        self.log: EventLog

    async def start(self, *, by_itself: bool = False) -> EventLog:
        """Args:
        by_itself: Its own keeper works. Otherwise nothing is done but by `keeper`, when the test says so.
        """
        self.log = EventLog(
            self.path,
            self.metrics,
            self.options,
            run_sync=self._run_sync,
            now_ms=lambda: self.now_ms,
            writer=InlineWriter,
        )
        self._stopped = trio.Event()
        self._scope: trio.CancelScope = await self._nursery.start(self._run)
        if not by_itself:
            await trio.testing.wait_all_tasks_blocked()  # until its own one has had its first look
            self.keeper = Keeper(self.log, self._run_sync)  # and that one is not woken any more
        return self.log

    async def _run(self, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.log.run)
                task_status.started(scope)
        self._stopped.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._stopped.wait()

    async def produce(self, partition: Partition, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Store (key, value), with the time that the clock shows."""
        for key, value in records:
            partition.append(encode(partition, value, self.now_ms, key), self.now_ms)
        await self.log.commits.gathering.wait(Level.SYNCED)

    async def roll(self, topic: Topic) -> None:
        """Close its newest segment."""
        await self.log.commits.roll(topic).wait(Level.SYNCED)
        await self.keeper.keep(topic)

    async def read(self, partition: Partition, offset: int | None = None) -> list[tuple[int, bytes]]:
        """(offset, value) of what a consumer gets from an offset on, or from the beginning."""
        return await read_all(self.log.cursor(partition, partition.begin_offset if offset is None else offset))


def files(topic: Topic) -> list[str]:
    """Names in its folder."""
    return sorted(path.name for path in topic.folder.iterdir())


async def compacted_topic(whole: WholeLog, partitions: int = 1) -> Topic:
    """A new topic "t" whose cleanup.policy is compact."""
    return await whole.log.create_topic("t", partitions, configs={"cleanup.policy": "compact"})
