"""Batches: what is appended to a segment file at once for one partition.

    offset  size  field            (little-endian)
         0     4  header_crc32c    of the header's other fields
         4     4  crc32c           of the payload
         8     4  size             of the payload, bytes
        12     2  magic            "Rt"
        14     1  version          1
        15     1  flags            1: sparse, see below
        16     4  partition
        20     4  count            of entries
        24     8  base_offset      the first offset that it covers
        32     4  span             the last one minus base_offset
        36     8  max_timestamp    Unix ms
        44     8  producer_id      0: none
        52     4  producer_epoch
        56     8  base_sequence    of the first entry; the others follow
        64     8  synced           of this file, bytes that were known to be on disk when the batch was written
        72        payload          `count` entries (see `entries`)

One record "hi" of partition 3 at offset 7 is 72 bytes of header and the entry
22 0f | 12 02 68 69 | 20 .. | 28 07 | 30 03 (value, timestamp of seven bytes, offset, partition).

The header has a checksum of its own. So a damaged payload still tells which offsets are lost and where the next batch
begins, and nobody looks for one inside a payload, where a client may have put anything.

A sparse batch is what compaction leaves of others: it covers all of their offsets and has entries for some, or none.
Its payload begins with the `count` entries' distances from `base_offset`, 4 bytes each.

`synced` tells a torn write from damage. Whatever lies before the highest such mark of a file was acknowledged as
durable; if that can't be read, the disk has lost it. What lies behind it, at the end of the last file, may be half
written, and nobody was promised it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from crc32c import crc32c

_CRC_BYTES: Final = 4
_FIELDS: Final = struct.Struct("<IIHBBIIqIqqiqQ")  # all but the header's checksum
HEADER_BYTES: Final = _CRC_BYTES + _FIELDS.size
MAGIC_AT: Final = 12
MAGIC: Final = int.from_bytes(b"Rt", "little")
VERSION: Final = 1
SPARSE: Final = 1
# A batch is read, checked and cached whole, so it is kept small beside the larger of them: a record of 10 MiB.
MAX_BATCH_BYTES: Final = 262_144
DISTANCE_BYTES: Final = 4
MAX_SPAN: Final = 2**32 - 1  # its field's four bytes


class BatchHeader(NamedTuple):
    """The fields of a batch's header, as above."""

    crc: int
    size: int
    magic: int
    version: int
    flags: int
    partition: int
    count: int  # type: ignore[assignment]  # not the method that tuples have
    base_offset: int
    span: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    synced: int

    @property
    def end_offset(self) -> int:
        """The offset behind the last entry's."""
        return self.base_offset + self.span + 1

    @property
    def entries_at(self) -> int:
        """Where in the payload the entries begin."""
        return self.count * DISTANCE_BYTES if self.flags & SPARSE else 0


def pack(
    payload: bytes,
    *,
    flags: int = 0,
    partition: int,
    count: int,
    base_offset: int,
    span: int,
    max_timestamp: int = 0,
    producer_id: int = 0,
    producer_epoch: int = 0,
    base_sequence: int = 0,
    synced: int = 0,
) -> bytes:
    """A payload's header as bytes, as above."""
    fields = _FIELDS.pack(
        crc32c(payload),
        len(payload),
        MAGIC,
        VERSION,
        flags,
        partition,
        count,
        base_offset,
        span,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        synced,
    )
    return crc32c(fields).to_bytes(_CRC_BYTES, "little") + fields


def unpack(data: bytes, position: int = 0) -> BatchHeader | None:
    """The header at a position; None if there is none, or a damaged one."""
    raw = data[position : position + HEADER_BYTES]
    fields = raw[_CRC_BYTES:]
    if len(raw) < HEADER_BYTES or crc32c(fields) != int.from_bytes(raw[:_CRC_BYTES], "little"):
        return None
    header = BatchHeader._make(_FIELDS.unpack(fields))
    if header.magic != MAGIC or header.version != VERSION:
        return None
    return header if header.count or header.flags & SPARSE else None


def offsets(header: BatchHeader, payload: bytes) -> Sequence[int]:
    """The offset of each entry."""
    if not header.flags & SPARSE:
        return range(header.base_offset, header.base_offset + header.count)
    distances: array[int] = array("I", payload[: header.entries_at])
    return array("q", [header.base_offset + distance for distance in distances])


def is_whole(header: BatchHeader, payload: bytes) -> bool:
    """Whether the payload is the one that was written."""
    return len(payload) == header.size and crc32c(payload) == header.crc
