"""The data directory: who may use it, and what lies where.

lock               held by the one process that uses it; has that process's number
meta.db            topics, and what groups have committed (see `metadata`)
topics/<id>/       a topic's segments; ids are never used again, so a deleted topic's name is free at once
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from ride_trio.errors import DataDirError
from ride_trio.eventlog.files import sync_folder

_TOPIC_ID: Final = re.compile(r"[1-9][0-9]*")


class DataDir:
    """A directory that is ours until `close()`.

    Args:
        path: Made if it is not there.

    Raises:
        DataDirError: Another process has it, or it can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._make()
            self._fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataDirError(f"data directory {path}: {error.strerror}") from error
        self._lock()

    def _make(self) -> None:
        if not self.topics.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            self.topics.mkdir(exist_ok=True)
            sync_folder(self.path)
            sync_folder(self.path.parent)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise DataDirError(
                f"data directory {self.path} is in use by process {holder}: stop it, or set DATA_DIR to another one"
            ) from error
        with suppress(OSError):  # the disk is full, say; the number is only for the message above
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def metadata(self) -> Path:
        return self.path / "meta.db"

    @property
    def topics(self) -> Path:
        return self.path / "topics"

    def folder(self, topic_id: int) -> Path:
        return self.topics / str(topic_id)

    def topic_folders(self) -> dict[int, Path]:
        """Those that are there, by topic id."""
        found = (path for path in self.topics.iterdir() if path.is_dir() and _TOPIC_ID.fullmatch(path.name))
        return {int(path.name): path for path in found}

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)
