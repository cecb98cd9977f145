from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, RideStatusUpdate
from ride_trio_loadgen.geometry import Place
from tests.loadgen.fake_server import FakeServer
from tests.loadgen.runs import CITY, HAILED, REPLAY, run, said


async def test_a_rider_reports_from_where_the_car_is(autojump_clock: trio.testing.MockClock) -> None:
    """On board it moves with the driver; from where it gets out it asks again."""
    server = FakeServer()
    await run(replace(CITY, drivers=1, riders=1, duration_s=120.0, rate_hz=2.0), server)
    user = "rider-1-00000"
    moves = [(latitude, longitude) for _, who, latitude, longitude in server.places if who == user]
    assert len(set(moves)) > 10
    assert moves[0] == moves[1]
    assert len(said(server, "rider")) > 2


async def test_a_rider_asks_again_after_a_refusal(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer(match_timeout_s=1.0)
    report = await run(replace(CITY, drivers=0, riders=1, duration_s=60.0), server)
    assert report.no_driver == report.requests > 5
    places = {(latitude, longitude) for _, _, latitude, longitude in server.places}
    assert len(places) == 1


async def test_ride_ids_are_new_in_every_run(autojump_clock: trio.testing.MockClock) -> None:
    server = FakeServer()
    await run(replace(CITY, riders=1), server)
    asked = [message.ride_status_update.ride_id for message in server.heard if is_looking(message)]
    assert len(set(asked)) == len(asked) > 1
    await run(replace(CITY, riders=1), server)
    again = [message.ride_status_update.ride_id for message in server.heard if is_looking(message)]
    assert len(set(again)) == len(again) > len(asked)


def is_looking(message: ClientEnvelope) -> bool:
    return message.ride_status_update.status == RideStatusUpdate.STATUS_LOOKING


async def test_a_replayed_rider_asks_where_and_when_somebody_got_in(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server, start_s = FakeServer(match_timeout_s=1.0), trio.current_time()
    await run(REPLAY, server, HAILED)
    ((asked_s, user, _),) = [said for said in server.statuses if said[2] == "LOOKING"]
    assert asked_s - start_s == pytest.approx(2.0, abs=0.01)
    place = next(Place(latitude, longitude) for _, who, latitude, longitude in server.places if who == user)
    assert place == Place(52.01, 5.0)
    assert user not in server.calls


async def test_a_refused_request_is_an_error_and_the_rider_lives_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = FakeServer()
    server.refuses_statuses = True
    report = await run(replace(CITY, drivers=0, riders=1), server)
    assert report.errors.keys() == {"refused:OVERLOADED"}
    assert report.requests == report.errors["refused:OVERLOADED"] > 5
