"""The two threads that write: one appends commits to files, one syncs these files.

A commit that nobody waits for before it is synced is written and synced by the first thread in one system call
(RWF_DSYNC), if none before it waits for the other one: with one thread less to be woken the disk has less to wait for.

Files belong to the writer thread. A handle is closed when nobody has it any more, so that a file which the sync thread
still works on is not closed under it; the writer keeps the last ones open, which bounds open files whatever the number
of topics.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from time import perf_counter
from typing import Any, Final

import trio

from ride_trio.eventlog.batches import BatchHeader, pack
from ride_trio.eventlog.commits import Commit, Commits
from ride_trio.eventlog.disk_errors import NO_ROOM
from ride_trio.eventlog.partition import Batch
from ride_trio.eventlog.segments import Segment, file_name
from ride_trio.metrics import LogMetrics

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


class UncertainError(OSError):
    """A write has failed and could not be taken back: nobody knows what is in the files."""


class Files:
    """Writes commits to segment files. For one thread.

    Of a topic's files only the newest is open: the others may be deleted, and would keep their room on the disk.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, tuple[Segment, Handle]] = OrderedDict()  # by folder

    def write(self, commit: Commit, *, and_sync: bool = False) -> list[Handle]:
        """Append a commit's batches to their files.

        Args:
            commit: It.
            and_sync: See that they are on the disk, too.

        Returns:
            What has to be synced, if it is not.

        Raises:
            UncertainError: It could not, and has left something behind, or nobody knows.
            OSError: It could not; the files are as they were before.
        """
        begun: list[tuple[Segment, Handle, int, bool]] = []
        try:
            for segment, position, batches in commit.parts:
                is_new = not (segment.exists or segment.made)
                handle = self._handle(segment)
                begun.append((segment, handle, position, is_new))
                _write_at(handle.fd, _buffers(segment, batches), position, and_sync=and_sync)
        except OSError as error:
            self._take_back(begun, error)
            if and_sync and error.errno not in NO_ROOM:
                raise UncertainError(*error.args) from error
            raise
        return [handle for _, handle, _, _ in begun]

    def _handle(self, segment: Segment) -> Handle:
        folder = segment.path.parent
        known, handle = self._open.get(folder, (None, None))
        if known is not segment or handle is None:
            handle = Handle(_open_segment(segment))
            self._open[folder] = segment, handle
            if len(self._open) > MAX_OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(folder)
        return handle

    def _take_back(self, begun: list[tuple[Segment, Handle, int, bool]], cause: OSError) -> None:
        """The last one first: no head may say that there is more before it than there is."""
        try:
            for segment, handle, position, is_new in reversed(begun):
                if not is_new:
                    os.ftruncate(handle.fd, position)
                else:
                    self.forget(segment.path.parent)
                    segment.made = False
                    _remove(segment.path)
        except OSError as error:
            raise UncertainError(*error.args) from cause

    def forget(self, folder: Path) -> None:
        """Close what is open of a folder."""
        self._open.pop(folder, None)

    def close(self) -> None:
        self._open.clear()


def _open_segment(segment: Segment) -> int:
    """Open a segment's file; make it first if it is new, so that it is there with its head whatever happens."""
    if segment.exists or segment.made:
        return os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
    fd = _create(segment)
    segment.made = True
    return fd


def make_segment(segment: Segment) -> None:
    """Make a new segment's file. Blocks."""
    os.close(_create(segment))
    segment.exists = True
    segment.written = segment.synced = segment.size


def _create(segment: Segment) -> int:
    _make_folder(segment.path.parent)
    _sync_before(segment)
    fd = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        _write_at(fd, [segment.head.pack()], 0)
        os.fsync(fd)
        sync_folder(segment.path.parent)
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
    out = []
    for batch in batches:
        if not batch.payload:
            batch.payload = b"".join(batch.entries)
            batch.entries = []
        out.append(_header(batch, synced))
        out.append(batch.payload)
    return out


