"""Whole runs against the fake server, in mock time."""

from __future__ import annotations

import math
from pathlib import Path

import trio

from ride_trio_loadgen.plan import RidesPlan
from ride_trio_loadgen.report import Report
from ride_trio_loadgen.scenario import perform
from ride_trio_loadgen.trace import Trace, parse
from tests.loadgen.fake_server import FakeServer

CITY = RidesPlan("host", 1, drivers=6, riders=8, duration_s=60.0, rate_hz=0.5, speedup=10.0, match_timeout_s=5.0)
REPLAY = RidesPlan(
    "host", 1, 0, 0, math.inf, 1.0, speedup=60.0, match_timeout_s=5.0, traces=(Path("read by run_rides"),)
)

# Free at first, hailed from minute 2 to 6, then free to the end at minute 12; 600 m north a minute.
HAILED = [f"{52 + 0.005 * minute:.5f} 5.0 {int(2 <= minute < 6)} {60 * minute}" for minute in range(13)]
# Free all the time, next to where HAILED's fare gets in.
IDLE = [f"52.01100 5.0 0 {60 * minute}" for minute in range(13)]


async def run(plan: RidesPlan, server: FakeServer, *traces: list[str]) -> Report:
    """A whole run against `server`, in mock time."""
    replayed = [Trace(str(index), parse(lines, "lines")) for index, lines in enumerate(traces)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        report = await perform(plan, replayed, server.open, 2)
        nursery.cancel_scope.cancel()
    return report


def said(server: FakeServer, user: str) -> list[str]:
    return [status for _, user_id, status in server.statuses if user_id.startswith(user)]
