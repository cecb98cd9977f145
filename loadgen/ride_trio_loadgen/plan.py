"""What a run is to be, and how it goes: the two records that the command line deals in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Sessions a connection carries when the plan leaves it open: a server has SETTINGS_MAX_CONCURRENT_STREAMS of
# 100 or more.
SESSIONS_PER_CONNECTION = 100
MIN_CONNECTIONS = 2


class PlanError(ValueError):
    """A plan that can't be run.

    Args:
        fields: the fields of `RidesPlan` that don't go, for a caller that knows them by other names.
        complaint: what is wrong with them, without their names.
        text: all of it, with their names and values.
    """

    def __init__(self, fields: tuple[str, ...], complaint: str, text: str) -> None:
        super().__init__(text)
        self.fields = fields
        self.complaint = complaint


@dataclass(frozen=True, slots=True)
class RidesPlan:
    """What a run is to be.

    Args:
        drivers, riders: people in the synthetic city; with `traces` neither counts.
        duration_s: seconds by the wall clock until nobody asks any more; `math.inf`, with traces, means to
            their end.
        rate_hz: positions a second and session; a replayed cab reports at its trace's times instead, and at
            this rate while it is off its trace.
        seed: names the synthetic city.
        traces: files of cab positions to replay, see `trace`.
        speedup: seconds of the city in a second of the wall clock. The server's own times (match timeout,
            ETA, heartbeats) stay wall time.
        connections: 0: about one for 100 sessions, and at least 2.
        match_timeout_s: the server's MATCH_TIMEOUT; how long an answer may take.
        heartbeat_s: seconds between heartbeats; drivers follow the server's Welcome instead.
        guests: whether the synthetic city's drivers serve riders who are not of this run. Else a match with one is an
            error.

    Raises:
        PlanError: a value out of range, or not finite.
    """

    target_host: str
    target_port: int
    drivers: int
    riders: int
    duration_s: float
    rate_hz: float
    seed: int = 1
    traces: tuple[Path, ...] = ()
    speedup: float = 1.0
    connections: int = 0
    match_timeout_s: float = 30.0
    heartbeat_s: float = 5.0
    guests: bool = False

    def __post_init__(self) -> None:
        for name in ("duration_s", "rate_hz", "speedup", "match_timeout_s", "heartbeat_s"):
            if not getattr(self, name) > 0:
                raise self._wrong("must be above 0", name)
        for name in ("rate_hz", "speedup", "match_timeout_s", "heartbeat_s"):
            if math.isinf(getattr(self, name)):
                raise self._wrong("must be finite", name)
        for name in ("drivers", "riders", "connections"):
            if getattr(self, name) < 0:
                raise self._wrong("must not be below 0", name)
        if not self.traces and not self.drivers + self.riders:
            raise self._wrong("nobody in the city, and no traces", "drivers", "riders")
        if not self.traces and math.isinf(self.duration_s):
            raise self._wrong("must be finite: only a replay has an end of its own", "duration_s")

    def _wrong(self, complaint: str, *fields: str) -> PlanError:
        given = ", ".join(f"{name} {getattr(self, name)}" for name in fields)
        return PlanError(fields, complaint, f"{given}: {complaint}")

    def connections_for(self, sessions: int) -> int:
        """How many connections carry `sessions`."""
        return self.connections or max(MIN_CONNECTIONS, math.ceil(sessions / SESSIONS_PER_CONNECTION))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for the report."""
        people = {"traces": len(self.traces)} if self.traces else {"drivers": self.drivers, "riders": self.riders}
        return {
            "target": f"{self.target_host}:{self.target_port}",
            **people,
            "duration_s": None if math.isinf(self.duration_s) else self.duration_s,
            "rate_hz": self.rate_hz,
            "seed": self.seed,
            "speedup": self.speedup,
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run goes: for progress while it lasts."""

    stage: str  # "running", "waiting for answers", "leaving"
    elapsed_s: float
    total_s: float  # of the running stage
    live: int
    sent: int
    acked: int
    broadcasts: int
    requests: int
    open_requests: int
    matches: int
    no_driver: int
    errors: int

    def describe(self) -> str:
        """How it goes, in words."""
        text = (
            f"{self.live:,} live, {self.sent:,} sent, {self.acked:,} acked, "
            f"{self.broadcasts:,} broadcasts, "
            f"{self.requests:,} requests ({self.open_requests:,} open), "
            f"{self.matches:,} matches, {self.no_driver:,} no driver"
        )
        return f"{text}, {self.errors:,} errors" if self.errors else text
