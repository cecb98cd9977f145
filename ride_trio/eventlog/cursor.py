"""A place in a partition, from which a consumer reads on.

`read` is synchronous and takes what is in memory (see `cache`); when that is not there, it says so, and `load` brings
it in a thread. So whoever keeps up never waits for a file, and a cursor that nobody moves holds nothing.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ride_trio.errors import DamagedError, LogFailedError, OffsetOutOfRangeError, UnknownTopicError
from ride_trio.eventlog.batches import HEADER_BYTES, SPARSE, is_whole, offsets, unpack
from ride_trio.eventlog.cache import Cache
from ride_trio.eventlog.entries import fit, offset_of, skip, timestamp_of
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.reindex import load_index
from ride_trio.eventlog.segments import PartitionIndex, Segment
from ride_trio.metrics import Count

# What one trip to a thread brings: several responses' worth, and a fraction of a millisecond of reading.
READ_AHEAD_BYTES: Final = 1_048_576
READ_AHEAD_SHARE: Final = 8


class NotInMemoryError(Exception):
    """`Cursor.read` has nothing to give before `Cursor.load` has run."""


class RunSync(Protocol):
    """Runs a function that blocks in a thread, and waits for it."""

    def __call__(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """What all cursors of a log share."""

    cache: Cache
    run_sync: RunSync
    cold_reads: Count


@dataclass(frozen=True, slots=True)
class Sparse:
    """A compacted batch: entries with gaps between their offsets."""

    entries: bytes
    offsets: Sequence[int]


class Cursor:
    """See the module's text.

    Attributes:
        offset: Of the next record.
    """

    __slots__ = ("_reader", "_resume", "offset", "partition")

    def __init__(self, reader: Reader, partition: Partition, offset: int) -> None:
        self._reader = reader
        self.partition = partition
        self.offset = offset
        self._resume: tuple[int, int] = (-1, 0)  # an offset, and where in its batch it is

    def __repr__(self) -> str:
        return f"<Cursor {self.partition.topic.name}/{self.partition.number} at {self.offset}>"

    @property
    def is_behind(self) -> bool:
        """There is something to read."""
        return self.offset < self.partition.end_offset

    def check(self) -> None:
        """Raises:
        UnknownTopicError: The topic is gone.
        OffsetOutOfRangeError: There is no such offset (any more).
        """
        partition = self.partition
        if partition.topic.deleted:
            raise UnknownTopicError(f"topic '{partition.topic.name}' was deleted")
        if not partition.begin_offset <= self.offset <= partition.end_offset:
            raise OffsetOutOfRangeError(
                f"offset {self.offset} of {partition.topic.name}/{partition.number}: "
                f"there is {partition.begin_offset} to {partition.end_offset}"
            )

    def read(self, room: int) -> bytes:
        """The entries that come next, and move on behind them.

        Args:
            room: Bytes that they may have; the first one comes whatever its size.

        Returns:
            Entries; empty at the partition's end.

        Raises:
            NotInMemoryError: `load()` first.
            DamagedError: Here is what the disk has lost.
            LogError: As `check`.
        """
        self.check()
        pieces: list[bytes] = []
        while self.offset < self.partition.end_offset:
            try:
                piece = self._read_some(room, first=not pieces)
            except (NotInMemoryError, DamagedError):
                if pieces:
                    break
                raise
            if piece is None:
                continue
            if not piece:
                break
            pieces.append(piece)
            room -= len(piece)
            if room <= 0:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def waiting_bytes(self, enough: int) -> int:
        """Bytes of entries from here to the partition's end; no more than `enough` is looked for."""
        if not self.is_behind:
            return 0
        segment = self._segment()
        if segment.index is None or segment is not self.partition.topic.active:
            return enough
        rows = segment.index.get(self.partition.number, _NO_ROWS)
        row = max(0, rows.row_of(self.offset))
        batch = self._reader.cache.get((segment, rows.positions[row])) if len(rows) else None
        total = -skip(batch, 0, max(0, self.offset - rows.bases[row])) if type(batch) is bytes else 0
        while row < len(rows) and total < enough:
            total += rows.sizes[row]
            row += 1
        return total

    def _read_some(self, room: int, *, first: bool) -> bytes | None:
        """What one batch has; empty if it has no room, None if there is nothing here and it goes on elsewhere."""
        segment, rows = self._rows()
        row = rows.row_of(self.offset)
        end = rows.bases[row + 1] if row + 1 < len(rows) else self._end_in(segment)
        if row < 0:
            self.offset = rows.bases[0] if len(rows) else end
            return None
        self._check_hole(segment, rows, row)
        batch = self._reader.cache.get((segment, rows.positions[row]))
        if batch is None:
            raise NotInMemoryError
        if type(batch) is Sparse:
            return self._read_sparse(batch, end, room, first=first)
        return self._read_dense(batch, rows.bases[row], end, room, first=first)

    def _read_dense(self, data: bytes, base: int, end: int, room: int, *, first: bool) -> bytes:
        at = self._resume[1] if self._resume[0] == self.offset else skip(data, 0, self.offset - base)
        if len(data) - at <= room:
            self.offset, self._resume = end, (end, 0)
            return data[at:] if at else data
        count, stop = fit(data, at, room)
        if stop - at > room and not first:
            return b""
        self.offset += count
        self._resume = (self.offset, stop) if self.offset < end else (end, 0)
        return data[at:stop]

    def _read_sparse(self, batch: Sparse, end: int, room: int, *, first: bool) -> bytes | None:
        done = bisect_left(batch.offsets, self.offset)
        at = skip(batch.entries, 0, done)
        if at == len(batch.entries):
            self.offset = end
            return None
        count, stop = fit(batch.entries, at, room)
        if stop - at > room and not first:
            return b""
        done += count
        self.offset = batch.offsets[done] if done < len(batch.offsets) else end
        return batch.entries[at:stop]

    # ------------------------------------------------------------------ where it is

    def _segment(self) -> Segment:
        segments, number = self.partition.topic.segments, self.partition.number
        return segments[bisect_right(segments, self.offset, key=lambda s: s.head.bases[number]) - 1]

    def _end_in(self, segment: Segment) -> int:
        """Where what may be seen of the partition ends in a segment."""
        topic, end = self.partition.topic, self.partition.end_offset
        if segment is topic.active:
            return end
        following = topic.segments[topic.segments.index(segment) + 1]
        return min(end, following.head.bases[self.partition.number])

    def _rows(self) -> tuple[Segment, PartitionIndex]:
        segment = self._segment()
        if segment.index is not None:
            rows = segment.index.get(self.partition.number)
            return segment, _NO_ROWS if rows is None else rows
        rows = self._reader.cache.get((segment, ~self.partition.number))
        if rows is None:
            raise NotInMemoryError
        return segment, rows

    def _check_hole(self, segment: Segment, rows: PartitionIndex, row: int) -> None:
        if not rows.sizes[row]:
            raise _damaged(self.partition, self.offset, segment, rows.positions[row])

    # ------------------------------------------------------------------ reading files

    async def load(self) -> None:
        """Bring what `read` needs into memory.

        Raises:
            DamagedError: It can't be read.
            LogError: As `check`: the file may have gone meanwhile.
        """
        self.check()
        segment = self._segment()
        try:
            rows = await self._load_rows(segment)
            await self._load_batches(segment, rows)
        except FileNotFoundError:
            self._check_gone(segment)

    def _check_gone(self, segment: Segment) -> None:
        """A segment's file is not there. Compaction may have put another in its place: then all is well.

        Raises:
            DamagedError: It should be there.
            LogError: As `check`: retention has passed us.
        """
        self.check()
        if self._segment() is segment:
            raise DamagedError(f"{segment.path} of topic '{self.partition.topic.name}' is missing")

    async def _in_thread(self, segment: Segment, function: Callable[..., Any], *args: Any) -> Any:
        """Run what reads a segment's files.

        Raises:
            FileNotFoundError: One is not there.
            LogError: It can't be read.
        """
        try:
            return await self._reader.run_sync(function, *args)
        except FileNotFoundError:
            raise
        except OSError as error:
            kind = DamagedError if error.errno == errno.EIO else LogFailedError
            name = self.partition.topic.name
            raise kind(f"{segment.path} of topic '{name}' can't be read: {error.strerror}") from error

    async def _load_rows(self, segment: Segment) -> PartitionIndex:
        reader, number = self._reader, self.partition.number
        if segment.index is not None:
            return segment.index.get(number, _NO_ROWS)
        rows: PartitionIndex | None = reader.cache.get((segment, ~number))
        if rows is None:
            segments = self.partition.topic.segments
            ends = segments[segments.index(segment) + 1].head.bases
            rows = await self._in_thread(segment, load_index, segment, number, ends)
            self._keep_rows(segment, rows)
        return rows

    async def _load_batches(self, segment: Segment, rows: PartitionIndex) -> None:
        row = rows.row_of(self.offset)
        if row < 0:
            return
        self._check_hole(segment, rows, row)
        # A part of the cache only: what is needed first must still be there when it is read.
        wanted = _some(rows, row, min(READ_AHEAD_BYTES, self._reader.cache.bound_bytes // READ_AHEAD_SHARE))
        self._reader.cold_reads.n += 1
        found = await self._in_thread(segment, _read_batches, segment, wanted)
        if not found:
            raise _damaged(self.partition, self.offset, segment, rows.positions[row])
        cache = self._reader.cache
        for (position, size), batch in reversed(list(zip(wanted, found, strict=False))):
            if position == wanted[0][0]:  # what is needed first comes last, so that it is kept
                self._keep_rows(segment, rows)
            cache.put((segment, position), batch, size)

    def _keep_rows(self, segment: Segment, rows: PartitionIndex) -> None:
        if segment.index is None:
            key = (segment, ~self.partition.number)
            self._reader.cache.put(key, rows, len(rows) * PartitionIndex.ROW_BYTES)


_NO_ROWS: Final = PartitionIndex()


def _damaged(partition: Partition, offset: int, segment: Segment, position: int) -> DamagedError:
    return DamagedError(
        f"{partition.topic.name}/{partition.number} at offset {offset}: "
        f"{segment.path.parent.name}/{segment.path.name} is damaged at byte {position}"
    )


def _some(rows: PartitionIndex, row: int, left: int) -> list[tuple[int, int]]:
    """Position and size of the batches that are read together."""
    wanted: list[tuple[int, int]] = []
    while row < len(rows) and rows.sizes[row] and (left > 0 or not wanted):
        wanted.append((rows.positions[row], rows.sizes[row]))
        left -= rows.sizes[row] + HEADER_BYTES
        row += 1
    return wanted


def _read_batches(segment: Segment, wanted: list[tuple[int, int]]) -> list[bytes | Sparse]:
    """Read batches, up to the first that is damaged. In a thread."""
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found: list[bytes | Sparse] = []
        for position, size in wanted:
            data = os.pread(fd, HEADER_BYTES + size, position)
            header, payload = unpack(data), data[HEADER_BYTES:]
            if header is None or header.size != size or not is_whole(header, payload):
                break
            is_sparse = header.flags & SPARSE
            found.append(Sparse(payload[header.entries_at :], offsets(header, payload)) if is_sparse else payload)
        return found
    finally:
        os.close(fd)


async def offset_at(reader: Reader, partition: Partition, time_ms: int) -> int:
    """The offset of the first record of a time, Unix ms, or later; the end if there is none."""
    cursor = Cursor(reader, partition, partition.begin_offset)
    while cursor.is_behind:
        try:
            if await _find_in_segment(cursor, time_ms):
                break
        except OffsetOutOfRangeError:  # retention has passed us
            cursor.offset = partition.begin_offset
    return cursor.offset


async def _find_in_segment(cursor: Cursor, time_ms: int) -> bool:
    """Move to the first record of a time or later in the segment where the cursor is, or to the segment's end."""
    segment = cursor._segment()
    end = cursor._end_in(segment)
    rows = await _rows_since(cursor, segment, time_ms)
    if rows is None:
        return False
    row = bisect_left(rows.times, time_ms)
    if row == len(rows):
        cursor.offset = end
        return False
    cursor.offset = max(cursor.offset, rows.bases[row])
    cursor.offset = await _first_since(cursor, time_ms)
    return True


async def _rows_since(cursor: Cursor, segment: Segment, time_ms: int) -> PartitionIndex | None:
    """A segment's rows, or none if all of it is older; None if its file has gone meanwhile."""
    if segment.max_timestamp < time_ms:
        return _NO_ROWS
    try:
        return await cursor._load_rows(segment)
    except FileNotFoundError:
        cursor._check_gone(segment)
        return None


async def _first_since(cursor: Cursor, time_ms: int) -> int:
    while cursor.is_behind:
        try:
            data = cursor.read(1)
        except NotInMemoryError:
            await cursor.load()
            continue
        if data and timestamp_of(data, 0) >= time_ms:  # none, where compaction has left none up to the end
            return offset_of(data, 0)
    return cursor.offset
