"""Writing a compacted segment: sparse batches that cover all offsets of the segments that it replaces. For a thread."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ride_trio.eventlog.batches import MAX_BATCH_BYTES, MAX_SPAN, SPARSE, pack
from ride_trio.eventlog.files import sync_folder
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.segments import Head, Name, Segment

# What waits to be written, of all partitions; and is synced then, since a sync of much keeps commits waiting.
BUFFER_BYTES: Final = 1_048_576


@dataclass(slots=True)
class _Pending:
    """What is to be written of a partition: entries at these distances from `base`."""

    base: int
    distances: array[int] = field(default_factory=lambda: array("I"))
    entries: list[bytes] = field(default_factory=list)
    size: int = 0
    max_timestamp: int = 0


class Compacted:
    """A segment file in the making.

    Args:
        replaced: The segments whose records it gets: neighbours, oldest first.
        ends: Where each partition goes on in the segment behind them.
    """

    def __init__(self, replaced: Sequence[Segment], ends: array[int]) -> None:
        first, last = replaced[0], replaced[-1]
        generation = 1 + max(segment.name.generation for segment in replaced)
        name = Name(first.name.first, last.name.last, generation)
        head = Head(last.head.topic_id, last.number, last.head.created_ms, first.head.bases, b"")
        self._ends = ends
        self._segment = Segment(last.path.with_name(str(name)), head, head.size)
        self._new = last.path.with_name(f"{name}.new")
        self._pending = [_Pending(base) for base in head.bases]
        self._waiting = 0
        self._file = self._new.open("wb")
        try:
            self._file.write(head.pack())
        except OSError:
            self.close()
            raise

    def add(self, partition: int, offset: int, timestamp: int, entry: bytes) -> None:
        """A record that stays."""
        pending = self._reaching(partition, offset)
        pending.distances.append(offset - pending.base)
        pending.entries.append(entry)
        pending.size += len(entry)
        pending.max_timestamp = max(pending.max_timestamp, timestamp)
        self._waiting += len(entry)
        if pending.size >= MAX_BATCH_BYTES:
            self._write(partition, offset + 1)
        if self._waiting >= BUFFER_BYTES:
            self._write_waiting()

    def _reaching(self, partition: int, offset: int) -> _Pending:
        """What is pending of a partition, so that what comes at an offset can go into a batch with it."""
        while offset - self._pending[partition].base > MAX_SPAN:
            self._write(partition, self._pending[partition].base + MAX_SPAN + 1)
        return self._pending[partition]

    def _write_waiting(self) -> None:
        for partition, pending in enumerate(self._pending):
            if pending.entries:
                self._write(partition, pending.base + pending.distances[-1] + 1)
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def _write(self, partition: int, end: int) -> None:
        """Write what is pending of a partition, as a batch that covers it up to an offset."""
        pending, segment = self._pending[partition], self._segment
        payload = pending.distances.tobytes() + b"".join(pending.entries)
        if pending.entries:
            segment.add(partition, pending.base, segment.size, len(payload), pending.max_timestamp)
        raw = pack(
            payload,
            flags=SPARSE,
            partition=partition,
            count=len(pending.entries),
            base_offset=pending.base,
            span=end - 1 - pending.base,
            max_timestamp=pending.max_timestamp,
        )
        self._file.write(raw + payload)
        segment.size += len(raw) + len(payload)
        self._waiting -= pending.size
        self._pending[partition] = _Pending(end)

    def finish(self) -> Segment:
        """Get it to the disk whole, and give it its name."""
        for partition, end in enumerate(self._ends):
            if self._reaching(partition, end - 1).base < end:
                self._write(partition, end)
        self._file.flush()
        os.fsync(self._file.fileno())
        segment = self._segment
        segment.written = segment.synced = segment.size
        segment.exists = True
        write_index(segment)
        segment.index = None
        self._new.rename(segment.path)
        sync_folder(segment.path.parent)
        return segment

    def close(self) -> None:
        """At the end. What is not finished goes."""
        try:
            self._file.close()
        finally:  # also if the disk is too full for what was not written yet
            self._new.unlink(missing_ok=True)
