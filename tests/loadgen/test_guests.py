"""Riders who are not of the run: a city that has guests drives them like its own."""

from __future__ import annotations

from dataclasses import replace

import trio
import trio.testing

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, MatchEvent, RideStatusUpdate, ServerEnvelope
from ride_trio_loadgen.geometry import Place, distance_m
from ride_trio_loadgen.plan import RidesPlan
from tests.loadgen.fake_server import FakeCall, FakeServer, ack
from tests.loadgen.runs import CITY, run, said

PICKUP = Place(52.0921, 5.1214)
ONE_DRIVER: RidesPlan = replace(CITY, drivers=1, riders=0, guests=True, rate_hz=2.0)


class HostServer(FakeServer):
    """Matches the first driver that is free with a guest.

    Args:
        guests: how many there are, one after the other.
        cancels: whether a guest has called it off before the driver sets off.
        impatient: whether the next guest is matched with the driver at once, as after a cancellation.
    """

    def __init__(self, guests: int = 1, *, cancels: bool = False, impatient: bool = False) -> None:
        super().__init__()
        self.guests = guests
        self.cancels = cancels
        self.impatient = impatient
        self.asked = 0

    def answer(self, call: FakeCall, message: ClientEnvelope) -> None:
        status = message.ride_status_update.status
        if self.cancels and status == RideStatusUpdate.STATUS_EN_ROUTE_TO_PICKUP:
            call.deliver(ack(message.message_id, success=False, detail="ILLEGAL_TRANSITION: no such ride"))
            return
        super().answer(call, message)
        if status == RideStatusUpdate.STATUS_AVAILABLE or (
            self.impatient and status == RideStatusUpdate.STATUS_AT_PICKUP
        ):
            self.match_guest(call)

    def match_guest(self, call: FakeCall) -> None:
        if self.asked == self.guests:
            return
        self.asked += 1
        event = MatchEvent(
            ride_id=f"guest-{self.asked}",
            driver_id=call.user_id,
            rider_id="guest",
            vehicle_plate=call.plate,
            pickup_latitude=PICKUP.latitude,
            pickup_longitude=PICKUP.longitude,
        )
        call.deliver(ServerEnvelope(match_event=event))


def nearest_m(server: FakeServer) -> float:
    return min(distance_m(Place(latitude, longitude), PICKUP) for _, _, latitude, longitude in server.places)


async def test_a_guest_is_fetched_and_taken_somewhere(autojump_clock: trio.testing.MockClock) -> None:
    server = HostServer()
    report = await run(ONE_DRIVER, server)
    assert said(server, "driver") == [
        "AVAILABLE", "EN_ROUTE_TO_PICKUP", "AT_PICKUP", "ON_TRIP", "AVAILABLE", "OFFLINE",
    ]  # fmt: skip
    assert nearest_m(server) < 1
    assert (report.errors, report.requests, report.matches) == ({}, 0, 0)  # those are of our own riders


async def test_a_guest_who_has_called_it_off_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    server = HostServer(cancels=True)
    report = await run(ONE_DRIVER, server)
    assert said(server, "driver") == ["AVAILABLE", "EN_ROUTE_TO_PICKUP", "AVAILABLE", "OFFLINE"]
    assert report.errors == {}


async def test_the_next_ride_may_come_before_a_guests_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """The guest has left, and the server has given the driver another ride: only the server knows of it."""
    server = HostServer(guests=2, impatient=True)
    report = await run(ONE_DRIVER, server)
    assert said(server, "driver").count("EN_ROUTE_TO_PICKUP") == 2
    assert report.errors == {}


async def test_without_guests_such_a_match_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    report = await run(replace(ONE_DRIVER, guests=False), HostServer())
    assert report.errors == {"match_unknown_ride": 1}


async def test_guests_take_turns_with_the_citys_own_riders(autojump_clock: trio.testing.MockClock) -> None:
    report = await run(replace(CITY, guests=True), HostServer(guests=5))
    assert report.errors == {}
    assert report.matches > 0
