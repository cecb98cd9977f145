from __future__ import annotations

from dataclasses import dataclass

import pytest

from ride_trio_loadgen.geometry import Place
from ride_trio_loadgen.ledger import GONE_SLACK_S, DriverRecord, Ledger, Phase, Ride
from ride_trio_loadgen.tally import Tally

PLACE = Place(52.09, 5.12)


@dataclass
class Event:
    ride_id: str
    driver_id: str
    rider_id: str
    vehicle_plate: str = ""


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Tally())


def ask(ledger: Ledger, ride_id: str, rider_id: str) -> Ride:
    ride = Ride(ride_id, rider_id, 10.0, PLACE, PLACE, None, lambda now_s: None)
    ledger.ask(ride)
    return ride


def free_driver(ledger: Ledger, driver_id: str) -> DriverRecord:
    record = ledger.driver(driver_id, "")
    ledger.release(record)
    return record


def match(ledger: Ledger, ride: Ride, record: DriverRecord) -> None:
    event = Event(ride.ride_id, record.driver_id, ride.rider_id)
    ledger.driver_told(record, event)
    ledger.rider_told(ride.rider_id, event, 12.0)


def kinds(ledger: Ledger) -> dict[str, int]:
    ledger.settle()
    return {kind: error.count for kind, error in ledger.tally.errors.items()}


def test_a_ride_from_request_to_end(ledger: Ledger) -> None:
    over: list[float] = []
    ride = ask(ledger, "a", "rider")
    ride.on_over = over.append
    record = free_driver(ledger, "driver")
    assert ledger.open_requests == 1
    match(ledger, ride, record)
    assert (ride.phase, ledger.open_requests) == (Phase.MATCHED, 0)
    ledger.release(record)
    ledger.over(ride, 20.0)
    assert (ride.phase, over) == (Phase.OVER, [20.0])
    assert (ledger.tally.requests, ledger.tally.matches) == (1, 1)
    assert ledger.tally.match.summary_ms()["max"] == 2000.0
    assert kinds(ledger) == {}


