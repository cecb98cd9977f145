from __future__ import annotations

from dataclasses import replace

import purerpc
import pytest
import trio
import trio.testing

from ride_trio_loadgen.plan import RidesPlan, Snapshot
from ride_trio_loadgen.scenario import perform
from tests.loadgen.fake_server import FakeServer
from tests.loadgen.runs import CITY, HAILED, IDLE, REPLAY, run, said


async def test_a_city_lives_and_leaves_without_an_error(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    server.broadcasts = True
    report = await run(CITY, server)
    assert report.errors == {}
    assert not report.failed
    assert report.sessions == 14
    assert report.sent == report.acked > 14 * 20
    assert report.requests >= 14
    assert report.requests == report.matches + report.no_driver
    assert report.matches > 5
    assert report.broadcasts > 1000
    assert report.ack_ms["p50"] == pytest.approx(10.0, rel=0.01)
    assert report.lag_ms["max"] < 1.0
    assert server.calls == {}
    stories = [" ".join(said(server, f"driver-1-{index:05d}")) for index in range(6)]
    assert any("EN_ROUTE_TO_PICKUP AT_PICKUP ON_TRIP AVAILABLE" in story for story in stories)


@pytest.mark.parametrize(("drivers", "riders"), [(4, 0), (0, 4)])
async def test_the_same_seed_does_the_same(drivers: int, riders: int, autojump_clock: trio.testing.MockClock) -> None:
    """As long as nobody is matched: who gets whom is the server's choice."""

    async def story(seed: int) -> list[object]:
        server = FakeServer()
        start_s = trio.current_time()
        await run(replace(CITY, drivers=drivers, riders=riders, seed=seed), server)
        asked = [(round(at_s - start_s, 6), user) for at_s, user, what in server.statuses if what == "LOOKING"]
        places = [(user, round(lat, 6), round(lng, 6)) for _, user, lat, lng in server.places]
        return [sorted(asked), sorted(places)]

    first, second, other = await story(1), await story(1), await story(2)
    assert first == second
    assert first != other


async def test_requests_get_the_time_an_answer_may_take(autojump_clock: trio.testing.MockClock) -> None:
    plan = RidesPlan("host", 1, drivers=0, riders=3, duration_s=2.0, rate_hz=1.0, speedup=20.0, match_timeout_s=9.0)
    report = await run(plan, FakeServer(match_timeout_s=9.0))
    assert (report.requests, report.no_driver, report.errors) == (3, 3, {})


async def test_requests_without_an_answer_are_counted(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    server.matches = False
    plan = RidesPlan("host", 1, drivers=1, riders=3, duration_s=2.0, rate_hz=1.0, speedup=20.0, match_timeout_s=9.0)
    report = await run(plan, server)
    assert report.errors == {"unanswered": 3}
    assert report.wall_s == pytest.approx(2 + 9 + 5, abs=1.5)
    assert said(server, "rider") == ["LOOKING"] * 3 + ["CANCELLED"] * 3


async def test_everybody_gone_ends_the_run(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()

    async def pull_the_plug() -> None:
        await trio.sleep(5)
        for call in list(server.calls.values()):
            call.finish(purerpc.Status(purerpc.StatusCode.UNAVAILABLE, "SHUTDOWN: bye"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pull_the_plug)
        report = await run(CITY, server)
    assert report.errors == {"status:UNAVAILABLE": 14}
    assert report.wall_s < 7


async def test_a_server_that_refuses_everybody(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    server.refuses = True
    report = await run(CITY, server)
    assert report.errors == {"status:UNAVAILABLE": 14}
    assert report.sessions == 0


async def test_sessions_that_the_server_has_no_room_for(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    server.opens_at_most = 12
    report = await run(CITY, server)
    assert report.errors == {"not_opened": 2}
    assert report.sessions == 12


async def test_a_server_that_falls_silent_does_not_keep_the_run(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()

    async def fall_silent() -> None:
        await trio.sleep(10)
        server.deaf = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fall_silent)
        report = await run(CITY, server)
    assert report.errors.keys() <= {"unanswered", "leave_timeout", "ack_missing"}
    assert report.errors["leave_timeout"] >= 6
    assert report.wall_s < 60 + 5 + 5 + 2 * 30 + 5


@pytest.mark.parametrize("after_s", [0.0, 0.01, 7.3, 20.0])
async def test_a_stopped_run_ends_soon_and_in_good_order(
    after_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    """Also while people still appear, and with requests and rides under way."""
    server, stop = FakeServer(), trio.Event()

    async def stop_it() -> None:
        await trio.sleep(after_s)
        stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        nursery.start_soon(stop_it)
        report = await perform(CITY, [], server.open, 2, stop=stop)
        nursery.cancel_scope.cancel()
    assert report.errors == {}
    assert report.sent == report.acked
    assert report.wall_s < after_s + 2
    assert server.calls == {}


async def test_a_stop_while_answers_are_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    server, stop = FakeServer(), trio.Event()
    server.matches = False
    plan = RidesPlan("host", 1, drivers=0, riders=3, duration_s=2.0, rate_hz=1.0, speedup=20.0, match_timeout_s=9.0)

    def stop_when_waiting(snapshot: Snapshot) -> None:
        if snapshot.stage == "waiting for answers":
            stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        report = await perform(plan, [], server.open, 2, stop_when_waiting, stop)
        nursery.cancel_scope.cancel()
    assert (report.requests, report.errors) == (3, {})
    assert report.wall_s < 4
    assert said(server, "rider") == ["LOOKING"] * 3 + ["CANCELLED"] * 3


async def test_progress_tells_the_stages_in_order(autojump_clock: trio.testing.MockClock) -> None:
    server, seen = FakeServer(), list[Snapshot]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        await perform(CITY, [], server.open, 2, seen.append)
        nursery.cancel_scope.cancel()
    assert list(dict.fromkeys(snapshot.stage for snapshot in seen)) == [
        "running", "waiting for answers", "leaving",
    ]  # fmt: skip
    assert len(seen) > 60 * 4
    assert seen[100].live == 14
    assert seen[-1].live == 0


async def test_a_cut_replay_calls_off_its_rides(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    report = await run(replace(REPLAY, duration_s=4.0), server, IDLE, HAILED)
    assert report.errors == {}
    assert said(server, "rider") == ["LOOKING", "CANCELLED"]
    assert said(server, "cab")[-2:] == ["OFFLINE", "OFFLINE"]
