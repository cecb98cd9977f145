"""The files of segments, as commits are written to them.

A handle is closed when nobody has it any more, so that a file which one thread still works on is not closed under it by
another one; the last ones used are kept open, which bounds open files whatever the number of topics.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from ride_trio.eventlog.batches import pack
from ride_trio.eventlog.partition import Batch
from ride_trio.eventlog.segments import Segment, file_name

if TYPE_CHECKING:
    from ride_trio.eventlog.commit import Commit

MAX_OPEN_FILES: Final = 128
# Buffers of one writev; the system's bound is 1,024 (limits.h, IOV_MAX).
_MAX_BUFFERS: Final = 1_024


class Handle:
    """An open file, closed when it is dropped."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


# A segment's file that a commit is written to: open, from where on, and whether the commit begins it.
Begun = tuple[Segment, Handle, int, bool]


class Files:
    """Writes commits to segment files. For several threads; a segment is begun when all commits before are safe.

    Of a topic's files only the newest is open: the others may be deleted, and would keep their room on the disk.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, tuple[Segment, Handle]] = OrderedDict()  # by folder
        self._guard = Lock()

    def write(self, commit: Commit, begun: list[Begun], *, and_sync: bool = False) -> None:
        """Append a commit's batches to their files.

        Args:
            commit: It.
            begun: Gets what is written to, for `take_back`, and for who syncs.
            and_sync: See that they are on the disk, too.

        Raises:
            OSError: It could not.
        """
        for segment, position, batches in commit.parts:
            is_new = not segment.exists
            handle = self._handle(segment)
            begun.append((segment, handle, position, is_new))
            _write_at(handle.fd, _buffers(segment, batches), position, and_sync=and_sync)

    def take_back(self, begun: list[Begun], commits: Iterable[Commit]) -> None:
        """Make files what they were before commits that fail together.

        The last one first: no head may say that there is more before it than there is.

        Args:
            begun: What was written to.
            commits: In order. A file ends where the first of them would have begun in it, were it written or not.

        Raises:
            OSError: It could not; nobody knows what is in the files.
        """
        ends: dict[Segment, int] = {}
        for commit in commits:
            for segment, position, _ in commit.parts:
                ends.setdefault(segment, position)
        for segment, handle, _, is_new in reversed(begun):
            if not is_new:
                os.ftruncate(handle.fd, ends[segment])
                os.fsync(handle.fd)  # or a power cut would bring back what was told to have failed
            else:
                self.forget(segment.folder)
                _remove(segment.path)

    def _handle(self, segment: Segment) -> Handle:
        folder = segment.folder
        with self._guard:
            known, handle = self._open.get(folder, (None, None))
            if known is not segment or handle is None:
                handle = Handle(_open_segment(segment))
                self._open[folder] = segment, handle
                if len(self._open) > MAX_OPEN_FILES:
                    self._open.popitem(last=False)
            self._open.move_to_end(folder)
            return handle

    def forget(self, folder: Path) -> None:
        """Close what is open of a folder."""
        with self._guard:
            self._open.pop(folder, None)

    def close(self) -> None:
        with self._guard:
            self._open.clear()


def _open_segment(segment: Segment) -> int:
    """Open a segment's file; make it first if it is new, so that it is there with its head whatever happens."""
    return os.open(segment.path, os.O_RDWR | os.O_CLOEXEC) if segment.exists else _create(segment)


def make_segment(segment: Segment) -> None:
    """Make a new segment's file. Blocks."""
    os.close(_create(segment))
    segment.exists = True
    segment.written = segment.synced = segment.size


def _create(segment: Segment) -> int:
    _make_folder(segment.folder)
    _sync_before(segment)
    fd = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        _write_at(fd, [segment.head.pack()], 0)
        os.fsync(fd)
        sync_folder(segment.folder)
    except OSError:
        os.close(fd)
        _remove(segment.path)
        raise
    return fd


def _make_folder(path: Path) -> None:
    if not path.exists():
        path.mkdir(parents=True)
        sync_folder(path.parent)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _sync_before(segment: Segment) -> None:
    """A head says where the file before it ends. So that has to be on disk first, or a power cut would make a hole."""
    try:
        fd = os.open(segment.path.with_name(file_name(segment.number - 1)), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # the topic's first
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def sync_folder(path: os.PathLike[str]) -> None:
    """See that a folder's names are on disk. Blocks."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _buffers(segment: Segment, batches: list[Batch]) -> list[bytes]:
    synced = segment.synced
    out: list[bytes] = []
    for batch in batches:
        out += (_header(batch, synced), batch.payload)
    return out


def _header(batch: Batch, synced: int) -> bytes:
    return pack(
        batch.payload,
        partition=batch.partition.number,
        count=batch.count,
        base_offset=batch.base_offset,
        span=batch.count - 1,
        max_timestamp=batch.max_timestamp,
        producer_id=batch.producer_id,
        producer_epoch=batch.producer_epoch,
        base_sequence=batch.base_sequence,
        synced=synced,
    )


def _write_at(fd: int, buffers: list[bytes], position: int, *, and_sync: bool = False) -> None:
    """Write all of it, however often that takes."""
    at_once = len(buffers) <= _MAX_BUFFERS
    for start in range(0, len(buffers), _MAX_BUFFERS):
        some = buffers[start : start + _MAX_BUFFERS]
        size = sum(map(len, some))
        written = os.pwritev(fd, some, position, os.RWF_DSYNC if and_sync and at_once else 0)
        if written < size:
            at_once = False
            _write_rest(fd, b"".join(some)[written:], position + written)
        position += size
    if and_sync and not at_once:
        os.fdatasync(fd)


def _write_rest(fd: int, data: bytes, position: int) -> None:
    """After a short write: the next one brings the error, or the rest."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, position)
        rest, position = rest[written:], position + written
