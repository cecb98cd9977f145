"""What a run's producers share, whether they produce by a stream or by unary calls.

Error kinds of this file: status:NAME, refused:CODE, wrong_partition.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import purerpc
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageResponse
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.log_ledger import record_number
from ride_trio_loadgen.log_records import Requests
from ride_trio_loadgen.log_tally import LogTally

# Seconds from a broken call to the next one.
AGAIN_S = 0.1


@dataclass(slots=True)
class Production:
    """What a run's producers share.

    Args:
        requests: makes what they send.
        tally: counts.
        acked: told the partition, offset and number of each acknowledged record.
        in_flight: records of one producer that wait for answers, at most.
        idempotent: what was not answered when a connection broke is sent again.
        timeline: wakes them when a record is due; None: there is always one.
    """

    requests: Requests
    tally: LogTally
    acked: Callable[[int, int, int], None]
    in_flight: int
    idempotent: bool
    timeline: Timeline | None = None
    held: bool = False  # nothing is sent for now: too much of it waits to be read
    stopping: bool = False  # nothing new is sent any more
    # The same for who waits: until it may go on, or never may; until it never may.
    released: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)

    wakes: list[Callable[[], None]] = field(default_factory=list)  # to be called then, too

    def hold(self) -> None:
        """Have nothing new sent for now."""
        self.held, self.released = True, trio.Event()

    def release(self) -> None:
        """Have new records sent again."""
        self.held = False
        self._wake()

    def stop(self) -> None:
        """Have nothing new sent any more."""
        self.stopping = True
        self.stopped.set()
        self._wake()

    def _wake(self) -> None:
        self.released.set()
        for wake in self.wakes:
            wake()


@dataclass(frozen=True, slots=True)
class Pace:
    """When a producer's records are due: the first at `start_s` (trio clock), then one every `interval_s`."""

    start_s: float
    interval_s: float

    def due_s(self, sequence: int) -> float:
        """When a record is due."""
        return self.start_s + sequence * self.interval_s

    def due_by(self, now_s: float) -> int:
        """How many are due by then."""
        return max(0, math.floor((now_s - self.start_s) / self.interval_s) + 1)


class Producer(ABC):
    """What producers of both kinds have in common.

    Args:
        number: counted from 0 in its run.
        production: what it shares with the others.
        pace: when its records are due; None: as soon as there is room.
    """

    def __init__(self, number: int, production: Production, pace: Pace | None = None) -> None:
        self.number = number
        self.sent = self.answered = 0
        self._pace = pace
        self._production = production
        self._requests = production.requests
        self._tally = production.tally
        self._acked = production.acked
        self._late_us = production.tally.produce.fresh_us.append
        self._first_number = record_number(number, 0)
        self._now = trio.lowlevel.current_clock().current_time

    @property
    def finished(self) -> bool:
        """Nothing more will be sent, and everything is answered."""
        return self._production.stopping and self.answered == self.sent

    @abstractmethod
    async def run(self) -> None:
        """Produce until `finished`."""

    def behind(self, now_s: float) -> int:
        """How many records are due and not sent."""
        return max(0, self._pace.due_by(now_s) - self.sent) if self._pace is not None else 0

    def _count(self, sequence: int, from_s: float, answer: ProduceMessageResponse) -> None:
        """A record was answered."""
        now_s, partition = self._now(), answer.partition
        self._late_us(int((now_s - from_s) * 1e6))
        if answer.error or partition != self._requests.partition(self.number, sequence):
            self._refused(sequence, answer)
            return
        tally = self._tally
        tally.acked += 1
        tally.last_acked_s = now_s
        self._acked(partition, answer.offset, self._first_number + sequence)

    def _refused(self, sequence: int, answer: ProduceMessageResponse) -> None:
        if answer.error:
            code = answer.error.partition(":")[0]
            self._error(f"refused:{code}", f"record {sequence}: {answer.error}")
        else:
            expected = self._requests.partition(self.number, sequence)
            words = f"record {sequence} for partition {expected} is answered with {answer.partition}"
            self._error("wrong_partition", words)

    def _failed(self, status: purerpc.Status) -> None:
        self._error(f"status:{status.status_code.name}", status.status_message)

    def _error(self, kind: str, words: str) -> None:
        self._tally.error(kind, f"producer {self.number}: {words}")
