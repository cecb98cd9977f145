"""What `bench log` puts beside the log's disk work: plain appends to a file, each with an fdatasync."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep


@contextmanager
def _new_file(folder: Path) -> Iterator[int]:
    """A new file, which is removed when the block ends."""
    path = folder / "plain"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink()


def append_and_sync(folder: Path, size: int, seconds: float) -> float:
    """Append and sync as fast as it goes.

    Args:
        folder: On the file system that is meant.
        size: Of an append, bytes.
        seconds: For so long.

    Returns:
        Bytes a second.
    """
    data, done = os.urandom(size), 0
    with _new_file(folder) as fd:
        began = perf_counter()
        while True:
            _append(fd, data)
            os.fdatasync(fd)
            done += size
            taken_s = perf_counter() - began
            if taken_s >= seconds:
                return done / taken_s


def sync_times(folder: Path, size: int, interval_s: float, seconds: float) -> list[float]:
    """How long each fdatasync takes, s, with an append and a sync every so often.

    Args:
        folder: On the file system that is meant.
        size: Of an append, bytes.
        interval_s: Between two of them; the next one comes at once if the last took longer.
        seconds: For so long.
    """
    data, times = os.urandom(size), list[float]()
    with _new_file(folder) as fd:
        began = due = perf_counter()
        while due < began + seconds:
            sleep(max(0.0, due - perf_counter()))
            _append(fd, data)
            before = perf_counter()
            os.fdatasync(fd)
            after = perf_counter()
            times.append(after - before)
            due = max(due + interval_s, after)
    return times


def _append(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    if written != len(data):
        raise OSError(f"{written} of {len(data)} bytes were written: is the disk full?")
