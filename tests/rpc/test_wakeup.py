from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from ride_trio.rpc.wakeup import Wakeup


async def test_set_before_wait_lets_one_wait_pass_at_once() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    with assert_no_checkpoints():
        await wakeup.wait()
    with trio.move_on_after(0) as scope:
        await wakeup.wait()
    assert scope.cancelled_caught


async def test_set_wakes_the_waiting_task(nursery: trio.Nursery) -> None:
    wakeup = Wakeup()
    woken = []

    async def wait() -> None:
        with assert_checkpoints():
            await wakeup.wait()
        woken.append(True)

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not woken
    wakeup.set()
    await wait_all_tasks_blocked()
    assert woken


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    wakeup = Wakeup()
    with trio.move_on_after(0):
        await wakeup.wait()
    wakeup.set()
    with assert_no_checkpoints():
        await wakeup.wait()


async def test_only_one_task_may_wait(nursery: trio.Nursery) -> None:
    wakeup = Wakeup()
    nursery.start_soon(wakeup.wait)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await wakeup.wait()
    wakeup.set()
