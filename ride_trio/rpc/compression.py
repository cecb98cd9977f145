"""Compressed messages: gzip, in slices, so that nobody waits for somebody's large message.

A few kilobytes may inflate to gigabytes (a zip bomb). Three bounds keep that harmless:

* Size: who inflates past the largest message is RESOURCE_EXHAUSTED at that point.
* Time: after each slice other tasks have their turn.
* Memory: large messages are inflated one at a time in a process, each only when those before it that calls still work
  on are small enough together. Who waits too long for its turn is RESOURCE_EXHAUSTED. A message that inflates to a
  slice or less needs no turn.

Source: https://github.com/grpc/grpc/blob/master/doc/compression.md
"""

from __future__ import annotations

import zlib
from typing import Final

import purerpc
import trio
from trio.lowlevel import RunVar

# What is inflated at a time: 0.2 ms.
SLICE_BYTES: Final = 65_536
# What is deflated at a time: 0.5 ms.
DEFLATE_SLICE_BYTES: Final = 32_768
# zlib's window for gzip: 2^15 bytes, and a gzip header and trailer around.
_GZIP: Final = 16 + 15
# The fastest: 100 MB/s a core against 30 at zlib's default, and messages are a tenth larger.
_LEVEL: Final = 1
# Inflated bytes that calls may be working on when another large message is begun.
MAX_INFLATED_BYTES: Final = 8_388_608
# Longer in line for a turn is no service any more.
TURN_TIMEOUT_S: Final = 10.0


class Inflation:
    """Takes turns with large messages. One a process (a `trio.run`).

    Attributes:
        inflated_bytes: What calls are working on.
    """

    def __init__(self) -> None:
        self.inflated_bytes = 0
        self._turn = trio.StrictFIFOLock()
        self._fewer = trio.lowlevel.ParkingLot()

    async def inflate(self, data: bytes, limit: int) -> bytes:
        """A large message; the caller calls `done` with its size when it is worked off.

        Args:
            data: As it came.
            limit: Largest message, bytes.

        Raises:
            purerpc.ResourceExhaustedError: It is larger, or its turn did not come.
            purerpc.InternalError: It is no gzip.
        """
        with trio.move_on_after(TURN_TIMEOUT_S):
            async with self._turn:
                while self.inflated_bytes > MAX_INFLATED_BYTES:
                    await self._fewer.park()
                message = await _inflate(data, limit)
                self.inflated_bytes += len(message)
                return message
        raise purerpc.ResourceExhaustedError("no room to decompress a message: others are being worked on")

    def done(self, size: int) -> None:
        """A message of this size is worked off."""
        self.inflated_bytes -= size
        self._fewer.unpark_all()


_current: Final[RunVar[Inflation]] = RunVar("ride_trio_inflation")


def current_inflation() -> Inflation:
    """This run's."""
    try:
        return _current.get()
    except LookupError:
        inflation = Inflation()
        _current.set(inflation)
        return inflation


def inflate_small(data: bytes, limit: int) -> bytes | None:
    """A message that inflates to a slice at the most; None if it is larger.

    Raises:
        purerpc.ResourceExhaustedError: It is larger than `limit`.
        purerpc.InternalError: It is no gzip.
    """
    inflater = zlib.decompressobj(_GZIP)
    message = _step(inflater, data)
    if not inflater.eof and inflater.unconsumed_tail:
        return None
    _check(inflater, len(message), limit)
    return message


async def _inflate(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    slices, size = [], 0
    while not inflater.eof and data:
        slices.append(_step(inflater, data))
        size += len(slices[-1])
        if size > limit:
            slices.clear()  # not to live on in the error's traceback
            break
        data = inflater.unconsumed_tail
        await trio.lowlevel.checkpoint()
    _check(inflater, size, limit)
    return b"".join(slices)


def _step(inflater: zlib._Decompress, data: bytes) -> bytes:
    try:
        return inflater.decompress(data, SLICE_BYTES)
    except zlib.error as error:
        raise purerpc.InternalError(f"a compressed message is no valid gzip: {error}") from None


def _check(inflater: zlib._Decompress, size: int, limit: int) -> None:
    if size > limit:
        raise purerpc.ResourceExhaustedError(f"message is larger than the limit of {limit} bytes when decompressed")
    if not inflater.eof:
        raise purerpc.InternalError("a compressed message is no valid gzip: it is cut off")


async def deflate(data: bytes) -> bytes:
    """A message, compressed. A checkpoint if it is large."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    if len(data) <= DEFLATE_SLICE_BYTES:
        return deflater.compress(data) + deflater.flush()
    slices = []
    for start in range(0, len(data), DEFLATE_SLICE_BYTES):
        slices.append(deflater.compress(data[start : start + DEFLATE_SLICE_BYTES]))
        await trio.lowlevel.checkpoint()
    return b"".join([*slices, deflater.flush()])
