"""What rides write, as consumers read it: keys, times and fields are an interface."""

from __future__ import annotations

import json

import pytest
import trio

from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_pb2 import LocationUpdate
from ride_trio.services.ride_counts import RideCounts
from ride_trio.services.ride_events import of_position, of_ride, of_session
from ride_trio.sessions import Outbox, Session
from tests.services.desk import ride_of

NOW_MS = 1_700_000_000_123


async def session_of(user_id: str) -> Session:
    session = Session(Outbox(1, RideCounts(RideMetrics(), "grpc").outbox), trio.current_time)
    session.user_id = user_id
    return session


def test_a_match() -> None:
    event = of_ride("matched", ride_of("ann", "r7", "dan", eta_s=180), NOW_MS)
    value = b'{"event":"matched","ride_id":"r7","rider_id":"ann","driver_id":"dan","eta_s":180}'
    assert event == ("ride.matches", b"ann", value, NOW_MS)


@pytest.mark.parametrize("name", ["no_driver", "cancelled"])
def test_a_request_that_comes_to_nothing_has_no_driver(name: str) -> None:
    event = of_ride(name, ride_of("ann", "r"), NOW_MS)
    assert event.value == f'{{"event":"{name}","ride_id":"r","rider_id":"ann","driver_id":null}}'.encode()


@pytest.mark.parametrize("name", ["driver_lost", "ended", "cancelled"])
def test_a_ride_that_is_over_names_its_driver_and_no_eta(name: str) -> None:
    event = of_ride(name, ride_of("ann", "r", "dan", eta_s=180), NOW_MS)
    assert json.loads(event.value) == {"event": name, "ride_id": "r", "rider_id": "ann", "driver_id": "dan"}


async def test_a_session() -> None:
    session = await session_of("ann")
    event = of_session("ended", session, NOW_MS, reason="completed", seconds=1.5)
    assert event[:2] == ("ride.sessions", b"ann")
    assert event.timestamp == NOW_MS
    assert event.value.decode() == (
        f'{{"event":"ended","session_id":"{session.session_id}","user_id":"ann","reason":"completed","seconds":1.5}}'
    )


def test_a_position() -> None:
    update = LocationUpdate(latitude=37.77, longitude=-122.41, bearing=90, speed_mps=1e-9)
    topic, key, value, timestamp = of_position("dan", update, NOW_MS)
    assert (topic, key, timestamp) == ("ride.locations", b"dan", NOW_MS)
    assert value == (
        b'{"event":"position","user_id":"dan","latitude":37.77,"longitude":-122.41,"bearing":90.0,"speed_mps":1e-09}'
    )


async def test_names_are_json_whatever_is_in_them() -> None:
    name = 'Zoë "\\" {0} 名'
    for event in (
        of_ride("ended", ride_of(name, name, name), NOW_MS),
        of_session("opened", await session_of(name), NOW_MS),
        of_position(name, LocationUpdate(), NOW_MS),
    ):
        assert event.key.decode() == name
        fields = json.loads(event.value)
        assert fields.get("user_id", fields.get("rider_id")) == name
