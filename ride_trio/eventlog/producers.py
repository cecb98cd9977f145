"""Idempotent producers: what each has stored in a partition of late, so that what it sends again is not stored again.

A producer numbers its records; in each partition the numbers grow (with gaps, if it counts over several partitions).
What is known of it here is runs: records that follow each other in sequence and in offset, the newest ones. A sequence

- in a run is stored already: it gets the offset that it has;
- above all runs, or in a gap between two, is new (a gap is what failed: sending it again is what it is for);
- below what is remembered is refused, since nobody can tell.

Of this, batches on disk have all that is needed (`base_sequence`, `base_offset`, `count`); a segment's head repeats
what was known when it began, so that older segments need not be read for it, and may be deleted.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import OrderedDict
from typing import Final

from ride_trio.errors import ProducerFencedError, SequenceTooOldError

# Runs that are remembered: a producer with as many requests in flight, each a batch of its own, can lose its connection
# and send all of them again.
MAX_RUNS: Final = 128
# Producers that a partition remembers; of more the one that was silent for longest is forgotten.
MAX_PRODUCERS: Final = 1_000
_PRODUCER: Final = struct.Struct("<IqiqI")  # partition, producer id, epoch, floor, runs
_RUN: Final = struct.Struct("<qqI")  # first sequence, its offset, records


class Producer:
    """What one partition knows of one producer.

    Attributes:
        epoch: The highest that was seen.
        floor: Sequences below it may have been stored, and forgotten.
        runs: (first sequence, its offset, records), by sequence.
    """

    __slots__ = ("epoch", "floor", "runs")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.floor = 0
        self.runs: list[tuple[int, int, int]] = []

    def offset_of(self, sequence: int) -> int | None:
        """The offset of a record that is stored; None if it is not.

        Raises:
            SequenceTooOldError: Nobody can tell.
        """
        runs = self.runs
        at = bisect_right(runs, sequence, key=_first_sequence) - 1
        if at >= 0:
            first, offset, count = runs[at]
            return offset + sequence - first if sequence < first + count else None
        if sequence < self.floor:
            raise SequenceTooOldError(f"sequence {sequence}: nobody remembers what was below {self.floor}")
        return None

    def stored(self, sequence: int, offset: int, count: int = 1) -> None:
        """Records have been given their place."""
        runs = self.runs
        if runs:
            first, at, known = runs[-1]
            if sequence == first + known and offset == at + known:
                runs[-1] = (first, at, known + count)
                return
        if runs and sequence < runs[-1][0]:  # it fills a gap
            runs.insert(bisect_right(runs, sequence, key=_first_sequence), (sequence, offset, count))
        else:
            runs.append((sequence, offset, count))
        if len(runs) > MAX_RUNS:
            first, _, known = runs.pop(0)
            self.floor = first + known

    def undo(self, offset: int) -> None:
        """What was given a place from this offset on was not stored after all."""
        kept = [(first, at, min(count, offset - at)) for first, at, count in self.runs if at < offset]
        self.runs = kept


class Producers:
    """The producers of one partition, by id, the one that wrote last at the end."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: OrderedDict[int, Producer] = OrderedDict()

    def of(self, producer_id: int, epoch: int) -> Producer:
        """The one that writes now.

        Raises:
            ProducerFencedError: Somebody of a higher epoch has written already.
        """
        producer = self.known.get(producer_id)
        if producer is not None and epoch < producer.epoch:
            raise ProducerFencedError(f"producer {producer_id}: epoch {epoch} is over, {producer.epoch} has begun")
        if producer is None or epoch > producer.epoch:
            producer = self.known[producer_id] = Producer(epoch)
            if len(self.known) > MAX_PRODUCERS:
                self.known.popitem(last=False)
        self.known.move_to_end(producer_id)
        return producer

    def undo(self, offset: int) -> None:
        """Nothing from this offset on was stored."""
        for producer in self.known.values():
            producer.undo(offset)

    def pack(self, partition: int, end_offset: int) -> bytes:
        """For a segment's head: what is known up to an offset."""
        out = []
        for producer_id, producer in self.known.items():
            runs = [(first, at, min(count, end_offset - at)) for first, at, count in producer.runs if at < end_offset]
            out.append(_PRODUCER.pack(partition, producer_id, producer.epoch, producer.floor, len(runs)))
            out += [_RUN.pack(*run) for run in runs]
        return b"".join(out)


def unpack_producers(data: bytes) -> dict[int, Producers]:
    """What a segment's head says, by partition."""
    found: dict[int, Producers] = {}
    position = 0
    while position < len(data):
        partition, producer_id, epoch, floor, count = _PRODUCER.unpack_from(data, position)
        position += _PRODUCER.size
        producer = found.setdefault(partition, Producers()).of(producer_id, epoch)
        end = position + count * _RUN.size
        producer.floor = floor
        producer.runs = list(_RUN.iter_unpack(data[position:end]))
        position = end
    return found


def _first_sequence(run: tuple[int, int, int]) -> int:
    return run[0]
