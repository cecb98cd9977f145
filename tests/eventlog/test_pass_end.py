"""Work at the end of every scheduler pass."""

from __future__ import annotations

import pytest
import trio

from ride_trio.eventlog.pass_end import at_pass_ends


async def test_work_is_done_once_a_pass_when_all_tasks_have_run(nursery: trio.Nursery) -> None:
    noted = list[str]()
    nursery.start_soon(at_pass_ends, lambda: noted.append("work"))
    await trio.lowlevel.checkpoint()
    noted.clear()
    for _ in range(3):
        noted.append("task")
        await trio.lowlevel.checkpoint()
    assert noted == ["task", "work"] * 3


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_the_work_raises_is_raised_and_the_work_is_over(cancelled: bool) -> None:
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    with trio.fail_after(5), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at_pass_ends, fail)
            await trio.lowlevel.checkpoint()
            if cancelled:
                nursery.cancel_scope.cancel()
            await trio.sleep_forever()
    await trio.lowlevel.checkpoint()
    assert calls == 1