def _header(batch: Batch, synced: int) -> bytes:
    fields = BatchHeader(
        crc=0,
        size=0,
        magic=0,
        version=0,
        flags=0,
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
    return pack(fields, batch.payload)


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


class GiveWay(trio.abc.Instrument):
    """Lets the two threads have the processor and the interpreter at the end of a pass, if they may want them.

    They need both a few times a commit, for some microseconds. Without this they would get them when a time slice is
    over (milliseconds), if the server has one processor or its trio thread is busy, and the disk would wait for them.
    """

    def __init__(self, commits: Commits) -> None:
        self._commits = commits

    def before_io_wait(self, timeout: float) -> None:
        if self._commits.in_flight:
            os.sched_yield()


class Resume:
    """In the line behind all commits that have failed with one that could not be written."""


class ThreadedWriter:
    """A `commits.Writer` on two threads, which `run` owns."""

    def __init__(self, commits: Commits, metrics: LogMetrics) -> None:
        self._commits = commits
        self._metrics = metrics
        self._files = Files()
        self._to_write: SimpleQueue[Commit | Path | Resume | None] = SimpleQueue()
        self._to_sync: SimpleQueue[tuple[Commit, list[Handle]] | None] = SimpleQueue()
        self._unsynced = 0  # commits that the sync thread has or will have
        self._counting = Lock()
        self._failed = False  # what was submitted before `resume` is not written any more
        self._token = trio.lowlevel.current_trio_token()

    def submit(self, commit: Commit) -> None:
        self._to_write.put(commit)

    def forget(self, folder: Path) -> None:
        self._to_write.put(folder)

    def resume(self) -> None:
        self._to_write.put(Resume())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the threads until cancelled; what was submitted is finished first."""
        limiter = trio.CapacityLimiter(2)

        async def thread(loop: Callable[[], None]) -> None:
            with trio.CancelScope(shield=True):  # both begin, or the one would wait for the other's end for ever
                await trio.to_thread.run_sync(loop, limiter=limiter)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread, self._write_loop)
            nursery.start_soon(thread, self._sync_loop)
            give_way = GiveWay(self._commits)
            trio.lowlevel.add_instrument(give_way)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                trio.lowlevel.remove_instrument(give_way)
                self._to_write.put(None)

    def _tell(self, function: Callable[..., Any], *args: Any) -> None:
        self._token.run_sync_soon(function, *args)

    def _write_loop(self) -> None:
        try:
            while self._write_next():
                pass
        finally:
            self._files.close()
            self._to_sync.put(None)

    def _write_next(self) -> bool:
        """Between two calls nothing is held: neither files, which may have been deleted, nor records."""
        commit = self._to_write.get()
        if isinstance(commit, Path):
            self._files.forget(commit)
        elif isinstance(commit, Resume):
            self._failed = False
        elif commit is not None and not self._failed:
            self._write(commit)
        return commit is not None

    def _write(self, commit: Commit) -> None:
        began = perf_counter()
        and_sync = not commit.hurried and not self._unsynced
        try:
            handles = self._files.write(commit, and_sync=and_sync)
        except OSError as error:
            self._failed = True
            is_uncertain = isinstance(error, UncertainError)
            self._tell(partial(self._commits.on_failed, commit, error, syncing=is_uncertain))
            return
        if and_sync:
            self._metrics.sync_time.observe(perf_counter() - began)
            self._tell(self._commits.on_synced, [commit])
            return
        with self._counting:
            self._unsynced += 1
        self._to_sync.put((commit, handles))
        self._metrics.write_time.observe(perf_counter() - began)
        self._tell(self._commits.on_written, commit)

    def _sync_loop(self) -> None:
        while self._sync_next():
            pass

    def _sync_next(self) -> bool:
        """Sync all that is written by now, at once."""
        due = [self._to_sync.get()]
        while not self._to_sync.empty():
            due.append(self._to_sync.get())
        written = [item for item in due if item is not None]
        if written:
            self._sync(written)
        return len(written) == len(due)

    def _sync(self, due: list[tuple[Commit, list[Handle]]]) -> None:
        began = perf_counter()
        try:
            for handle in {handle: None for _, handles in due for handle in handles}:
                os.fdatasync(handle.fd)
        except OSError as error:
            self._tell(partial(self._commits.on_failed, due[0][0], error, syncing=True))
            return
        self._metrics.sync_time.observe(perf_counter() - began)
        self._tell(self._commits.on_synced, [commit for commit, _ in due])
        with self._counting:  # after that, so that commits are told of in their order
            self._unsynced -= len(due)
