"""A partition: where its next record goes, what consumers may see of it, and who waits for more.

    begin_offset <= end_offset <= written_offset <= next_offset
    oldest kept     on disk       in the file       given out

All of it belongs to the trio thread, and every method is synchronous: an offset is given out and its record is queued
without anybody coming between, so offsets are dense and in the order in which records came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ride_trio.eventlog.batches import MAX_BATCH_BYTES
from ride_trio.eventlog.entries import prefix
from ride_trio.eventlog.producers import Producers

if TYPE_CHECKING:
    from ride_trio.eventlog.segments import Segment
    from ride_trio.eventlog.topic import Topic

NO_SEQUENCE: Final = -1


class Batch:
    """Records of one partition that are written together. `entries` become `payload` when it is closed.

    That is on the trio thread: what one thread allocates and another one frees makes the allocator of the C library
    give memory back to the system and take it again, ten times a commit.

    Attributes:
        partition: Whose.
        base_offset: Of the first.
        entries: Each in two pieces, as `entries.prefix` and the record; none when the batch is closed.
        payload: All of them in one; known when the batch is closed.
        count: Entries; known when the batch is closed.
        size: Bytes of the entries.
        segment, position: Where it goes; known when its commit is handed over.
    """

    __slots__ = (
        "base_offset",
        "base_sequence",
        "count",
        "entries",
        "max_timestamp",
        "next_sequence",
        "partition",
        "payload",
        "position",
        "producer_epoch",
        "producer_id",
        "segment",
        "size",
    )

    def __init__(self, partition: Partition, producer_id: int = 0, producer_epoch: int = 0, sequence: int = 0) -> None:
        self.partition = partition
        self.base_offset = partition.next_offset
        self.base_sequence = self.next_sequence = sequence
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.entries: list[bytes] = []
        self.count = 0
        self.size = 0
        self.max_timestamp = 0
        self.payload = b""
        self.segment: Segment | None = None
        self.position = 0

    @property
    def end_offset(self) -> int:
        """The offset behind its last record's."""
        return self.base_offset + self.count


class Partition:
    """See the module's text.

    Attributes:
        topic: Whose partition it is.
        number: From 0.
        open: The batch that records are added to; None if the next one begins a batch.
        watchers: Called when `end_offset` has moved, or the topic is gone. They must not call back.
        producers: The idempotent ones.
    """

    __slots__ = (
        "end_offset",
        "next_offset",
        "number",
        "open",
        "producers",
        "topic",
        "watchers",
        "written_offset",
    )

    def __init__(self, topic: Topic, number: int, end_offset: int = 0, producers: Producers | None = None) -> None:
        self.topic = topic
        self.number = number
        self.end_offset = self.written_offset = self.next_offset = end_offset
        self.open: Batch | None = None
        self.watchers: dict[Callable[[], None], None] = {}
        self.producers = producers or Producers()

    def __repr__(self) -> str:
        return f"<Partition {self.topic.name}/{self.number}, {self.begin_offset} to {self.end_offset}>"

    @property
    def begin_offset(self) -> int:
        """Of the oldest record that is kept."""
        return self.topic.segments[0].head.bases[self.number]

    def append(self, data: bytes, timestamp: int, batch: Batch | None = None) -> None:
        """Queue a record.

        Args:
            data: The record, serialized, with `next_offset` as its offset.
            timestamp: Its timestamp, Unix ms.
            batch: The open one, if it is an idempotent producer's.
        """
        if batch is None:
            batch = self.open
            if batch is None or batch.size >= MAX_BATCH_BYTES or batch.producer_id:
                batch = self._begin(Batch(self))
        size = len(data)
        head = prefix(size)
        batch.entries += (head, data)
        size += len(head)
        batch.size += size
        if timestamp > batch.max_timestamp:
            batch.max_timestamp = timestamp
        self.next_offset += 1
        commits = self.topic.commits
        gathering = commits.gathering
        gathering.size += size
        if gathering.size >= commits.wanted_bytes:
            commits.want()

    def append_from(self, producer_id: int, epoch: int, sequence: int, data: bytes, timestamp: int) -> None:
        """`append`, for an idempotent producer whose record is new (see `producers`)."""
        batch = self.open
        if (
            batch is None
            or batch.size >= MAX_BATCH_BYTES
            or batch.producer_id != producer_id
            or batch.producer_epoch != epoch
            or batch.next_sequence != sequence
        ):
            batch = self._begin(Batch(self, producer_id, epoch, sequence))
        self.producers.of(producer_id, epoch).stored(sequence, self.next_offset)
        batch.next_sequence = sequence + 1
        self.append(data, timestamp, batch)

    def _begin(self, batch: Batch) -> Batch:
        self.close_batch()
        self.open = batch
        self.topic.commits.begin(batch)
        return batch

    def close_batch(self) -> None:
        """Nothing more is added to the open batch."""
        batch = self.open
        if batch is not None:
            batch.count = self.next_offset - batch.base_offset
            batch.payload = b"".join(batch.entries)
            batch.entries = []
            self.open = None

    def undo(self) -> None:
        """What is not written will never be: its offsets are given out anew."""
        self.open = None
        if self.next_offset != self.written_offset:
            self.next_offset = self.written_offset
            self.producers.undo(self.written_offset)
