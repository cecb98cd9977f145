"""Who has been lent how much beyond its window, and who waits for a loan: one account for all connections of a server.

A message that is larger than its stream's window arrives by a loan (see `stream`). What is lent is memory of ours that
the window does not bound, and it is held until the call reads; so all loans together are bounded:

1. A loan is given if the sum of all stays within `cap_bytes`, or if nothing is lent at all: the largest message always
   gets through. It covers the rest of a message at once.
2. Who finds no room stands in a line, first come, first served. Nobody overtakes, so that small loans do not starve a
   large one.
3. Room comes back when a call reads (`paid`) or its stream is over (`drop`); then `lend_on` gives it to the next.

Nobody who has a loan ever waits: it covers the rest of a message, and what padding takes from it is lent again at
once. So every borrower's message arrives without another's help, its call reads it, and the line moves on: unless its
sender stops half-way, or its call never reads. Hence time: a connection calls `stalled` every few seconds while it has
borrowers or waiters, and whoever is there a second time while others wait has had its chance (`wire.Connection.tick`).
Messages that fit into their windows do not depend on any of this.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from ride_trio.wire.stream import Stream


class Lender(Protocol):
    """The writing half of a stream's connection."""

    def lend(self, stream: Stream, size: int) -> None:
        """Open the stream's window; called for a stream in line, from any connection's pass."""


class Loans:
    """The account.

    Args:
        cap_bytes: What the loans may come to together.

    Attributes:
        lent: Bytes that are lent and not paid back.
        line: Streams that wait for a loan, the first one first, each with who will lend to it.
    """

    __slots__ = ("_unpaid", "cap_bytes", "lent", "line")

    def __init__(self, cap_bytes: int) -> None:
        self.cap_bytes = cap_bytes
        self.lent = 0
        self.line: OrderedDict[Stream, Lender] = OrderedDict()
        self._unpaid: dict[Stream, int] = {}  # bytes; a closed stream keeps its `loan`, but is not here any more

    def __repr__(self) -> str:
        return f"<Loans {self.lent} of {self.cap_bytes} bytes to {len(self._unpaid)} streams, {len(self.line)} wait>"

    def ask(self, stream: Stream, lender: Lender, size: int) -> bool:
        """Whether the stream may borrow now; if not, it stands in line (and keeps its place if it did)."""
        if stream in self._unpaid or (not self.line and self._fits(size)):
            return True
        self.line.setdefault(stream, lender)
        return False

    def _fits(self, size: int) -> bool:
        return not self.lent or self.lent + size <= self.cap_bytes

    def lend(self, stream: Stream, size: int) -> None:
        """Write down a loan."""
        self.lent += size
        self._unpaid[stream] = self._unpaid.get(stream, 0) + size

    def paid(self, stream: Stream, size: int) -> None:
        """The stream has given back a part of its loan, or all of it."""
        left = self._unpaid.get(stream)
        if left is None:
            return  # dropped already
        self.lent -= size
        if left > size:
            self._unpaid[stream] = left - size
        else:
            del self._unpaid[stream]

    def drop(self, stream: Stream) -> None:
        """The stream is over: what it has not paid is free again, and it waits no longer."""
        self.line.pop(stream, None)
        self.lent -= self._unpaid.pop(stream, 0)

    def leave_line(self, stream: Stream) -> None:
        """The stream needs no loan any more."""
        self.line.pop(stream, None)

    def concerns(self, stream: Stream) -> bool:
        """Whether the stream has a loan or waits for one."""
        return stream in self._unpaid or stream in self.line

    def lend_on(self) -> None:
        """Loans have been paid back or dropped: give to those who wait."""
        for stream, lender, size in self._next_in_line():
            lender.lend(stream, size)

    def _next_in_line(self) -> Iterator[tuple[Stream, Lender, int]]:
        """Take out the first stream that still needs a loan, as long as there is room for it."""
        while self.line:
            stream, lender = next(iter(self.line.items()))
            shortage = stream.shortage()
            if shortage and not self._fits(shortage):
                return
            del self.line[stream]
            if shortage:
                yield stream, lender, shortage
