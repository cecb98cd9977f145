"""A topic: its partitions, and the segment files that they share."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ride_trio.errors import InvalidTopicError, UnknownPartitionError
from ride_trio.eventlog.configs import TopicConfig
from ride_trio.eventlog.partition import Batch, Partition
from ride_trio.eventlog.partitioner import Partitioner
from ride_trio.eventlog.producers import Producers
from ride_trio.eventlog.segments import Head, Segment, new_segment
from ride_trio.metrics import LogMetrics

if TYPE_CHECKING:
    from ride_trio.eventlog.commits import Commits

MAX_NAME_CHARS: Final = 249  # as in Kafka, where a name is a part of file names
SEGMENTS_A_LIMIT: Final = 8
MIN_SEGMENT_BYTES: Final = 65_536
# A pass of compaction has all keys of a segment in memory.
COMPACTED_SEGMENT_BYTES: Final = 33_554_432
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


def check_name(name: str) -> None:
    """Raises:
    InvalidTopicError: A topic can't be called so.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS or name in {".", ".."}:
        shown = "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME_CHARS])
        raise InvalidTopicError(
            f"{shown!r}: a name has 1 to {MAX_NAME_CHARS} letters, digits, '.', '_' or '-', and is not '.' or '..'"
        )


class Topic:
    """See the module's text.

    Attributes:
        segments: Oldest first; the last one grows. There is always one.
        deleted: It is gone: who still has it should look no more.
    """

    def __init__(
        self,
        topic_id: int,
        name: str,
        config: TopicConfig,
        folder: Path,
        commits: Commits,
        segments: list[Segment],
        ends: array[int],
        producers: dict[int, Producers],
        metrics: LogMetrics,
    ) -> None:
        self.topic_id = topic_id
        self.name = name
        self.config = config
        self.folder = folder
        self.commits = commits
        self.segments = segments
        self.partitions = [Partition(self, n, end, producers.get(n)) for n, end in enumerate(ends)]
        self.partitioner = Partitioner(len(self.partitions))
        self.deleted = False
        self.produced, self.produced_bytes = metrics.produced(name), metrics.produced_bytes(name)
        self.consumed, self.consumed_bytes = metrics.consumed(name), metrics.consumed_bytes(name)
        self.duplicates = metrics.duplicates(name)

    def __repr__(self) -> str:
        return f"<Topic {self.name}, {len(self.partitions)} partitions, {len(self.segments)} segments>"

    @property
    def active(self) -> Segment:
        """The segment that grows."""
        return self.segments[-1]

    @property
    def size_bytes(self) -> int:
        """Of all its segments."""
        return sum(segment.size for segment in self.segments)

    def segment_bytes(self, usual: int) -> int:
        """How large its segments get. With a limit they are an eighth of it: what is over goes a segment at a time."""
        if self.config.compact:
            return min(usual, COMPACTED_SEGMENT_BYTES)
        limit = self.config.retention_bytes
        return usual if limit < 0 else min(usual, max(limit // SEGMENTS_A_LIMIT, MIN_SEGMENT_BYTES))

    def partition(self, number: int) -> Partition:
        """One of them.

        Raises:
            UnknownPartitionError: There is none of that number.
        """
        if not 0 <= number < len(self.partitions):
            raise UnknownPartitionError(
                f"no partition {number} in topic '{self.name}': it has 0 to {len(self.partitions) - 1}"
            )
        return self.partitions[number]

    def roll(self, now_ms: int, rest: list[Batch]) -> Segment:
        """Begin a new segment.

        Args:
            now_ms: Unix ms.
            rest: Batches of this topic, closed, that go into it: first to last.
        """
        bases = array("q", [partition.next_offset for partition in self.partitions])
        for batch in reversed(rest):
            bases[batch.partition.number] = batch.base_offset
        producers = b"".join(
            partition.producers.pack(partition.number, bases[partition.number])
            for partition in self.partitions
            if partition.producers.known
        )
        segment = new_segment(self.folder, Head(self.topic_id, self.active.number + 1, now_ms, bases, producers))
        self.segments.append(segment)
        return segment

    def undo(self) -> None:
        """What is not written will never be (see `Partition.undo`); the files are as they were before."""
        while not self.active.exists and len(self.segments) > 1:
            self.segments.pop()
        self.active.size = self.active.written
        for partition in self.partitions:
            partition.undo()
