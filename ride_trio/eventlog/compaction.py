"""Compaction: of each (partition, key) of a compacted topic the newest record stays, with its offset.

A pass goes over all segments but the newest, in two steps:

1. Those that were not compacted yet are read for the newest offset of each key in them. When these get many, the pass
   ends there, and the next one goes on.
2. All up to there are rewritten, the oldest first: what has a newer record is left out, small neighbours become one
   file. The new file is whole and on disk before it gets its name, and the old ones go after that (see `segments`), so
   the log may be killed between any two steps. Since the oldest come first, no older record can be left over whose
   newer one does not count as new any more.

A record without a value says that its key is gone. It stays for a day, so that a consumer who has seen the key sees
that, too, and goes in a later pass (Kafka's tombstones and delete.retention.ms).

Segments that are damaged are left as they are, and behind them no tombstone goes: they may have what it has removed.

The functions here are for threads: generators that read or write a little between two `yield`s.
"""

from __future__ import annotations

import logging
from array import array
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, pairwise
from typing import Final

from ride_trio.eventlog.batches import offsets
from ride_trio.eventlog.compacted import Compacted
from ride_trio.eventlog.entries import has_value, key_of, split, timestamp_of
from ride_trio.eventlog.scan import Found, Gap, scan
from ride_trio.eventlog.segments import Segment
from ride_trio.eventlog.topic import Topic

log = logging.getLogger(__name__)

# Kafka's default of delete.retention.ms.
TOMBSTONE_MS: Final = 86_400_000
# Keys of one pass, at some 150 bytes each, beside those of a first segment, which may have more.
MAX_KEYS: Final = 300_000
# What is read between two yields: a millisecond of work, which is mostly Python's, so that others wait for it.
SLICE_RECORDS: Final = 256
SLICE_BYTES: Final = 262_144
# Longer keys are known by their digests, which are longer than any key that is not.
_LONGEST_KEY: Final = 32


class DamagedSegmentError(Exception):
    """A segment has not what it should have."""

    def __init__(self, segment: Segment, what: str) -> None:
        super().__init__(f"{segment.path} is not compacted: {what}")
        self.segment = segment


@dataclass(frozen=True, slots=True)
class Source:
    """A segment, and where each partition goes on in the next one."""

    segment: Segment
    ends: array[int]

    @property
    def is_clean(self) -> bool:
        """It was compacted already."""
        return self.segment.name.generation > 0


def due(topic: Topic) -> list[Source]:
    """What a pass would go over, oldest first; nothing, unless half of the bytes or more are new since the last one."""
    sources = []
    for segment, following in pairwise(topic.segments):
        if segment.index is not None or not following.exists:
            break  # not closed yet
        sources.append(Source(segment, following.head.bases))
    whole = [source for source in sources if not source.segment.damaged]
    new = sum(source.segment.size for source in whole if not source.is_clean)
    return sources if new and 2 * new >= sum(source.segment.size for source in whole) else []


def groups(sources: Sequence[Source], bound_bytes: int) -> list[list[Source]]:
    """Neighbours that become one file; damaged ones stay out of it.

    Args:
        sources: Oldest first.
        bound_bytes: A group of more than one has at most so many.
    """
    found: list[list[Source]] = [[]]
    size = 0
    for source in sources:
        size += source.segment.size
        if source.segment.damaged or size > bound_bytes:
            found.append([])
            size = source.segment.size
        if source.segment.damaged:
            size = bound_bytes
        else:
            found[-1].append(source)
    return [group for group in found if group]


# ------------------------------------------------------------------ what is newest


# The newest offset of each key, by partition.
Newest = defaultdict[int, dict[bytes, int]]


def find_newest(sources: Sequence[Source]) -> Generator[None, None, tuple[Newest, int]]:
    """The newest offsets in those that are not clean, and how many of the sources the pass goes over."""
    newest: Newest = defaultdict(dict)
    keys, read_any = 0, False
    for number, source in enumerate(sources):
        if source.is_clean or source.segment.damaged:
            continue
        try:
            for batch in _batches(source):
                known = newest[batch.partition]
                keys -= len(known)
                known.update((key, offset) for offset, key, _, _ in batch.entries if key)
                keys += len(known)
                if read_any and keys > MAX_KEYS:
                    return newest, number
                if batch.ends_slice:
                    yield
        except DamagedSegmentError as error:
            _leave_alone(error)
        read_any = True
    return newest, len(sources)


