"""What a durable log has promised, held against what it serves.

Producers tell which record was acknowledged at which place, consumers what they have read there. Both tell in any order
and across restarts of the server; what was sent and never acknowledged may be there or not. A record is known by one
number, its producer's in the upper bits and its place among the producer's records below.

    acked ──> acknowledged, not read yet ──┐
                                           ├── the same offset: the same record, and both are forgotten
    read ───> read, not acknowledged yet ──┘

So the memory is what acknowledging and reading are apart, plus the records that are never acknowledged. Because of this
a ledger reads a partition once. Who wants to read everything again after each of several crashes keeps a ledger that
is only told of acknowledgements, and has a copy of it (`copy.deepcopy`) read from the beginning each time.

Error kinds of this file:

    missing                 acknowledged, and not there
    doubled                 there twice
    out_of_order            of one producer, in one partition, behind a later one
    wrong_record            acknowledged at an offset where another one is
    offset_answered_twice   two acknowledged records with one offset
    offsets_not_dense       a hole between two records read
    offset_backward         an offset read after a later one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ride_trio_loadgen.tally import ErrorCounts

# 10^12 records of a producer, and millions of producers, in 63 bits.
SEQUENCE_BITS = 40
_SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
# The number of every record that is not ours.
FOREIGN = -1


def record_number(producer: int, sequence: int) -> int:
    """The number of a producer's record; both count from 0."""
    return producer << SEQUENCE_BITS | sequence


def name_of(number: int) -> str:
    """A record's number in words."""
    if number == FOREIGN:
        return "somebody else's record"
    return f"producer {number >> SEQUENCE_BITS}'s record {number & _SEQUENCE_MASK}"


@dataclass(slots=True)
class _Partition:
    next_offset: int  # to be read
    acked: dict[int, int] = field(default_factory=dict)  # by offset: acknowledged, not read yet
    unacked: dict[int, int] = field(default_factory=dict)  # by offset: read, not acknowledged yet
    newest: dict[int, int] = field(default_factory=dict)  # by producer: the last one read
    late: dict[int, int] = field(default_factory=dict)  # by offset: read behind a later one, or a second time


class LogLedger:
    """See the module's text.

    Args:
        begins: where reading begins, an offset for each partition of the topic.
        errors: where what is wrong is counted.
    """

    def __init__(self, begins: Sequence[int], errors: ErrorCounts) -> None:
        self.errors = errors
        self._partitions = [_Partition(begin) for begin in begins]

    def acked(self, partition: int, offset: int, number: int) -> None:
        """A record was acknowledged. Once for each, however often it was sent."""
        part = self._partitions[partition]
        read = part.unacked.pop(offset, None)
        if read is None:
            earlier = part.acked.setdefault(offset, number)
            if earlier != number:
                words = f"{name_of(number)} and {name_of(earlier)} at offset {offset} of partition {partition}"
                self.errors.error("offset_answered_twice", words)
        elif read != number:
            self._wrong_record(partition, offset, number, read)

    def read(self, partition: int, records: Iterable[tuple[int, int]]) -> None:
        """Records were read.

        Args:
            partition: where.
            records: offset and number of each, in the order in which they came.
        """
        part = self._partitions[partition]
        acked, unacked, newest, next_offset = part.acked, part.unacked, part.newest, part.next_offset
        for offset, number in records:
            if offset != next_offset:
                self._jumped(partition, next_offset, offset)
            next_offset = offset + 1
            promised = acked.pop(offset, None)
            if promised is not None:
                if promised != number:
                    self._wrong_record(partition, offset, promised, number)
            elif number != FOREIGN:
                unacked[offset] = number
            if number > newest.get(producer := number >> SEQUENCE_BITS, FOREIGN):
                newest[producer] = number
            elif number != FOREIGN:
                part.late[offset] = number
        part.next_offset = next_offset

    def next_offset(self, partition: int) -> int:
        """Where reading goes on."""
        return self._partitions[partition].next_offset

    @property
    def waiting(self) -> int:
        """Records that are acknowledged and not read yet."""
        return sum(len(part.acked) for part in self._partitions)

    @property
    def unacknowledged(self) -> int:
        """Records that were read and are not acknowledged: allowed, if their producers have lost a connection."""
        return sum(len(part.unacked) for part in self._partitions)

    def finish(self) -> None:
        """Once, when all is acknowledged that will be, and all is read: count what is missing, and what is too much."""
        for number, part in enumerate(self._partitions):
            self._count_missing(number, part)
            self._count_late(number, part)

    def _count_missing(self, partition: int, part: _Partition) -> None:
        if part.acked:
            offset = min(part.acked)
            came = "which was read past" if offset < part.next_offset else f"reading has come to {part.next_offset}"
            words = f"{name_of(part.acked[offset])}, acknowledged at offset {offset} of partition {partition}: {came}"
            self.errors.error("missing", words, len(part.acked))

    def _count_late(self, partition: int, part: _Partition) -> None:
        """Of a record that is there twice at least one place was never acknowledged."""
        unacked = Counter(part.unacked.values()) if part.late else Counter()
        for offset, number in part.late.items():
            newest = part.newest[number >> SEQUENCE_BITS]
            words = f"{name_of(number)} at offset {offset} of partition {partition}"
            if number in unacked or number == newest:
                self.errors.error("doubled", f"{words}, once more")
            else:
                self.errors.error(
                    "out_of_order", f"{words}, behind a later one (the last is {newest & _SEQUENCE_MASK})"
                )

    def _jumped(self, partition: int, expected: int, offset: int) -> None:
        kind = "offsets_not_dense" if offset > expected else "offset_backward"
        self.errors.error(kind, f"partition {partition}: offset {offset} where {expected} was to come")

    def _wrong_record(self, partition: int, offset: int, promised: int, read: int) -> None:
        words = f"{name_of(promised)} was acknowledged at offset {offset} of partition {partition}; there is"
        self.errors.error("wrong_record", f"{words} {name_of(read)}")
