"""What a topic's files hold, when the server starts. Blocks: for a thread.

A closed segment is known by its index file; without a right one it is scanned, and the index written. The newest one is
scanned, unless it has an index (it was closed in good order). What a scan cannot read is one of two things:

- behind everything that is known to have been synced (`synced` in the batches' headers): a write that the crash cut
  short, which nobody was promised. It is cut off, and kept beside the file as `<name>.cut-<position>`.
- before that: damage. It stays where it is, offsets behind it stay valid, and a row of size 0 in the index marks the
  hole, so that whoever reads on comes to DATA_LOSS there instead of silence.

A segment whose head is damaged is taken to begin where the one before it ends.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ride_trio.eventlog.files import sync_folder
from ride_trio.eventlog.indexes import read_index_head
from ride_trio.eventlog.producers import Producers
from ride_trio.eventlog.reindex import Rows, index_segment
from ride_trio.eventlog.scan import read_head, scan
from ride_trio.eventlog.segments import (
    HEAD_START_BYTES,
    INDEX_SUFFIX,
    Head,
    Name,
    Segment,
    new_segment,
    segment_paths,
)


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
    segments = _segments(folder, topic_id, partitions, notes)
    if not segments:
        first = new_segment(folder, Head(topic_id, 1, now_ms, array("q", bytes(8 * partitions)), b""))
        return Recovered([first], array("q", bytes(8 * partitions)), {}, notes)
    for segment, following in pairwise(segments):
        _recover_closed(segment, following, notes)
    return _recover_newest(segments, notes)


def _segments(folder: Path, topic_id: int, partitions: int, notes: list[str]) -> list[Segment]:
    paths, replaced = segment_paths(folder)
    for leftover in (*folder.glob("*.new"), *replaced, *lone_indexes(folder, paths)):
        leftover.unlink()
    found = list(read_segments(paths, topic_id, partitions))
    for path, segment in found:
        if segment is None:
            path.rename(path.with_name(f"{path.name}.cut-0"))
            notes.append(f"{path}: has no records; the server died while it made it. Now {path.name}.cut-0")
        elif segment.head.start is not None:
            notes.append(f"{path}: the head is damaged; it is taken to begin where the segment before it ends")
    return [segment for _, segment in found if segment is not None]


def read_segments(paths: list[Path], topic_id: int, partitions: int) -> Iterator[tuple[Path, Segment | None]]:
    """A topic's segments, oldest first, from their files; None for a last one that has no head and no records."""
    heads = [_right_head(path, topic_id, partitions) for path in paths]
    before: Segment | None = None
    for path, head, following in zip(paths, heads, [*heads[1:], None], strict=False):
        head = head or _made_up_head(path, topic_id, partitions, before, following)
        if head is not None:
            size = path.stat().st_size
            before = Segment(path, head, size, size, size, exists=True)
        yield path, before if head is not None else None


def lone_indexes(folder: Path, paths: list[Path]) -> list[Path]:
    """Index files without a segment: left over where one was being removed, or made by compaction."""
    right = {path.with_suffix(INDEX_SUFFIX) for path in paths}
    return [path for path in folder.glob(f"*{INDEX_SUFFIX}") if path not in right]


# ------------------------------------------------------------------ heads


def _right_head(path: Path, topic_id: int, partitions: int) -> Head | None:
    head = read_head(path)
    return head if head is not None and head.topic_id == topic_id and len(head.bases) == partitions else None


def _made_up_head(
    path: Path, topic_id: int, partitions: int, before: Segment | None, following: Head | None
) -> Head | None:
    """A head for a segment whose own can't be read; None if it is the last one, and nothing else is in it."""
    found = [(item.position, item.header) for item in scan(path, 0) if item.header is not None]
    batches = [(position, header) for position, header in found if header.partition < partitions]
    if not batches and following is None:
        return None
    producers = b""
    if before is not None:
        rows = Rows.of(before)
        bases, producers = rows.ends, rows.packed_producers()
    else:
        bases = array("q", following.bases if following is not None else bytes(8 * partitions))
        for _, header in reversed(batches):
            bases[header.partition] = header.base_offset
    start = batches[0][0] if batches else HEAD_START_BYTES
    return Head(topic_id, Name.of(path).last, 0, bases, producers, start)


# ------------------------------------------------------------------ closed segments


def _recover_closed(segment: Segment, following: Segment, notes: list[str]) -> None:
    known = read_index_head(segment.index_path)
    is_followed = following.name.first == segment.name.last + 1
    is_right = segment.head.start is None and is_followed  # otherwise the index knows nothing of the holes there
    if known is not None and known.log_size == segment.size and is_right:
        segment.max_timestamp, segment.index = known.max_timestamp, None
        return
    if not is_followed:
        notes.append(f"{segment.path}: the segment behind it is missing")
    if index_segment(segment, following.head.bases, notes):
        segment.index = None


# ------------------------------------------------------------------ the newest segment


def _recover_newest(segments: list[Segment], notes: list[str]) -> Recovered:
    segment = segments[-1]
    known = read_index_head(segment.index_path)
    rows = Rows.of(segment)
    if known is None or known.log_size != segment.size:  # otherwise it was closed in good order, and all is synced
        torn_at = rows.torn_at()
        if torn_at is not None:
            notes.append(_cut(segment, torn_at))
            rows = Rows.of(segment)
        _sync(segment.path)
    segment.index_path.unlink(missing_ok=True)  # it grows again
    notes += rows.notes()
    return Recovered(segments, rows.ends, rows.producers, notes)


def _cut(segment: Segment, position: int) -> str:
    """Cut off what the crash left half written, and put it aside, unless the disk is too full for that."""
    aside = segment.path.with_name(f"{segment.path.name}.cut-{position}")
    with segment.path.open("r+b") as file:
        tail = os.pread(file.fileno(), segment.size - position, position)
        kept = _keep(aside, tail)
        file.truncate(position)
    segment.size = segment.written = segment.synced = position
    return f"{segment.path}: the server died while it wrote the {len(tail)} bytes from {position} on; {kept}"


def _keep(path: Path, data: bytes) -> str:
    try:
        path.write_bytes(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        return f"there is no room to keep them: {error.strerror}"
    return f"now in {path.name}"


def _sync(path: Path) -> None:
    """What a process that was killed has written may be in the system's memory only, and is about to be served."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)
