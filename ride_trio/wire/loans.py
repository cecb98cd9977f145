"""Who has been lent how much of a connection, and who waits for a loan.

A message that is larger than its stream's window arrives by a loan (see `stream`). What is lent is memory of ours that
the window does not bound, and it is held until the call reads; so all loans of a connection together are bounded:

1. A loan is given if the sum of all stays within `cap_bytes`, or if nothing is lent at all: the largest message always
   gets through.
2. Who finds no room stands in a line, first come, first served. Nobody overtakes, so that small loans do not starve a
   large one.
3. Room comes back when a call reads (`paid`) or its stream is over (`drop`); then `next_in_line` says who may borrow.

Nobody who has a loan ever waits: it covers the rest of a message, and what padding takes from it is lent again at
once. So every borrower's message arrives without another's help, its call reads it, and the line moves on. A call that
never reads keeps its loan until it ends; messages that fit into their windows do not depend on that.
"""

from __future__ import annotations

from collections import OrderedDict

from ride_trio.wire.stream import Stream


class Loans:
    """The account of one connection.

    Args:
        cap_bytes: What the loans may come to together.

    Attributes:
        lent: Bytes that are lent and not paid back.
        line: Streams that wait for a loan, by id, the first one first.
    """

    __slots__ = ("_unpaid", "cap_bytes", "lent", "line")

    def __init__(self, cap_bytes: int) -> None:
        self.cap_bytes = cap_bytes
        self.lent = 0
        self.line: OrderedDict[int, Stream] = OrderedDict()
        self._unpaid: dict[int, int] = {}  # bytes by stream id; outlives `stream.loan`, which a closed stream keeps

    def __repr__(self) -> str:
        return f"<Loans {self.lent} of {self.cap_bytes} bytes to {len(self._unpaid)} streams, {len(self.line)} wait>"

    def ask(self, stream: Stream, size: int) -> bool:
        """Whether the stream may borrow now; if not, it stands in line (and keeps its place if it did)."""
        if stream.id in self._unpaid or (not self.line and self._fits(size)):
            return True
        self.line.setdefault(stream.id, stream)
        return False

    def _fits(self, size: int) -> bool:
        return not self.lent or self.lent + size <= self.cap_bytes

    def lend(self, stream: Stream, size: int) -> None:
        """Write down a loan."""
        self.lent += size
        self._unpaid[stream.id] = self._unpaid.get(stream.id, 0) + size

    def paid(self, stream: Stream, size: int) -> None:
        """The stream has given back a part of its loan, or all of it."""
        left = self._unpaid.get(stream.id)
        if left is None:
            return  # dropped already
        self.lent -= size
        if left > size:
            self._unpaid[stream.id] = left - size
        else:
            del self._unpaid[stream.id]

    def drop(self, stream: Stream) -> None:
        """The stream is over: what it has not paid is free again, and it waits no longer."""
        self.line.pop(stream.id, None)
        self.lent -= self._unpaid.pop(stream.id, 0)

    def next_in_line(self) -> Stream | None:
        """Take out the first stream that still needs a loan, if there is room for it."""
        while self.line:
            stream = next(iter(self.line.values()))
            shortage = stream.shortage()
            if shortage and not self._fits(shortage):
                return None
            del self.line[stream.id]
            if shortage:
                return stream
        return None
