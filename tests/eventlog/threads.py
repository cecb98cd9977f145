"""A log's core with the threads that write, in a test."""

from __future__ import annotations

from pathlib import Path

import trio

from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.writer import ThreadedWriter
from tests.eventlog.logs import NOW_MS, Core, encode


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
