"""Rides from end to end through the service, as two clients see them."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ride_trio.pb.ride.v1.ride_pb2 import Hello
from ride_trio.sessions import MAX_ID_CHARS
from tests.services.fake_call import FakeCall
from tests.services.house import House, acks, at, bodies, code, hello, status


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        yield House(nursery)
        nursery.cancel_scope.cancel()


async def rider_and_driver(house: House, latitude: float = 37.771) -> tuple[FakeCall, FakeCall]:
    driver = await house.connect("dan", hello(Hello.ROLE_DRIVER, "XY 1"), at(latitude), status("AVAILABLE"))
    rider = await house.connect("ann", at(37.77), status("LOOKING", "r", "m"))
    rider.read()
    driver.read()
    return rider, driver


async def test_both_get_the_same_match(house: House) -> None:
    rider, driver = await rider_and_driver(house)
    await house.window()
    (to_rider,), (to_driver,) = rider.read(), driver.read()
    assert to_rider.match_event == to_driver.match_event
    match = to_rider.match_event
    assert (match.ride_id, match.driver_id, match.rider_id) == ("r", "dan", "ann")
    assert (match.vehicle_plate, match.eta_seconds, match.surge_multiplier) == ("XY 1", 18, 1.0)
    assert (to_rider.correlation_id, to_driver.correlation_id) == ("m", "")


async def test_nobody_in_time_is_a_second_ack(house: House, autojump_clock: MockClock) -> None:
    rider = await house.connect("ann", at(), status("LOOKING", "r"))
    for _ in range(2):
        await trio.sleep(14)
        rider.say(at())
    rider.read()
    await trio.sleep(2)
    await house.window()
    (ack,) = acks(rider.read())
    assert (ack.correlation_id, ack.success) == ("r", False)
    assert ack.detail.startswith("NO_DRIVER_FOUND: ")


async def test_a_driver_who_vanishes_before_the_pickup(house: House) -> None:
    rider, driver = await rider_and_driver(house)
    await house.window()
    rider.read()
    await house.vanish(driver)
    (ack,) = acks(rider.read())
    assert (ack.correlation_id, ack.success) == ("m", True)
    assert ack.detail.startswith("DRIVER_LOST: ")
    other = await house.connect("eve", at(), status("AVAILABLE"))
    await house.window()
    assert "match_event" in bodies(other.read())
    assert [e.match_event.driver_id for e in rider.read() if e.WhichOneof("body") == "match_event"] == ["eve"]


async def test_a_driver_who_is_ending_is_no_match(house: House) -> None:
    """Its session has been told to end, and its task has not run yet."""
    rider, _driver = await rider_and_driver(house)
    session = house.context.broker.session_of("dan")
    assert session is not None
    session.over = True
    await house.window()
    assert bodies(rider.read()) == ["match_event", "ack"]
    assert list(house.context.dispatcher.waiting) == ["r"]


async def test_a_whole_ride_and_the_next_one(house: House) -> None:
    rider, driver = await rider_and_driver(house)
    await house.window()
    for name in ("EN_ROUTE_TO_PICKUP", "AT_PICKUP", "ON_TRIP", "AVAILABLE"):
        driver.say(status(name, "r"))
    rider.say(status("LOOKING", "r2"))
    await house.window()
    assert all(ack.success for ack in acks(driver.read()))
    rides = [e.match_event.ride_id for e in rider.read() if e.WhichOneof("body") == "match_event"]
    assert rides == ["r", "r2"]
    assert house.metrics.match_outcome("matched").n == 2


@pytest.mark.parametrize("name", ["x" * (MAX_ID_CHARS + 1), "a\x7fb"])
async def test_a_user_id_that_cant_be_one_ends_the_call(house: House, name: str) -> None:
    call = await house.connect(name)
    assert code(call) == "INVALID_ARGUMENT BAD_REQUEST"
    assert house.active == 0


async def test_an_empty_user_id_is_none(house: House) -> None:
    await house.connect("")
    (name,) = house.context.dispatcher.users
    assert len(name) == 36


async def test_the_headers_go_out_at_once(house: House) -> None:
    assert (await house.connect("ann")).started
