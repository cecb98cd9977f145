from __future__ import annotations

import time
from collections.abc import Callable

import trio
import trio.testing

from ride_trio_loadgen.clock import MAX_RUN, TICK_S, Timeline


def noting(log: list[tuple[str, float, float]], name: str) -> Callable[[float], None]:
    return lambda due_s: log.append((name, due_s, trio.current_time()))


async def test_actions_run_in_the_order_of_their_due_times(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    timeline, log, start_s = Timeline(), list[tuple[str, float, float]](), trio.current_time()
    for name, after_s in (("late", 3.0), ("early", 1.0), ("middle", 2.0), ("middle too", 2.0)):
        timeline.at(start_s + after_s, noting(log, name))
    nursery.start_soon(timeline.run)
    await trio.sleep(5)
    assert [name for name, _, _ in log] == ["early", "middle", "middle too", "late"]
    assert all(due_s - TICK_S <= ran_s <= due_s for _, due_s, ran_s in log)


async def test_an_earlier_action_shortens_the_nap(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    timeline, log, start_s = Timeline(), list[tuple[str, float, float]](), trio.current_time()
    nursery.start_soon(timeline.run)
    timeline.at(start_s + 100, noting(log, "late"))
    await trio.sleep(1)
    timeline.at(start_s + 2, noting(log, "early"))
    await trio.sleep(2)
    assert [name for name, _, _ in log] == ["early"]
    assert len(timeline) == 1


async def test_an_action_may_leave_further_actions(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    timeline, log, start_s = Timeline(), list[float](), trio.current_time()

    def again(due_s: float) -> None:
        log.append(due_s)
        timeline.at(due_s + 1, again)

    nursery.start_soon(timeline.run)
    timeline.at(start_s + 1, again)
    await trio.sleep(3.5)
    assert log == [start_s + 1, start_s + 2, start_s + 3]


async def test_other_tasks_get_their_turn_within_a_burst(nursery: trio.Nursery) -> None:
    timeline, ran = Timeline(), list[float]()
    for _ in range(3 * MAX_RUN):
        timeline.at(0.0, ran.append)
    nursery.start_soon(timeline.run)
    turns = 0
    while len(ran) < 3 * MAX_RUN:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns >= 3


async def test_lag_is_by_how_much_actions_ran_late(nursery: trio.Nursery) -> None:
    timeline, now_s = Timeline(), trio.current_time()
    timeline.at(now_s, lambda due_s: time.sleep(0.02))
    timeline.at(now_s + 0.005, lambda due_s: None)
    nursery.start_soon(timeline.run)
    await trio.testing.wait_all_tasks_blocked(0.03)
    assert timeline.lag.summary_ms()["max"] >= 14
