"""What `load rides` and `demo` share: running rides against a server, with progress meanwhile."""

from __future__ import annotations

import purerpc
import trio
from rich.console import Console

from ride_trio_loadgen import PlanError, Report, RidesPlan, TraceError, run_rides, show_progress

__all__ = ["PlanError", "Report", "RidesFailedError", "RidesPlan", "run_with_progress"]


class RidesFailedError(Exception):
    """There is no report: nobody listens at the target, or a trace can't be read. The text says which."""


async def run_with_progress(plan: RidesPlan, stop: trio.Event) -> Report:
    """Run the plan; how it goes is shown on standard error.

    Args:
        stop: as `run_rides`.

    Raises:
        RidesFailedError: it could not begin. What goes wrong later is in the report.
    """
    with show_progress(Console(stderr=True)) as progress:
        try:
            return await run_rides(plan, progress, stop)
        except TraceError as error:
            raise RidesFailedError(f"cannot replay: {error}") from error
        except purerpc.RpcFailedError as error:
            raise RidesFailedError(error.status.status_message) from error
