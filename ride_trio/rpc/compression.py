"""Compressed messages: gzip, in slices, so that nobody waits for somebody's large message.

A few kilobytes may inflate to gigabytes (a zip bomb). Three bounds keep that harmless:

* Size: who inflates past the largest message is RESOURCE_EXHAUSTED at that point.
* Time: after each slice other tasks have their turn.
* Memory: large messages are inflated one at a time in a process, each only when those before it that calls still work
  on are small enough together. A call works on a message until it asks for the next one or is over; what it keeps for
  longer than WORKED_ON_S is its own affair, or one call that sits on its message would shut out all others. Who waits
  too long for its turn is RESOURCE_EXHAUSTED. A message that inflates to a slice or less needs no turn.

Source: https://github.com/grpc/grpc/blob/master/doc/compression.md
"""

from __future__ import annotations

import zlib
from itertools import count
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
# So long a message counts, at most: half of that, for who is next in line.
WORKED_ON_S: Final = 5.0


class Inflation:
    """Takes turns with large messages. One a process (a `trio.run`).

    Attributes:
        inflated_bytes: What calls are working on.
    """

    def __init__(self) -> None:
        self.inflated_bytes = 0
        self._worked_on: dict[int, tuple[float, int]] = {}  # since when, bytes; by ticket, the oldest first
        self._tickets = count(1)
        self._turn = trio.StrictFIFOLock()
        self._fewer = trio.lowlevel.ParkingLot()

    async def inflate(self, data: bytes, limit: int) -> tuple[bytes, int]:
        """A large message.

        Args:
            data: As it came.
            limit: Largest message, bytes.

        Returns:
            It, and a ticket for `done`, never 0.

        Raises:
            purerpc.ResourceExhaustedError: It is larger, or its turn did not come.
            purerpc.InternalError: It is no gzip.
        """
        with trio.move_on_after(TURN_TIMEOUT_S):
            async with self._turn:
                await self._wait_for_room()
                message = await _inflate(data, limit)
                ticket = next(self._tickets)
                self._worked_on[ticket] = trio.current_time(), len(message)
                self.inflated_bytes += len(message)
                return message, ticket
        raise purerpc.ResourceExhaustedError("no room to decompress a message: others are being worked on")

    async def _wait_for_room(self) -> None:
        while self.inflated_bytes > MAX_INFLATED_BYTES:
            ticket, (since_s, _) = next(iter(self._worked_on.items()))
            with trio.move_on_at(since_s + WORKED_ON_S) as too_long:
                await self._fewer.park()
            if too_long.cancelled_caught:
                self.done(ticket)

    def done(self, ticket: int) -> None:
        """The message with this ticket is worked off; no matter if that was known."""
        _, size = self._worked_on.pop(ticket, (0.0, 0))
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
    if inflater.unused_data:
        raise purerpc.InternalError("a compressed message is no valid gzip: there is more behind its end")


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
