"""A load generator that behaves like a city, and checks what the server tells it."""

from ride_trio_loadgen.plan import PlanError, RidesPlan, Snapshot
from ride_trio_loadgen.progress import show_progress
from ride_trio_loadgen.report import Report
from ride_trio_loadgen.scenario import run_rides
from ride_trio_loadgen.trace import TraceError

__all__ = ["PlanError", "Report", "RidesPlan", "Snapshot", "TraceError", "run_rides", "show_progress"]
