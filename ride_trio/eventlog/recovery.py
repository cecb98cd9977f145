"""What a topic's files hold, when the server starts. Blocks: for a thread.

A closed segment is known by its index file; without a right one it is scanned, and the index written. The newest one is
scanned, unless it has an index (it was closed in good order). What a scan cannot read is one of two things:

- behind everything that is known to have been synced (`synced` in the batches' headers): a write that the crash cut
  short, which nobody was promised. It is cut off, and kept beside the file as `<name>.cut-<position>`.
- before that: damage. It stays where it is, offsets behind it stay valid, and a row of size 0 in the index marks the
  hole, so that whoever reads on comes to DATA_LOSS there instead of silence.
"""

from __future__ import annotations

import logging
import os
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ride_trio.eventlog.batches import BatchHeader
from ride_trio.eventlog.indexes import read_index_head, read_partition_index, write_index
from ride_trio.eventlog.producers import Producers, unpack_producers
from ride_trio.eventlog.scan import Found, Gap, read_head, scan
from ride_trio.eventlog.segments import INDEX_SUFFIX, Head, Name, PartitionIndex, Segment, new_segment, segment_paths

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recovered:
    """A topic's segments, oldest first, and where its partitions end."""

    segments: list[Segment]
    ends: array[int]
    producers: dict[int, Producers]
    notes: list[str] = field(default_factory=list)


def recover(folder: Path, topic_id: int, partitions: int, now_ms: int) -> Recovered:
    """Find out what there is; a topic without files gets its first segment.

    Raises:
        OSError: The files can't be read or written.
    """
    notes: list[str] = []
    heads = _heads(folder, topic_id, partitions, notes)
    if not heads:
        first = new_segment(folder, Head(topic_id, 1, now_ms, array("q", bytes(8 * partitions)), b""))
        return Recovered([first], array("q", bytes(8 * partitions)), {}, notes)
    segments = [_segment(path, head) for path, head in heads]
    for segment, following in pairwise(segments):
        _recover_closed(segment, following.head.bases, notes)
    return _recover_newest(segments, notes)


def _heads(folder: Path, topic_id: int, partitions: int, notes: list[str]) -> list[tuple[Path, Head]]:
    folder.mkdir(parents=True, exist_ok=True)
    paths, replaced = segment_paths(folder)
    for leftover in (*folder.glob("*.new"), *replaced, *lone_indexes(folder, paths)):
        leftover.unlink()
    found = []
    for path in paths:
        head = read_head(path)
        if head is not None and head.topic_id == topic_id and len(head.bases) == partitions:
            found.append((path, head))
        elif path == paths[-1] and not any(isinstance(item, Found) for item in scan(path, 0)):
            notes.append(f"{path}: was being made when the server died; removed")
            path.unlink()
        else:
            bases = _bases_from_batches(path, found[-1] if found else None, partitions)
            notes.append(f"{path}: the head is damaged; it is taken to begin where the segment before it ends")
            found.append((path, Head(topic_id, Name.of(path).last, 0, bases, b"")))
    return found


def lone_indexes(folder: Path, paths: list[Path]) -> list[Path]:
    """Index files without a segment: left over where one was being removed, or made by compaction."""
    right = {path.with_suffix(INDEX_SUFFIX) for path in paths}
    return [path for path in folder.glob(f"*{INDEX_SUFFIX}") if path not in right]


def _bases_from_batches(path: Path, before: tuple[Path, Head] | None, partitions: int) -> array[int]:
    """Where partitions begin in a segment whose head can't be read."""
    if before is not None:
        bases = array("q", before[1].bases)
        for item in scan(before[0], before[1].size):
            if isinstance(item, Found):
                bases[item.header.partition] = item.header.end_offset
        return bases
    bases = array("q", bytes(8 * partitions))
    for item in reversed([item for item in scan(path, 0) if isinstance(item, Found)]):
        bases[item.header.partition] = item.header.base_offset
    return bases


def _segment(path: Path, head: Head) -> Segment:
    size = path.stat().st_size
    return Segment(path, head, size, size, size, exists=True)


