"""What can be said of a durable log that nobody has read: whether the offsets answered fit the topic's ends.

Error kinds of this file: missing, offset_answered_twice; as in `log_ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ride_trio_loadgen.tally import ErrorCounts


class LogCounts:
    """The acknowledgements of each partition, counted.

    Args:
        begins: of each partition, the offset that its next record would get.
        errors: where what is wrong is counted.
    """

    def __init__(self, begins: Sequence[int], errors: ErrorCounts) -> None:
        self.errors = errors
        self._begins = begins
        self._counts = [0] * len(begins)
        self._ends = list(begins)

    def acked(self, partition: int, offset: int, number: int) -> None:
        """As `LogLedger.acked`."""
        self._counts[partition] += 1
        if offset >= self._ends[partition]:
            self._ends[partition] = offset + 1

    def finish(self, ends: Sequence[int]) -> None:
        """Once, when all is acknowledged that will be.

        Args:
            ends: what the topic then says of the offset of each partition's next record.
        """
        for partition, (begin, end) in enumerate(zip(self._begins, ends, strict=True)):
            count, acked_end = self._counts[partition], self._ends[partition]
            if end < acked_end:
                words = f"partition {partition} ends at {end}; a record was acknowledged at offset {acked_end - 1}"
                self.errors.error("missing", words, acked_end - end)
            if count > acked_end - begin:
                words = f"partition {partition}: {count} records at offsets from {begin} to {acked_end - 1}"
                self.errors.error("offset_answered_twice", words, count - (acked_end - begin))
