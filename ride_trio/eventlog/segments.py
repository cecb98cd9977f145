"""Segments: the files of a topic, one after the other, shared by its partitions.

`<number>.log`, number of 20 digits: a head, then batches to the file's end (see `batches`).

    offset  size  field          (little-endian)
         0     8  magic          "RTLOG\\0\\1\\n"
         8     4  crc32c         of all that follows in the head
        12     4  head_size      all of the head, bytes
        16     8  topic_id
        24     8  number
        32     8  created_ms     Unix ms
        40     4  partitions
        44     4  producers_size
        48        bases          8 a partition: the offset at which it begins in this file
                  producers      what is known of idempotent producers at this point (see `producers`)

The bases make a file complete by itself: the end of partition p in file n is its base in file n + 1, and its beginning
in the topic is its base in the oldest file, also when no record of it is left. So retention is unlink, nothing else.

Compaction never changes a file: it puts a new one in the place of one or several neighbours, `<first>-<last>-<n>.log`,
with the numbers that it has the records of, and n one more than theirs (0: as written). It has the head of the last of
them, with the bases of the first and no producers. Whatever of the old files is still there beside it is left over.

Why shared files: a commit costs an fdatasync a file, 0.2 to 2 ms, and the records of one commit are spread over all
partitions. A file a partition would be sixteen syncs where one does it, and 10,000 open files for 10,000 partitions.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from crc32c import crc32c

MAGIC: Final = b"RTLOG\x00\x01\n"
_HEAD: Final = struct.Struct("<8sIIqqqII")
_CHECKED: Final = 12  # where what the checksum covers begins
_OFFSET_BYTES: Final = 8
SUFFIX: Final = ".log"
INDEX_SUFFIX: Final = ".index"
_NAME: Final = re.compile(r"([0-9]{20})(?:-([0-9]{20})-([0-9]+))?\.log")


class Name(NamedTuple):
    """What a file's name says: the numbers of the first and the last segment in it, and how often it was compacted."""

    first: int
    last: int
    generation: int

    @classmethod
    def of(cls, path: Path) -> Name:
        """Raises:
        ValueError: It is no segment's.
        """
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name} is no segment's name")
        first, last, generation = match.groups()
        return cls(int(first), int(last or first), int(generation or 0))

    def __str__(self) -> str:
        if not self.generation:
            return file_name(self.first)
        return f"{self.first:020d}-{self.last:020d}-{self.generation}{SUFFIX}"


def file_name(number: int) -> str:
    """Of a segment as it was written."""
    return f"{number:020d}{SUFFIX}"


