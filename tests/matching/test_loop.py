"""The loop's beat, and that it lets others run."""

import pytest
import trio
from trio.testing import MockClock

from ride_trio.matching import Dispatcher, Status, match_window, run_matching
from ride_trio.matching.loop import SLICE_REQUESTS
from ride_trio.metrics import RideMetrics
from ride_trio.sessions import cell_of
from tests.matching.town import FakeNotifier, Town


class Beats:
    """A dispatcher that only notes when it is asked, and can be slow."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.began = trio.current_time()
        self.free = self.waiting = ()

    def in_order(self) -> list[object]:
        self.at.append(trio.current_time() - self.began)
        return []

    def expire(self) -> None:
        pass


async def test_windows_keep_a_fixed_beat(autojump_clock: MockClock) -> None:
    beats = Beats()
    with trio.move_on_after(5.5):
        await run_matching(beats, RideMetrics(), 1.0)  # type: ignore[arg-type]
    assert beats.at == pytest.approx([1, 2, 3, 4, 5])


async def test_a_late_window_skips_beats_and_keeps_the_rhythm(autojump_clock: MockClock) -> None:
    beats = Beats()
    original = beats.in_order

    def in_order() -> list[object]:
        found = original()
        if len(beats.at) == 2:
            autojump_clock.jump(2.3)
        return found

    beats.in_order = in_order  # type: ignore[method-assign]
    with trio.move_on_after(6.5):
        await run_matching(beats, RideMetrics(), 1.0)  # type: ignore[arg-type]
    assert beats.at == pytest.approx([1, 2, 5, 6])


async def test_it_matches_and_tells_the_gauges(autojump_clock: MockClock) -> None:
    metrics, notifier = RideMetrics(), FakeNotifier()
    dispatcher = Dispatcher(notifier, metrics, trio.current_time, match_radius_m=5_000, match_timeout_s=30)
    for name, status in (("ann", Status.LOOKING), ("bob", Status.LOOKING), ("dan", Status.AVAILABLE)):
        user = dispatcher.join(name)
        dispatcher.moved(user, cell_of(0.0, 0.0))
        dispatcher.report(user, status, "", "")
    with trio.move_on_after(1.5):
        await run_matching(dispatcher, metrics, 1.0)
    assert [(what, who) for what, who, _ in notifier.told] == [("matched", "ann"), ("matched", "dan")]
    assert (metrics.waiting_riders.n, metrics.free_drivers.n) == (1, 0)
    assert metrics.match_wait.total == pytest.approx(1.0)
    assert sum(metrics.match_window.counts) == 1


async def test_others_run_between_slices_and_may_change_what_waits() -> None:
    town = Town()
    count = 2 * SLICE_REQUESTS + 2  # the other task has its turn between the first two slices, or right after
    riders = [town.rider(f"rider {number}", f"r{number}") for number in range(count)]
    for number in range(count):
        town.driver(f"driver {number}")
    turns = 0

    async def other() -> None:
        nonlocal turns
        turns += 1
        town.says(riders[-1], Status.CANCELLED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        work_s = await match_window(town.dispatcher)
    assert turns == 1
    assert work_s > 0
    assert town.outcome("matched") == count - 1
    town.check()


async def test_who_may_not_be_matched_now_is_at_the_next_window() -> None:
    town = Town()
    count = 3 * SLICE_REQUESTS
    for number in range(count):
        town.rider(f"rider {number}", f"r{number}")
        town.driver(f"driver {number}")

    def may_match() -> bool:
        return town.outcome("matched") < 2 * SLICE_REQUESTS

    await match_window(town.dispatcher, may_match)
    assert town.outcome("matched") == 2 * SLICE_REQUESTS
    await match_window(town.dispatcher, may_match)
    assert town.outcome("matched") == 2 * SLICE_REQUESTS
    await match_window(town.dispatcher)
    assert town.outcome("matched") == count


async def test_whose_time_is_up_is_told_so_also_when_nobody_is_matched() -> None:
    town = Town()
    town.rider("ann", "r")
    town.driver("dan")
    town.time_s = 31
    town.rider("bob", "s")
    await match_window(town.dispatcher, lambda: False)
    assert town.notifier.news() == [("no_driver", "ann", "r")]


async def test_without_free_drivers_nobody_is_looked_at() -> None:
    town = Town()
    town.rider("ann", "r")
    town.time_s = 31
    await match_window(town.dispatcher)
    assert town.notifier.news() == [("no_driver", "ann", "r")]


async def test_a_request_whose_time_is_up_is_not_matched_any_more(autojump_clock: MockClock) -> None:
    metrics, notifier = RideMetrics(), FakeNotifier()
    dispatcher = Dispatcher(notifier, metrics, trio.current_time, match_radius_m=5_000, match_timeout_s=2.0)
    rider, driver = dispatcher.join("ann"), dispatcher.join("dan")
    for user in (rider, driver):
        dispatcher.moved(user, cell_of(0.0, 0.0))
    dispatcher.report(rider, Status.LOOKING, "r", "")
    await trio.sleep(2.0)
    dispatcher.report(driver, Status.AVAILABLE, "", "")
    await match_window(dispatcher)
    assert [(what, who) for what, who, _ in notifier.told] == [("no_driver", "ann")]
