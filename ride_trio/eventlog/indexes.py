"""`<number>.index`: where a closed segment's batches lie, so that nobody has to scan it.

    offset  size  field         (little-endian)
         0     8  magic         "RTIDX\\0\\1\\n"
         8     4  crc32c        of the directory
        12     4  count         of the directory's rows
        16     8  log_size      of the segment's file, bytes: an index of another size belongs to another file
        24     8  max_timestamp of the segment's records, Unix ms
        32        directory     12 a partition that has batches, by number: partition, batches, crc32c of its block
                  blocks        a partition's `PartitionIndex`, column by column, in the directory's order

It can be made anew from the segment at any time (`recovery`), so a damaged one costs a scan and loses nothing. Only a
partition's block is read to find a batch of it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from threading import get_ident
from typing import Final, NamedTuple

from crc32c import crc32c

from ride_trio.eventlog.segments import PartitionIndex, Segment

MAGIC: Final = b"RTIDX\x00\x01\n"
_FIXED: Final = struct.Struct("<8sIIqq")
_ROW: Final = struct.Struct("<III")
_CHECKED: Final = 16


class IndexFile(NamedTuple):
    """The first part of an index file: all but the blocks."""

    log_size: int
    max_timestamp: int
    rows: list[tuple[int, int, int]]

    @property
    def blocks_at(self) -> int:
        return _FIXED.size + len(self.rows) * _ROW.size


def write_index(segment: Segment) -> None:
    """Write a closed segment's index file. Blocks: for a thread."""
    replace_file(segment.index_path, pack_index(segment))


def pack_index(segment: Segment) -> bytes:
    """A closed segment's index, as it stands in its file."""
    assert segment.index is not None
    blocks = [(number, rows.tobytes(), len(rows)) for number, rows in sorted(segment.index.items())]
    directory = b"".join(_ROW.pack(number, count, crc32c(block)) for number, block, count in blocks)
    checked = struct.pack("<qq", segment.size, segment.max_timestamp) + directory
    fixed = _FIXED.pack(MAGIC, crc32c(checked), len(blocks), segment.size, segment.max_timestamp)
    return b"".join((fixed, directory, *(block for _, block, _ in blocks)))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, or as it was. Blocks."""
    new = path.with_name(f"{path.name}.{get_ident()}.new")  # two may make the same index anew
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read_index_head(path: Path) -> IndexFile | None:
    """What an index file says of its segment; None if there is none, or a damaged one. Blocks."""
    try:
        with path.open("rb") as file:
            return _read_head(file.read(_FIXED.size), file.fileno())
    except FileNotFoundError:
        return None


def _read_head(fixed: bytes, fd: int) -> IndexFile | None:
    if len(fixed) < _FIXED.size:
        return None
    magic, crc, count, log_size, max_timestamp = _FIXED.unpack(fixed)
    size = count * _ROW.size
    if magic != MAGIC or _FIXED.size + size > os.fstat(fd).st_size:
        return None
    directory = os.pread(fd, size, _FIXED.size)
    if crc32c(fixed[_CHECKED:] + directory) != crc:
        return None
    return IndexFile(log_size, max_timestamp, list(_ROW.iter_unpack(directory)))


def read_partition_index(path: Path, partition: int) -> PartitionIndex | None:
    """One partition's rows, none if it has no batches there; None if the file is missing or damaged. Blocks."""
    head = read_index_head(path)
    if head is None:
        return None
    position = head.blocks_at
    for number, count, crc in head.rows:
        size = count * PartitionIndex.ROW_BYTES
        if number == partition:
            with path.open("rb") as file:
                block = os.pread(file.fileno(), size, position)
            return PartitionIndex.frombytes(block) if crc32c(block) == crc else None
        position += size
    return PartitionIndex()
