"""Envelopes decode to what they were made of, and the clock rises."""

from struct import unpack

import pytest

from ride_trio.city import Change
from ride_trio.city.observer import Matched
from ride_trio.errors import BadRequestError, SessionTakenOverError, ShutdownError
from ride_trio.matching import Ride, User
from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    BroadcastEvent,
    CityView,
    Disconnect,
    Error,
    MatchEvent,
    ServerEnvelope,
    Welcome,
)
from ride_trio.services.ride_envelopes import POSITION, Envelopes

decode = ServerEnvelope.FromString


@pytest.fixture
def envelopes() -> Envelopes:
    return Envelopes()


@pytest.mark.parametrize("correlation_id", ["7", "", "Zoë", "x" * 128])
def test_an_ack_is_the_same_as_a_fresh_one(envelopes: Envelopes, correlation_id: str) -> None:
    envelopes.ack("something long that came before")
    fresh = ServerEnvelope(
        correlation_id=correlation_id, lamport_time=2, ack=Ack(correlation_id=correlation_id, success=True)
    )
    assert decode(envelopes.ack(correlation_id)) == fresh


def test_a_refusal_and_news_say_why(envelopes: Envelopes) -> None:
    assert decode(envelopes.refusal("7", "NO: way")).ack == Ack(correlation_id="7", detail="NO: way")
    assert decode(envelopes.news("7", "A: b")).ack == Ack(correlation_id="7", success=True, detail="A: b")


def test_a_match_names_both_and_the_car(envelopes: Envelopes) -> None:
    rider, driver = User("ann"), User("dan")
    driver.plate = "XY 1"
    ride = Ride("r", "c", rider, arrival=1, asked_at=0.0, deadline=30.0)
    ride.driver, ride.eta_s = driver, 42
    envelope = decode(envelopes.match("c", ride))
    assert envelope.correlation_id == "c"
    assert envelope.match_event == MatchEvent(
        ride_id="r", driver_id="dan", rider_id="ann", vehicle_plate="XY 1", eta_seconds=42, surge_multiplier=1.0
    )


def test_a_broadcast_carries_four_little_endian_doubles(envelopes: Envelopes) -> None:
    envelope = decode(envelopes.broadcast("1:2", POSITION.pack(1.5, 2.5, 3.5, 4.5), "ann"))
    event = envelope.broadcast_event
    assert unpack("<dddd", event.payload) == (1.5, 2.5, 3.5, 4.5)
    assert event == BroadcastEvent(topic="1:2", payload=event.payload, user_id="ann")
    assert envelope.correlation_id == ""


def test_welcome_gives_times_in_milliseconds(envelopes: Envelopes) -> None:
    welcome = decode(envelopes.welcome("m", "s", 0.25, 15.0)).welcome
    assert welcome == Welcome(session_id="s", heartbeat_interval_ms=250, heartbeat_timeout_ms=15_000)


def test_an_error_has_its_code(envelopes: Envelopes) -> None:
    assert decode(envelopes.error("m", BadRequestError("no"))).error == Error(code="BAD_REQUEST", message="no")


def test_only_who_may_come_back_is_told_when(envelopes: Envelopes) -> None:
    back = decode(envelopes.disconnect(ShutdownError("bye"))).disconnect
    assert back.reconnect
    assert back.backoff_ms > 0
    assert back.jitter_ms > 0
    gone = decode(envelopes.disconnect(SessionTakenOverError("bye"))).disconnect
    assert gone == Disconnect(code="SESSION_TAKEN_OVER")


def test_the_clock_rises_over_all_kinds(envelopes: Envelopes) -> None:
    sent = [
        envelopes.ack("1"),
        envelopes.refusal("1", "X: y"),
        envelopes.broadcast("1:2", b"", "ann"),
        envelopes.welcome("", "s", 1, 2),
        envelopes.error("", BadRequestError("no")),
        envelopes.disconnect(ShutdownError("bye")),
        envelopes.ack("2"),
    ]
    assert [decode(data).lamport_time for data in sent] == [1, 2, 3, 4, 5, 6, 7]


def test_a_view_of_the_city(envelopes: Envelopes) -> None:
    change = Change(3, True, b"c" * 16, b"r" * 4, [Matched("r7", 1, 2)], b"z" * 12, 9, True)
    view = decode(envelopes.city_view(change)).city_view
    assert (view.sequence, view.snapshot, view.total, view.sampled) == (3, True, 9, True)
    assert (view.changed, view.removed, view.zones) == (b"c" * 16, b"r" * 4, b"z" * 12)
    assert list(view.matched) == [CityView.Matched(ride_id="r7", rider_handle=1, driver_handle=2)]