def _recover_closed(segment: Segment, ends: array[int], notes: list[str]) -> None:
    known = read_index_head(segment.index_path)
    if known is not None and known.log_size == segment.size:
        segment.max_timestamp, segment.index = known.max_timestamp, None
        return
    index_segment(segment, ends, notes)
    segment.index = None


def index_segment(segment: Segment, ends: array[int], notes: list[str]) -> None:
    """Scan a closed segment and write its index file.

    Args:
        segment: It.
        ends: Where each partition goes on in the next segment.
        notes: Gets what is wrong.
    """
    rows = _Rows(segment, {})
    for item in scan(segment.path, segment.head.size):
        if isinstance(item, Gap):
            notes.append(f"{segment.path}: damaged from byte {item.position} to {item.end}")
            rows.gap(item)
        else:
            rows.add(item)
    rows.close(ends)
    write_index(segment)


def _recover_newest(segments: list[Segment], notes: list[str]) -> Recovered:
    segment = segments[-1]
    producers = unpack_producers(segment.head.producers)
    known = read_index_head(segment.index_path)
    closed_well = known is not None and known.log_size == segment.size
    rows = _Rows(segment, producers)
    found = list(_headers(segment))
    synced = (
        segment.size if closed_well else max((item.synced for item in found if isinstance(item, _Header)), default=0)
    )
    for item in found:
        if isinstance(item, _Header):
            rows.add_header(item.position, item.header)
        elif item.position < synced:
            notes.append(f"{segment.path}: damaged from byte {item.position} to {item.end}")
            rows.gap(item)
        else:
            notes.append(_cut(segment, item.position))
            break
    segment.index_path.unlink(missing_ok=True)  # it grows again
    rows.close(rows.ends)
    return Recovered(segments, rows.ends, producers, notes)


@dataclass(frozen=True, slots=True)
class _Header:
    """A batch that is whole, without its payload: of a newest segment all are kept in memory for a while."""

    position: int
    header: BatchHeader

    @property
    def synced(self) -> int:
        return self.header.synced


def _headers(segment: Segment) -> list[_Header | Gap]:
    items = scan(segment.path, segment.head.size)
    return [item if isinstance(item, Gap) else _Header(item.position, item.header) for item in items]


def _cut(segment: Segment, position: int) -> str:
    """Cut off what the crash left half written, and put it aside."""
    aside = segment.path.with_name(f"{segment.path.name}.cut-{position}")
    with segment.path.open("r+b") as file:
        tail = os.pread(file.fileno(), segment.size - position, position)
        aside.write_bytes(tail)
        file.truncate(position)
        os.fsync(file.fileno())
    segment.size = segment.written = segment.synced = position
    return (
        f"{segment.path}: the server died while it wrote the {len(tail)} bytes from {position} on; now in {aside.name}"
    )


class _Rows:
    """Puts a segment's index together, and sees holes: offsets that should be there and are not."""

    def __init__(self, segment: Segment, producers: dict[int, Producers]) -> None:
        self._segment = segment
        self._producers = producers
        self._gap: Gap | None = None
        self.ends: array[int] = array("q", segment.head.bases)
        segment.index = {}

    def gap(self, gap: Gap) -> None:
        self._gap = self._gap or gap

    def add(self, found: Found) -> None:
        self.add_header(found.position, found.header)

    def add_header(self, position: int, header: BatchHeader) -> None:
        number = header.partition
        if number >= len(self.ends) or header.base_offset < self.ends[number]:
            return  # a number that the topic does not have, or offsets that are there already
        if header.base_offset > self.ends[number]:
            self._hole(number, self.ends[number])
        if header.count:
            self._segment.add(number, header.base_offset, position, header.size, header.max_timestamp)
        self.ends[number] = header.end_offset
        if header.producer_id:
            known = self._producers.setdefault(number, Producers()).of(header.producer_id, header.producer_epoch)
            known.stored(header.base_sequence, header.base_offset, header.count)

    def close(self, ends: array[int]) -> None:
        """The file is at its end, and partitions go on at these offsets."""
        for number, end in enumerate(ends):
            if self.ends[number] < end:
                self._hole(number, self.ends[number])

    def _hole(self, number: int, offset: int) -> None:
        at = self._gap.position if self._gap else self._segment.head.size
        self._segment.add(number, offset, at, 0, 0)


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
