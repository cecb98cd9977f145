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
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from ride_trio.eventlog.batches import offsets
from ride_trio.eventlog.compacted import Compacted
from ride_trio.eventlog.entries import split, summary
from ride_trio.eventlog.scan import Found, Gap, scan
from ride_trio.eventlog.segments import Segment
from ride_trio.eventlog.topic import Topic

log = logging.getLogger(__name__)

# Kafka's default of delete.retention.ms.
TOMBSTONE_MS: Final = 86_400_000
# Keys of one pass, at some 150 bytes each, beside those of a first segment, which may have more.
MAX_KEYS: Final = 300_000
# What is read between two yields: some milliseconds of work with records of 100 bytes.
SLICE_BYTES: Final = 131_072
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


class Newest:
    """The newest offset of each key of each partition."""

    def __init__(self) -> None:
        self.keys = 0
        self._offsets: dict[int, dict[bytes, int]] = {}

    def add(self, partition: int, key: bytes, offset: int) -> None:
        """A record; offsets of a partition come in order."""
        known = self._offsets.setdefault(partition, {})
        before = len(known)
        known[_short(key)] = offset
        self.keys += len(known) - before

    def is_newer(self, partition: int, key: bytes, offset: int) -> bool:
        """Whether there is a newer record of this key than that at an offset."""
        known = self._offsets.get(partition)
        return known is not None and known.get(_short(key), -1) > offset


def _short(key: bytes) -> bytes:
    return key if len(key) <= _LONGEST_KEY else blake2b(key, digest_size=_LONGEST_KEY + 1).digest()


def find_newest(sources: Sequence[Source]) -> Generator[None, None, tuple[Newest, int]]:
    """The newest offsets in those that are not clean, and how many of the sources the pass goes over."""
    newest, read_any = Newest(), False
    for number, source in enumerate(sources):
        if source.is_clean or source.segment.damaged:
            continue
        try:
            for batch in _batches(source):
                for offset, key, *_ in batch.entries:
                    if key:
                        newest.add(batch.partition, key, offset)
                if read_any and newest.keys > MAX_KEYS:
                    return newest, number
                if batch.is_last_of_slice:
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
    """What compaction needs of a batch; an entry is offset, key, whether it has a value, timestamp and its bytes."""

    partition: int
    entries: list[tuple[int, bytes, bool, int, bytes]]
    is_last_of_slice: bool


def _batches(source: Source) -> Iterator[_Batch]:
    """All batches of a segment.

    Raises:
        DamagedSegmentError: Not all that should be there is.
    """
    segment = source.segment
    ends = array("q", segment.head.bases)
    read = 0
    for found in scan(segment.path, segment.head.size):
        if isinstance(found, Gap):
            raise DamagedSegmentError(segment, f"it is damaged from byte {found.position} to {found.end}")
        header = found.header
        if header.partition >= len(ends) or header.base_offset != ends[header.partition]:
            raise DamagedSegmentError(segment, f"the batch at byte {found.position} does not follow the one before")
        ends[header.partition] = header.end_offset
        read += header.size
        is_last_of_slice = read >= SLICE_BYTES
        read = 0 if is_last_of_slice else read
        yield _Batch(header.partition, _entries(segment, found), is_last_of_slice)
    if ends != source.ends:
        raise DamagedSegmentError(segment, "its end is missing")


def _entries(segment: Segment, found: Found) -> list[tuple[int, bytes, bool, int, bytes]]:
    data = found.payload[found.header.entries_at :]
    try:
        places = zip(offsets(found.header, found.payload), split(data), strict=True)
        return [(offset, *summary(data, begin), data[begin:end]) for offset, (begin, end) in places]
    except (IndexError, ValueError) as error:
        raise DamagedSegmentError(segment, f"the batch at byte {found.position} makes no sense") from error


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
                for offset, key, has_value, timestamp, entry in batch.entries:
                    is_over = source.is_clean and key and not has_value and timestamp < horizon_ms
                    if is_over or newest.is_newer(batch.partition, key, offset):
                        dropped += 1
                    else:
                        output.add(batch.partition, offset, timestamp, entry)
                if batch.is_last_of_slice:
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
