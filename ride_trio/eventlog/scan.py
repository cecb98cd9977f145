"""Reading a segment file from one end to the other, and what is found in it. Blocks: for a thread, or a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ride_trio.eventlog.batches import HEADER_BYTES, MAGIC, BatchHeader, is_whole, unpack
from ride_trio.eventlog.segments import HEAD_START_BYTES, Head

_MAGIC_AT: Final = 8  # in a batch's header
_MAGIC_BYTES: Final = MAGIC.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Found:
    """A batch that is whole."""

    position: int
    header: BatchHeader
    payload: bytes

    @property
    def end(self) -> int:
        return self.position + HEADER_BYTES + self.header.size


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no batch: damaged, or at the end of the file half written."""

    position: int
    end: int


def read_head(path: Path) -> Head | None:
    """A segment's head; None if it is damaged, or not there in full."""
    with path.open("rb") as file:
        start = file.read(HEAD_START_BYTES)
        size = Head.size_in(start)
        return None if size is None else Head.unpack(start + file.read(size - HEAD_START_BYTES))


def scan(path: Path, start: int) -> Iterator[Found | Gap]:
    """All batches of a file, and the gaps between them.

    Args:
        path: The file.
        start: Where the first batch should be: the head's size.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        position = start
        file.seek(position)
        while position < size:
            found = _next_batch(file.read(HEADER_BYTES), file.read, position)
            if found is None:
                behind = _resume(file.fileno(), position + 1, size)
                yield Gap(position, behind)
                position = behind
                file.seek(position)
            else:
                yield found
                position = found.end


def _next_batch(raw: bytes, read: object, position: int) -> Found | None:
    header = unpack(raw)
    if header is None:
        return None
    payload = read(header.size)  # type: ignore[operator]
    return Found(position, header, payload) if is_whole(header, raw, payload) else None


def _resume(fd: int, position: int, size: int) -> int:
    """Where the next whole batch begins; the file's end if there is none."""
    data = os.pread(fd, size - position, position)
    at = data.find(_MAGIC_BYTES, _MAGIC_AT)
    while at >= 0:
        begin = at - _MAGIC_AT
        raw = data[begin : begin + HEADER_BYTES]
        header = unpack(raw)
        if header is not None:
            payload = data[begin + HEADER_BYTES : begin + HEADER_BYTES + header.size]
            if is_whole(header, raw, payload):
                return position + begin
        at = data.find(_MAGIC_BYTES, at + 1)
    return size
