"""A segment's index, made anew from its file. Blocks: for a thread.

What can't be read is a hole: a row of size 0, so that whoever reads on comes to DATA_LOSS there instead of silence.
"""

from __future__ import annotations

import logging
from array import array
from contextlib import suppress

from ride_trio.errors import ProducerFencedError
from ride_trio.eventlog.batches import BatchHeader
from ride_trio.eventlog.indexes import read_partition_index, write_index
from ride_trio.eventlog.producers import Producers, unpack_producers
from ride_trio.eventlog.scan import Found, Gap, scan
from ride_trio.eventlog.segments import PartitionIndex, Segment

log = logging.getLogger(__name__)


class Rows:
    """Puts a segment's index together, and sees holes: offsets that should be there and are not.

    Attributes:
        ends: Where each partition ends.
        producers: What is known of idempotent producers then.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._gaps: list[Gap] = []
        self._synced = 0
        self.ends: array[int] = array("q", segment.head.bases)
        self.producers = unpack_producers(segment.head.producers)
        segment.index = {}

    @classmethod
    def of(cls, segment: Segment) -> Rows:
        """What all of a segment's file has."""
        rows = cls(segment)
        for item in scan(segment.path, segment.head.size):
            rows.add(item)
        return rows

    def add(self, item: Found | Gap) -> None:
        """What comes next in the file."""
        if isinstance(item, Gap):
            self._add_gap(item)
        else:
            self._add(item.position, item.header)

    def torn_at(self) -> int | None:
        """Where a write begins that was not finished."""
        return next((gap.position for gap in self._gaps if gap.position >= self._synced), None)

    def notes(self) -> list[str]:
        return [f"{self._segment.path}: damaged from byte {gap.position} to {gap.end}" for gap in self._gaps]

    def packed_producers(self) -> bytes:
        return b"".join(known.pack(number, self.ends[number]) for number, known in self.producers.items())

    def close(self, ends: array[int]) -> None:
        """Partitions go on at these offsets in the next segment."""
        for number, end in enumerate(ends):
            if self.ends[number] < end:
                self._add_hole(number, end)

    def _add(self, position: int, header: BatchHeader) -> None:
        number = header.partition
        self._synced = max(self._synced, header.synced)
        if number >= len(self.ends) or header.base_offset < self.ends[number]:
            return  # a number that the topic does not have, or offsets that are there already
        if header.base_offset > self.ends[number]:
            self._add_hole(number, header.base_offset)
        if header.count:
            self._segment.add(number, header.base_offset, position, header.size, header.max_timestamp)
        self.ends[number] = header.end_offset
        if header.producer_id:
            self._add_producer(header)

    def _add_producer(self, header: BatchHeader) -> None:
        known = self.producers.setdefault(header.partition, Producers())
        with suppress(ProducerFencedError):  # the head may know of an epoch that began in this file
            producer = known.of(header.producer_id, header.producer_epoch)
            producer.stored(header.base_sequence, header.base_offset, header.count)

    def _add_gap(self, gap: Gap) -> None:
        self._gaps.append(gap)
        header = gap.header
        if header is None or header.partition >= len(self.ends):
            return
        if header.end_offset > self.ends[header.partition]:
            self._add_hole(header.partition, header.end_offset)

    def _add_hole(self, number: int, end: int) -> None:
        """Offsets up to `end` are missing."""
        assert self._segment.index is not None
        rows = self._segment.index.get(number)
        last = rows.positions[-1] if rows else 0
        at = next((gap.position for gap in self._gaps if gap.position > last), self._segment.head.size)
        self._segment.add(number, self.ends[number], at, 0, 0)
        self.ends[number] = end


def index_segment(segment: Segment, ends: array[int], notes: list[str]) -> bool:
    """Scan a closed segment, and write its index file if that can be done.

    Args:
        segment: It; gets its index.
        ends: Where each partition goes on in the next segment.
        notes: Gets what is wrong.

    Returns:
        Whether the file is there.

    Raises:
        OSError: The segment can't be read.
    """
    rows = Rows.of(segment)
    rows.close(ends)
    notes += rows.notes()
    try:
        write_index(segment)
    except OSError as error:  # the disk is full, say: that is no reason not to serve what is on it
        notes.append(f"{segment.index_path}: can't be written: {error.strerror}")
        return False
    return True


def load_index(segment: Segment, partition: int, ends: array[int]) -> PartitionIndex:
    """One partition's rows of a closed segment; its index file is made anew if it has to be.

    Args:
        segment: It; is not changed.
        partition: Its number.
        ends: Where each partition goes on in the next segment.

    Raises:
        OSError: The file can't be read: gone by retention, perhaps.
    """
    rows = read_partition_index(segment.index_path, partition)
    if rows is not None:
        return rows
    notes: list[str] = []
    copy = Segment(segment.path, segment.head, segment.size, segment.size, segment.size, exists=True)
    index_segment(copy, ends, notes)
    for note in notes:
        log.error("%s", note)
    assert copy.index is not None
    return copy.index.get(partition) or PartitionIndex()
