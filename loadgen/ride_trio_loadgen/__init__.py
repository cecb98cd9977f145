"""Load generators, one that behaves like a city and one for the durable log; both check what the server tells them."""

from ride_trio_loadgen.log_plan import Acks, LogPlan
from ride_trio_loadgen.log_report import LogReport
from ride_trio_loadgen.log_run import run_log
from ride_trio_loadgen.log_topic import LogTopicError
from ride_trio_loadgen.plan import PlanError, RidesPlan, Snapshot
from ride_trio_loadgen.progress import show_progress
from ride_trio_loadgen.report import Report
from ride_trio_loadgen.scenario import run_rides
from ride_trio_loadgen.trace import TraceError

__all__ = [
    "Acks",
    "LogPlan",
    "LogReport",
    "LogTopicError",
    "PlanError",
    "Report",
    "RidesPlan",
    "Snapshot",
    "TraceError",
    "run_log",
    "run_rides",
    "show_progress",
]
