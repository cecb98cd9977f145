"""What a load on the durable log is to be, and how it goes: the two records that the command line deals in."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from ride_trio_loadgen.log_records import SMALLEST_RECORD_BYTES
from ride_trio_loadgen.plan import PlanError


class Acks(IntEnum):
    """When a record is answered, as `required_acks` has it."""

    NONE = 0
    LEADER = 1
    ALL = -1


@dataclass(frozen=True, slots=True)
class LogPlan:
    """What a run is to be.

    Args:
        topic: its name.
        producers: each with a stream of its own; 0 reads what the topic has, from its beginning to its end.
        record_bytes: of each record's value.
        duration_s: seconds by the wall clock until no record is sent any more.
        in_flight: records that a producer sends before the first of them is answered; with `unary` each of them is a
            call, and a producer of its own for the check.
        acks: when the server answers.
        partitions: of the topic, which is created with them if it is not there; 0 takes it as it is.
        rate: records a second of all producers, sent when they are due; 0 is one as soon as another is answered.
        consumers: connections that share the partitions and read all of them; 0 reads nothing.
        connections: that the producers share; 0 is one for each.
        unary: ProduceMessage instead of a stream.
        idempotent: what was not answered when a connection broke is sent again, with a producer id that keeps it from
            being there twice. Without it nobody knows what became of it.
        seed: of the records' random bytes.

    Raises:
        PlanError: a value out of range.
    """

    target_host: str
    target_port: int
    topic: str
    producers: int
    record_bytes: int
    duration_s: float
    in_flight: int = 64
    acks: Acks = Acks.ALL
    partitions: int = 0
    rate: float = 0.0
    consumers: int = 1
    connections: int = 0
    unary: bool = False
    idempotent: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("duration_s", "in_flight"):
            if not getattr(self, name) > 0:
                raise self._wrong("must be above 0", name)
        for name in ("producers", "partitions", "consumers", "connections", "rate"):
            if not getattr(self, name) >= 0:
                raise self._wrong("must not be below 0", name)
        for name in ("duration_s", "rate"):
            if math.isinf(getattr(self, name)):
                raise self._wrong("must be finite", name)
        if self.record_bytes < SMALLEST_RECORD_BYTES:
            raise self._wrong(
                f"must be at least {SMALLEST_RECORD_BYTES}: so long is what the check needs", "record_bytes"
            )
        if not self.producers + self.consumers:
            raise self._wrong("nobody produces, and nobody consumes", "producers", "consumers")

    def _wrong(self, complaint: str, *fields: str) -> PlanError:
        given = ", ".join(f"{name} {getattr(self, name)}" for name in fields)
        return PlanError(fields, complaint, f"{given}: {complaint}")

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for the report."""
        data = asdict(self) | {"acks": int(self.acks), "target": f"{self.target_host}:{self.target_port}"}
        del data["target_host"], data["target_port"]
        return data


@dataclass(frozen=True, slots=True)
class LogSnapshot:
    """How a run goes: for progress while it lasts."""

    stage: str  # "running", "waiting for answers", "reading to the end"
    elapsed_s: float
    total_s: float  # of the running stage
    sent: int
    acked: int
    consumed: int
    errors: int

    def describe(self) -> str:
        """How it goes, in words."""
        text = f"{self.sent:,} sent, {self.acked:,} acked, {self.consumed:,} consumed"
        return f"{text}, {self.errors:,} errors" if self.errors else text
