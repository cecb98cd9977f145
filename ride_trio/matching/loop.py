"""The matching loop: every window, in order of arrival, each waiting rider gets the nearest free driver.

It shares its thread with every session, so it works in slices and lets the others run in between. A decision is
atomic (see `Dispatcher`); between two of them riders may cancel and drivers may go, so each is made on what holds then.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

import trio

from ride_trio.matching.dispatcher import Dispatcher
from ride_trio.metrics import RideMetrics

# Requests looked at before others may run. A search takes 30 us among few drivers, 90 us in a city that is full of them
# (50 a cell) or has none within the radius, so a slice takes 1.5 ms at most; the checkpoint costs 4 to 12 us.
SLICE_REQUESTS: Final = 16


def _always() -> bool:
    return True


async def run_matching(
    dispatcher: Dispatcher, metrics: RideMetrics, window_s: float, may_match: Callable[[], bool] = _always
) -> None:
    """Match for ever, at a fixed cadence.

    A window that takes longer than `window_s` puts the next one off to the next beat; beats are not made up for.

    Args:
        dispatcher: knows who waits and who is free.
        metrics: gets the length of each window's work, and who waits and is free after it.
        window_s: seconds from one window to the next.
        may_match: see `match_window`.
    """
    beat = trio.current_time()
    while True:
        late_s = trio.current_time() - beat
        beat += window_s * (1 + max(0, int(late_s / window_s)))
        await trio.sleep_until(beat)
        metrics.match_window.observe(await match_window(dispatcher, may_match))
        metrics.waiting_riders.n = len(dispatcher.waiting)
        metrics.free_drivers.n = len(dispatcher.free)


async def match_window(dispatcher: Dispatcher, may_match: Callable[[], bool] = _always) -> float:
    """One window.

    Args:
        dispatcher: as in `run_matching`.
        may_match: asked before each slice; False leaves who waits to the next window. Whose time is up is told so
            all the same.

    Returns:
        Seconds of work, without what others did in between.
    """
    began, work_s = perf_counter(), 0.0
    dispatcher.expire()  # first: whose time is up is told so, even if a driver has just become free
    for number, ride in enumerate(dispatcher.in_order()):
        if number and number % SLICE_REQUESTS == 0:
            work_s += perf_counter() - began
            await trio.lowlevel.checkpoint()
            began = perf_counter()
        if not dispatcher.free or (number % SLICE_REQUESTS == 0 and not may_match()):
            break
        dispatcher.match(ride)
    return work_s + perf_counter() - began
