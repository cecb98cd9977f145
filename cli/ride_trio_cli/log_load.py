"""What `load log` needs of the load generator: running a plan, with progress meanwhile."""

from __future__ import annotations

import purerpc
import trio
from rich.console import Console

from ride_trio_loadgen import Acks, LogPlan, LogReport, LogTopicError, PlanError, run_log, show_progress

__all__ = ["LogLoadFailedError", "LogPlan", "LogReport", "PlanError", "parse_acks", "run_with_progress"]


class LogLoadFailedError(Exception):
    """There is no report: nobody listens at the target, or it has no such topic. The text says which."""


def parse_acks(text: str) -> Acks:
    """What `--acks` means; ValueError if it means nothing."""
    return Acks.ALL if text == "all" else Acks(int(text))


async def run_with_progress(plan: LogPlan, stop: trio.Event) -> LogReport:
    """Run the plan; how it goes is shown on standard error.

    Args:
        stop: as `run_log`.

    Raises:
        LogLoadFailedError: it could not begin. What goes wrong later is in the report.
    """
    with show_progress(Console(stderr=True)) as progress:
        try:
            return await run_log(plan, progress, stop)
        except LogTopicError as error:
            raise LogLoadFailedError(str(error)) from error
        except purerpc.RpcFailedError as error:
            raise LogLoadFailedError(error.status.status_message) from error
