"""Reading a segment file from one end to the other, and what is found in it. Blocks: for a thread, or a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ride_trio.eventlog.batches import HEADER_BYTES, MAGIC, MAGIC_AT, BatchHeader, is_whole, unpack
from ride_trio.eventlog.segments import HEAD_START_BYTES, Head

_MAGIC_BYTES: Final = MAGIC.to_bytes(2, "little")
# Read at once when the next batch has to be looked for.
_WINDOW_BYTES: Final = 1_048_576


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
    """Bytes that are no batch: damaged, or at the end of the file half written.

    Attributes:
        position: Of the first of them.
        end: Of what comes behind them.
        header: Of the batch that they were, if that much can be read.
    """

    position: int
    end: int
    header: BatchHeader | None = None


def read_head(path: Path) -> Head | None:
    """A segment's head; None if it is damaged, or not there in full."""
    with path.open("rb") as file:
        start = file.read(HEAD_START_BYTES)
        size = Head.size_in(start)
        if size is None or size > os.fstat(file.fileno()).st_size:
            return None
        return Head.unpack(start + file.read(size - HEAD_START_BYTES))


def scan(path: Path, start: int) -> Iterator[Found | Gap]:
    """All batches of a file, and the gaps between them.

    Args:
        path: The file.
        start: Where the first batch should be: the head's size.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while start < size:
            file.seek(start)
            item = _item(file, start, size)
            yield item
            start = item.end


def _item(file: BinaryIO, position: int, size: int) -> Found | Gap:
    header = unpack(file.read(HEADER_BYTES))
    if header is None:
        return Gap(position, _next_header(file.fileno(), position + 1, size))
    payload = file.read(header.size)
    if is_whole(header, payload):
        return Found(position, header, payload)
    return Gap(position, min(size, position + HEADER_BYTES + header.size), header)


def _next_header(fd: int, position: int, size: int) -> int:
    """Where the next batch begins; the file's end if there is none."""
    while position < size:
        data = os.pread(fd, _WINDOW_BYTES + HEADER_BYTES - 1, position)
        at = data.find(_MAGIC_BYTES, MAGIC_AT)
        while at >= 0:
            if unpack(data, at - MAGIC_AT) is not None:
                return position + at - MAGIC_AT
            at = data.find(_MAGIC_BYTES, at + 1)
        position += _WINDOW_BYTES
    return size