def segment_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """A topic's segment files, oldest first, and those that are left over: a compacted one has taken their place."""
    named = [(Name.of(path), path) for path in folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name)]
    named.sort(key=lambda item: (item[0].first, -item[0].generation))
    current: list[Path] = []
    left_over: list[Path] = []
    last = 0
    for name, path in named:
        (current if name.last > last else left_over).append(path)
        last = max(last, name.last)
    return current, left_over


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a segment's head.

    Attributes:
        start: Where the first batch stands, if the head in the file is damaged and this one is made up.
    """

    topic_id: int
    number: int
    created_ms: int
    bases: array[int]
    producers: bytes
    start: int | None = None

    @property
    def size(self) -> int:
        """Bytes in the file; the first batch stands behind them."""
        if self.start is not None:
            return self.start
        return _HEAD.size + len(self.bases) * _OFFSET_BYTES + len(self.producers)

    def pack(self) -> bytes:
        """As bytes, as they stand at the beginning of the file."""
        bases = self.bases.tobytes()
        fixed = _HEAD.pack(
            MAGIC, 0, self.size, self.topic_id, self.number, self.created_ms, len(self.bases), len(self.producers)
        )
        raw = fixed + bases + self.producers
        return raw[:8] + crc32c(raw[_CHECKED:]).to_bytes(4, "little") + raw[_CHECKED:]

    @classmethod
    def size_in(cls, data: bytes) -> int | None:
        """How many bytes the head has, from its first 48; None if this is no segment."""
        if len(data) < _HEAD.size or not data.startswith(MAGIC):
            return None
        size: int = _HEAD.unpack_from(data)[2]
        return size if size >= _HEAD.size else None

    @classmethod
    def unpack(cls, data: bytes) -> Head | None:
        """The head; None if this is none, or a damaged one."""
        if cls.size_in(data) != len(data):
            return None
        _, crc, _, topic_id, number, created_ms, partitions, producers_size = _HEAD.unpack_from(data)
        end = _HEAD.size + partitions * _OFFSET_BYTES
        if crc32c(data[_CHECKED:]) != crc or end + producers_size != len(data):
            return None
        bases: array[int] = array("q", data[_HEAD.size : end])
        return cls(topic_id, number, created_ms, bases, data[end:])


HEAD_START_BYTES: Final = _HEAD.size


class PartitionIndex:
    """Where the batches of one partition lie in one segment, a row a batch, oldest first.

    Attributes:
        bases: Offset of the first entry.
        positions: Of the header in the file.
        sizes: Of the payload, bytes.
        times: The latest timestamp so far, Unix ms: never goes down, so that it can be searched.
    """

    __slots__ = ("bases", "positions", "sizes", "times")
    ROW_BYTES: Final = 28

    def __init__(self, bases: bytes = b"", positions: bytes = b"", sizes: bytes = b"", times: bytes = b"") -> None:
        self.bases: array[int] = array("q", bases)
        self.positions: array[int] = array("q", positions)
        self.sizes: array[int] = array("I", sizes)
        self.times: array[int] = array("q", times)

    def __len__(self) -> int:
        return len(self.bases)

    def add(self, base: int, position: int, size: int, max_timestamp: int) -> None:
        """One more batch."""
        self.bases.append(base)
        self.positions.append(position)
        self.sizes.append(size)
        self.times.append(max(max_timestamp, self.times[-1]) if self.times else max_timestamp)

    def row_of(self, offset: int) -> int:
        """The row of the batch that has the offset, or of the last one before it; -1 if it is before all."""
        return bisect_right(self.bases, offset) - 1

    def tobytes(self) -> bytes:
        return b"".join(column.tobytes() for column in (self.bases, self.positions, self.sizes, self.times))

    @classmethod
    def frombytes(cls, data: bytes) -> PartitionIndex:
        count = len(data) // cls.ROW_BYTES
        one, two, three = count * 8, count * 16, count * 20
        return cls(data[:one], data[one:two], data[two:three], data[three:])


@dataclass(slots=True, eq=False)
class Segment:
    """One file, as the trio thread knows it. The file itself belongs to threads.

    Attributes:
        size: Bytes that are written, or on their way; where the next batch goes.
        written: Bytes that are written.
        synced: Bytes that are on disk.
        folder: Of its file.
        index: Where batches are, while this is the topic's newest segment, and until its index file is there.
        max_timestamp: The latest of its records, Unix ms; 0 without records.
        exists: The file has been made. Threads that write look at it, too; it changes when the commit that begins the
            segment is told of, and no other one of the segment is begun before.
        damaged: Compaction has found it so, and leaves it alone.
    """

    path: Path
    head: Head
    size: int
    written: int = 0
    synced: int = 0
    index: dict[int, PartitionIndex] | None = field(default_factory=dict)
    max_timestamp: int = 0
    exists: bool = False
    damaged: bool = False
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.path.parent

    def __repr__(self) -> str:
        return f"<Segment {self.path.parent.name}/{self.path.name}, {self.size} bytes>"

    @property
    def number(self) -> int:
        return self.head.number

    @property
    def name(self) -> Name:
        return Name.of(self.path)

    @property
    def has_batches(self) -> bool:
        """Something has been written to it, or is on its way."""
        return self.size > self.head.size

    @property
    def index_path(self) -> Path:
        return self.path.with_suffix(INDEX_SUFFIX)

    def add(self, partition: int, base: int, position: int, size: int, max_timestamp: int) -> None:
        """A batch of a partition is on disk: it may be found."""
        assert self.index is not None  # only the newest segment grows
        rows = self.index.get(partition)
        if rows is None:
            rows = self.index[partition] = PartitionIndex()
        rows.add(base, position, size, max_timestamp)
        self.max_timestamp = max(self.max_timestamp, max_timestamp)


def new_segment(folder: Path, head: Head) -> Segment:
    """A segment whose file is still to be made."""
    return Segment(folder / file_name(head.number), head, head.size, head.size)
