from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope
from ride_trio_loadgen.plan import RidesPlan
from tests.loadgen.fake_server import FakeCall, FakeServer
from tests.loadgen.runs import CITY, HAILED, IDLE, REPLAY, run, said


async def test_drivers_follow_the_servers_heartbeat_interval(autojump_clock: trio.testing.MockClock) -> None:
    plan = RidesPlan("host", 1, drivers=1, riders=0, duration_s=19.0, rate_hz=1e-3)
    report = await run(plan, FakeServer())
    # AVAILABLE, one position, OFFLINE; the Welcome brings the first heartbeat forward to 2 s, then each 2 s.
    assert report.sent == 3 + 9


async def test_the_servers_interval_may_be_the_longer_or_the_same_one(autojump_clock: trio.testing.MockClock) -> None:
    plan = RidesPlan("host", 1, drivers=1, riders=0, duration_s=19.0, rate_hz=1e-3)
    for heartbeat_s in (0.5, 2.0):
        report = await run(replace(plan, heartbeat_s=heartbeat_s), FakeServer())
        assert report.sent == 3 + 9


async def test_a_welcome_that_comes_late_has_the_heartbeat_sent_at_once(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer(delay_s=3.0)
    beats_s: list[float] = []
    hear = server.hear

    def note(call: FakeCall, message: ClientEnvelope) -> None:
        if message.HasField("heartbeat"):
            beats_s.append(trio.current_time() - start_s)
        hear(call, message)

    server.hear = note  # type: ignore[method-assign]
    start_s = trio.current_time()
    await run(RidesPlan("host", 1, drivers=1, riders=0, duration_s=8.0, rate_hz=1e-3), server)
    assert beats_s[:3] == pytest.approx([3.0, 5.0, 7.0], abs=0.01)


async def test_a_driver_matched_twice_is_caught(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    server.forgets_matches = True
    report = await run(replace(CITY, drivers=1), server)
    assert report.errors["driver_in_two_rides"] >= 1


async def test_a_replayed_cab_that_nobody_else_can_serve(autojump_clock: trio.testing.MockClock) -> None:
    """Its fare gets in from the street; the rider who asks there gets it when it is free again, 4 s later."""
    server = FakeServer(match_timeout_s=3.0)
    report = await run(REPLAY, server, HAILED)
    assert said(server, "cab") == ["AVAILABLE", "ON_TRIP", "AVAILABLE", "OFFLINE"]
    assert said(server, "rider") == ["LOOKING"]
    assert (report.requests, report.no_driver, report.errors) == (1, 1, {})
    assert report.wall_s == pytest.approx(12.0, abs=0.5)


async def test_a_matched_cab_leaves_its_trace_and_rejoins_it(autojump_clock: trio.testing.MockClock) -> None:
    """The idle cab gets the request, drives it to where the trace's fare got out, and rejoins its place."""
    server = FakeServer()
    report = await run(REPLAY, server, IDLE, HAILED)
    assert said(server, "cab-1-00000") == [
        "AVAILABLE", "EN_ROUTE_TO_PICKUP", "AT_PICKUP", "ON_TRIP", "AVAILABLE", "OFFLINE",
    ]  # fmt: skip
    assert (report.requests, report.matches, report.errors) == (1, 1, {})
    places = [latitude for _, user, latitude, _ in server.places if user == "cab-1-00000"]
    assert places[0] == places[-1] == pytest.approx(52.011)
    assert max(places) == pytest.approx(52.03, abs=0.01)
    times_s = [at_s for at_s, user, _ in server.statuses if user == "cab-1-00000"]
    assert times_s[4] - times_s[3] == pytest.approx(4.0, abs=0.01)


async def test_a_match_that_crosses_with_a_hail_is_served(autojump_clock: trio.testing.MockClock) -> None:
    """A rider asks 0.2 s before the cab's own hail; the server, 0.5 s behind, matches it before it reads ON_TRIP."""
    server = FakeServer(delay_s=0.5)
    elsewhere = ["52.011 5.001 0 0", "52.011 5.001 1 108", "52.013 5.001 1 700"]
    report = await run(REPLAY, server, HAILED, elsewhere)
    assert said(server, "cab-1-00000")[:6] == [
        "AVAILABLE", "ON_TRIP", "EN_ROUTE_TO_PICKUP", "AT_PICKUP", "ON_TRIP", "AVAILABLE",
    ]  # fmt: skip
    assert report.errors == {}
    assert report.requests == report.matches + report.no_driver == 2


async def test_a_match_that_crosses_with_offline_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    """A rider asks 0.2 s before the only free cab's trace ends; the server, 0.5 s behind, matches them."""
    server = FakeServer(delay_s=0.5)
    elsewhere = ["52.011 5.001 0 600", "52.011 5.001 1 708", "52.013 5.001 1 900"]
    report = await run(REPLAY, server, IDLE, elsewhere)
    assert said(server, "cab-1-00000") == ["AVAILABLE", "OFFLINE"]
    assert report.errors == {}
    assert (report.requests, report.matches, report.driver_lost, report.no_driver) == (1, 1, 1, 1)