def test_a_driver_in_two_rides(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    match(ledger, ask(ledger, "a", "one"), record)
    match(ledger, ask(ledger, "b", "two"), record)
    assert kinds(ledger) == {"driver_in_two_rides": 1}
    assert ledger.tally.errors["driver_in_two_rides"].example == "driver: b while in a"


def test_one_ride_after_the_other_is_right(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    for ride_id in ("a", "b"):
        ride = ask(ledger, ride_id, "rider")
        match(ledger, ride, record)
        ledger.release(record)
        ledger.over(ride, 15.0)
    assert kinds(ledger) == {}


def test_a_rider_in_two_rides(ledger: Ledger) -> None:
    ride = ask(ledger, "a", "rider")
    match(ledger, ride, free_driver(ledger, "one"))
    match(ledger, ride, free_driver(ledger, "two"))
    assert kinds(ledger)["rider_in_two_rides"] == 1


def test_a_rider_matched_for_two_requests(ledger: Ledger) -> None:
    match(ledger, ask(ledger, "a", "rider"), free_driver(ledger, "one"))
    match(ledger, ask(ledger, "b", "rider"), free_driver(ledger, "two"))
    assert kinds(ledger) == {"rider_in_two_rides": 1}


def test_a_lost_driver_makes_room_for_another(ledger: Ledger) -> None:
    ride = ask(ledger, "a", "rider")
    first = free_driver(ledger, "one")
    match(ledger, ride, first)
    first.gone_s = 13.0
    ledger.driver_lost(ride)
    assert ledger.open_requests == 1
    match(ledger, ride, free_driver(ledger, "two"))
    assert (ledger.tally.driver_lost, ledger.tally.requests, ledger.open_requests) == (1, 1, 0)
    assert kinds(ledger) == {}


def test_the_rider_may_hear_of_its_match_last(ledger: Ledger) -> None:
    over: list[float] = []
    ride = ask(ledger, "a", "rider")
    ride.on_over = over.append
    record = free_driver(ledger, "driver")
    event = Event("a", "driver", "rider")
    ledger.driver_told(record, event)
    ledger.release(record)
    ledger.over(ride, 11.0)
    assert over == []
    ledger.rider_told("rider", event, 12.0)
    assert over == [12.0]
    assert kinds(ledger) == {}


def test_an_unanswered_request(ledger: Ledger) -> None:
    ask(ledger, "a", "one")
    answered = ask(ledger, "b", "two")
    assert ledger.no_driver(answered)
    ledger.count_unanswered()
    assert kinds(ledger) == {"unanswered": 1}
    assert ledger.tally.no_driver == 1


def test_an_answer_after_the_answer(ledger: Ledger) -> None:
    ride = ask(ledger, "a", "rider")
    assert ledger.no_driver(ride)
    assert not ledger.no_driver(ride)
    ledger.rider_told("rider", Event("a", free_driver(ledger, "driver").driver_id, "rider"), 12.0)
    ledger.driver_lost(ride)
    assert kinds(ledger) == {"answered_twice": 2, "answer_unexpected": 1}


def test_only_one_side_was_told(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    ask(ledger, "a", "one")
    ask(ledger, "b", "two")
    ledger.driver_told(record, Event("a", "driver", "one"))
    ledger.rider_told("two", Event("b", "driver", "two"), 12.0)
    assert kinds(ledger) == {"match_one_sided": 2}


def test_a_side_whose_session_broke_need_not_have_been_told(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    record.gone_s, record.failed = 12.0, True
    ask(ledger, "a", "rider")
    ledger.rider_told("rider", Event("a", "driver", "rider"), 12.0)
    assert kinds(ledger) == {}


def test_a_driver_who_is_not_there(ledger: Ledger) -> None:
    gone = free_driver(ledger, "gone")
    gone.gone_s, gone.failed = 12.0 - 2 * GONE_SLACK_S, True
    ask(ledger, "a", "one")
    ask(ledger, "b", "two")
    ledger.rider_told("one", Event("a", "gone", "one"), 12.0)
    ledger.rider_told("two", Event("b", "nobody", "two"), 12.0)
    assert kinds(ledger) == {"match_dead_driver": 2, "match_one_sided": 1}


def test_a_driver_who_was_not_available(ledger: Ledger) -> None:
    record = ledger.driver("driver", "")
    match(ledger, ask(ledger, "a", "rider"), record)
    assert kinds(ledger) == {"match_unavailable_driver": 1}


def test_a_match_for_somebody_else_or_for_nothing(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    ask(ledger, "a", "rider")
    ledger.rider_told("rider", Event("a", "driver", "other"), 12.0)
    ledger.driver_told(record, Event("a", "other", "rider"))
    ledger.driver_told(record, Event("z", "driver", "rider"))
    assert kinds(ledger) == {"match_wrong_user": 2, "match_unknown_ride": 1}


def test_a_match_told_twice_on_one_side(ledger: Ledger) -> None:
    ride, record = ask(ledger, "a", "rider"), free_driver(ledger, "driver")
    match(ledger, ride, record)
    match(ledger, ride, record)
    assert kinds(ledger) == {"match_twice": 2}


def test_the_plate_is_the_drivers(ledger: Ledger) -> None:
    record = ledger.driver("driver", "XK-482-B")
    ledger.release(record)
    match(ledger, ask(ledger, "a", "rider"), record)
    assert kinds(ledger) == {"match_wrong_plate": 1}


def test_a_match_that_crosses_with_cancelled_is_right_until_that_is_acked(ledger: Ledger) -> None:
    crossing, late = ask(ledger, "a", "one"), ask(ledger, "b", "two")
    ledger.cancel(crossing)
    match(ledger, crossing, free_driver(ledger, "first"))
    ledger.cancel(late)
    late.cancel_acked = True
    match(ledger, late, free_driver(ledger, "second"))
    assert kinds(ledger) == {"match_after_cancel": 1}
    assert ledger.open_requests == 0


def test_a_driver_is_free_when_the_rider_has_cancelled(ledger: Ledger) -> None:
    record = free_driver(ledger, "driver")
    first = ask(ledger, "a", "one")
    match(ledger, first, record)
    ledger.cancel(first)
    match(ledger, ask(ledger, "b", "two"), record)
    assert kinds(ledger) == {}