def _leave_alone(error: DamagedSegmentError) -> None:
    log.error("%s", error)
    error.segment.damaged = True


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch, or a part of it.

    Attributes:
        data: All of its entries.
        entries: Of each in this part its offset, its key, and where in the data it begins and ends.
        ends_slice: Time to yield.
    """

    partition: int
    data: bytes
    entries: list[tuple[int, bytes, int, int]]
    ends_slice: bool


def _batches(source: Source) -> Iterator[_Batch]:
    """All batches of a segment.

    Raises:
        DamagedSegmentError: Not all that should be there is.
    """
    segment = source.segment
    ends = array("q", segment.head.bases)
    read_records = read_bytes = 0
    for found in scan(segment.path, segment.head.size):
        if isinstance(found, Gap):
            raise DamagedSegmentError(segment, f"it is damaged from byte {found.position} to {found.end}")
        header = found.header
        if header.partition >= len(ends) or header.base_offset != ends[header.partition]:
            raise DamagedSegmentError(segment, f"the batch at byte {found.position} does not follow the one before")
        ends[header.partition] = header.end_offset
        data = found.payload[header.entries_at :]
        read_bytes += len(data)
        for entries in _parts(segment, found, data):
            read_records += len(entries)
            ends_slice = read_records >= SLICE_RECORDS or read_bytes >= SLICE_BYTES
            if ends_slice:
                read_records = read_bytes = 0
            yield _Batch(header.partition, data, entries, ends_slice)
    if ends != source.ends:
        raise DamagedSegmentError(segment, "its end is missing")


def _parts(segment: Segment, found: Found, data: bytes) -> Iterator[list[tuple[int, bytes, int, int]]]:
    """A batch's entries, some at a time."""
    try:
        places = zip(offsets(found.header, found.payload), split(data), strict=True)
        while some := list(islice(places, SLICE_RECORDS)):
            yield [(offset, _short(key_of(data, begin)), begin, end) for offset, (begin, end) in some]
    except (IndexError, ValueError) as error:
        raise DamagedSegmentError(segment, f"the batch at byte {found.position} makes no sense") from error


def _short(key: bytes) -> bytes:
    return key if len(key) <= _LONGEST_KEY else blake2b(key, digest_size=_LONGEST_KEY + 1).digest()


# ------------------------------------------------------------------ rewriting


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of rewriting a group.

    Attributes:
        segment: What takes its place; None if it stays as it is.
        damaged: Because of damage.
    """

    segment: Segment | None
    damaged: bool = False


def rewrite(group: Sequence[Source], newest: Newest, horizon_ms: int) -> Generator[None, None, Outcome]:
    """Make one file of a group's records, without those that have a newer one. Its place it gets from the caller.

    Args:
        group: Neighbours, oldest first.
        newest: What is newest.
        horizon_ms: Unix ms; tombstones that are older go, if they were kept in a pass before this one.
    """
    output = Compacted([source.segment for source in group], group[-1].ends)
    dropped = 0
    try:
        for source in group:
            for batch in _batches(source):
                dropped += _copy(source, batch, newest, horizon_ms, output)
                if batch.ends_slice:
                    yield
        if not dropped and len(group) == 1 and group[0].is_clean:
            return Outcome(None)
        yield
        return Outcome(output.finish())
    except DamagedSegmentError as error:
        _leave_alone(error)
        return Outcome(None, damaged=True)
    finally:
        output.close()


def _copy(source: Source, batch: _Batch, newest: Newest, horizon_ms: int, output: Compacted) -> int:
    """Copy what stays of a batch; how many records go."""
    data, known, copied = batch.data, newest.get(batch.partition, {}), 0
    for offset, key, begin, end in batch.entries:
        if known.get(key, -1) > offset:
            continue
        try:
            timestamp = timestamp_of(data, begin)
            is_over = source.is_clean and key and timestamp < horizon_ms and not has_value(data, begin)
        except IndexError as error:
            raise DamagedSegmentError(source.segment, f"the record at offset {offset} makes no sense") from error
        if not is_over:
            output.add(batch.partition, offset, timestamp, data[begin:end])
            copied += 1
    return len(batch.entries) - copied
