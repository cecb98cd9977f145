"""Standard input and output for commands that stream: from threads, so that neither holds up a connection.

A pager that reads no further would else stop the answers to the server's pings, too. Both read and write the system's
file, not Python's around it, whose lock a thread that is left behind would never give back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator
from typing import Final

import trio

_READ_BYTES: Final = 262_144  # a few thousand lines, so that a thread's 0.1 ms is nothing to each


class LineTooLongError(Exception):
    """A line that is longer than any record may be."""


class Output:
    """Where records are printed to.

    Args:
        file: the descriptor of an open file; it stays open.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    async def write(self, data: bytes) -> None:
        """Write all of it. Cancelled, it is over at once, and a part may be written.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        await trio.to_thread.run_sync(self._write, data, abandon_on_cancel=True)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    async def wait_closed(self) -> None:
        """Wait until nobody reads any more. Only of a pipe that can be known; else it waits for ever."""
        if not stat.S_ISFIFO(os.fstat(self._file).st_mode):
            await trio.sleep_forever()
        await trio.lowlevel.wait_readable(self._file)  # of a pipe's writing end that is its error: no reader


async def read_lines(file: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The lines of a file, without their line feeds; the last one may have none.

    Args:
        file: the descriptor of an open file.
        max_bytes: of a line.

    Raises:
        LineTooLongError: a line is longer; those before it have come.
    """
    rest = b""
    while chunk := await trio.to_thread.run_sync(os.read, file, _READ_BYTES, abandon_on_cancel=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > max_bytes:
            raise LineTooLongError(f"longer than {max_bytes:,} bytes")
    if rest:
        yield rest
