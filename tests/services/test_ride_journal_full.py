"""What the journal holds back when too much waits, and how it ends."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.errors import LogFullError
from ride_trio.services import ride_journal
from ride_trio.services.ride_journal import ADMIT_S, SETTLE_S
from tests.services.desk import Desk


@pytest.fixture
async def stuck(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    """A log whose disk works when the test says so."""
    return await Desk(nursery, tmp_path, stuck=True).start()


@pytest.fixture
def short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ride_journal, "SLOW_EVENTS", 5)
    monkeypatch.setattr(ride_journal, "MAX_EVENTS", 8)


async def test_new_sessions_wait_for_room_and_come_in_one_by_one(
    short_queue: None, stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    admitted: list[int] = []

    async def come(number: int) -> None:
        await stuck.journal.admit()
        await trio.lowlevel.checkpoint()
        stuck.tell(number)
        admitted.append(number)

    stuck.tell(100, 101, 102, 103)
    await stuck.journal.admit()
    stuck.tell(104)
    for number in range(20):
        nursery.start_soon(come, number)
    await wait_all_tasks_blocked()
    assert admitted == []
    for _ in range(20):
        stuck.house.writer.write()
        stuck.house.writer.sync()
        await wait_all_tasks_blocked()
        assert stuck.kept <= 8
        if len(admitted) == 20:
            break
    await stuck.to_disk()
    assert sorted(admitted) == list(range(20))
    assert sorted(await stuck.told()) == sorted([*range(20), *range(100, 105)])


async def test_all_come_in_when_there_is_room_for_all(
    short_queue: None, stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    admitted = []

    async def come(number: int) -> None:
        await stuck.journal.admit()
        admitted.append(number)

    stuck.tell(*range(5))
    for number in range(20):
        nursery.start_soon(come, number)
        await wait_all_tasks_blocked()
    await stuck.to_disk()
    assert admitted == list(range(20))


async def test_who_waits_and_goes_does_not_keep_others_out(
    short_queue: None, stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stuck.tell(*range(5))
    admitted = trio.Event()

    async def give_up() -> None:
        with trio.move_on_after(1):
            await stuck.journal.admit()

    async def come() -> None:
        await stuck.journal.admit()
        admitted.set()

    nursery.start_soon(give_up)
    await wait_all_tasks_blocked()
    nursery.start_soon(come)
    await trio.sleep(2)
    assert not admitted.is_set()
    await stuck.to_disk()
    assert admitted.is_set()


async def test_a_session_does_not_wait_for_ever(short_queue: None, stuck: Desk, autojump_clock: MockClock) -> None:
    stuck.tell(*range(5))
    began = trio.current_time()
    with pytest.raises(LogFullError, match="try again"):
        await stuck.journal.admit()
    assert trio.current_time() - began == pytest.approx(ADMIT_S)


async def test_requests_are_refused_when_the_queue_is_full(
    short_queue: None, stuck: Desk, autojump_clock: MockClock
) -> None:
    stuck.tell(*range(7))
    assert stuck.journal.is_slow
    stuck.journal.check()
    stuck.tell(7)
    with pytest.raises(LogFullError, match="try again"):
        stuck.journal.check()
    await stuck.to_disk()
    stuck.journal.check()
    assert not stuck.journal.is_slow


# -------------------------------------------------------------------- the end


async def test_settling_waits_for_the_disk(stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    settled = trio.Event()

    async def settle() -> None:
        await stuck.journal.settle()
        settled.set()

    stuck.tell(1, 2, 3)
    nursery.start_soon(settle)
    await wait_all_tasks_blocked()
    assert not settled.is_set()
    await stuck.to_disk()
    assert settled.is_set()


async def test_settling_does_not_wait_for_ever(
    stuck: Desk, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    stuck.tell(1, 2, 3)
    began = trio.current_time()
    with caplog.at_level(logging.ERROR):
        await stuck.journal.settle()
    assert trio.current_time() - began == pytest.approx(SETTLE_S)
    assert "3 events of rides did not get to the disk" in caplog.text


async def test_with_nothing_kept_there_is_nothing_to_settle(stuck: Desk, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    await stuck.journal.settle()
    assert trio.current_time() == began
