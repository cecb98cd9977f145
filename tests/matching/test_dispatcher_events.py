"""What a dispatcher's listener is told: the whole story of each ride, in order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ride_trio.matching import Status
from tests.matching.test_dispatcher_at_random import NAMES, OPERATIONS, Operation
from tests.matching.town import TIMEOUT_S, Town

# What may come after what in the story of one request; "" is its beginning, and its end.
NEXT = {
    "": {"matched", "no_driver", "cancelled"},
    "matched": {"driver_lost", "ended", "cancelled"},
    "driver_lost": {"matched", "no_driver", "cancelled", "ended"},
}


def matched() -> Town:
    """Ann rides with Dan, in the ride "r"."""
    town = Town()
    town.rider("ann", "r")
    town.driver("dan")
    town.window()
    return town


def rider_cancels(town: Town) -> None:
    town.says(town.dispatcher.users["ann"], Status.CANCELLED)


def driver_arrives(town: Town) -> None:
    town.says(town.dispatcher.users["dan"], Status.AVAILABLE, "r")


def driver_stops_work(town: Town) -> None:
    dan = town.dispatcher.users["dan"]
    town.says(dan, Status.ON_TRIP)
    town.says(dan, Status.OFFLINE)


def driver_vanishes(town: Town) -> None:
    town.dispatcher.leave(town.dispatcher.users["dan"])


def both_vanish_on_the_trip(town: Town) -> None:
    ann, dan = (town.dispatcher.users[name] for name in ("ann", "dan"))
    town.says(dan, Status.ON_TRIP)
    town.dispatcher.leave(ann)
    town.dispatcher.leave(dan)


def both_vanish_before_the_pickup(town: Town) -> None:
    ann, dan = (town.dispatcher.users[name] for name in ("ann", "dan"))
    town.dispatcher.leave(ann)
    town.dispatcher.leave(dan)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (rider_cancels, [("cancelled", "dan")]),
        (driver_arrives, [("ended", "dan")]),
        (driver_stops_work, [("ended", "dan")]),
        (driver_vanishes, [("driver_lost", "dan")]),
        (both_vanish_on_the_trip, [("ended", "dan")]),
        (both_vanish_before_the_pickup, [("driver_lost", "dan"), ("ended", None)]),
    ],
)
def test_what_becomes_of_a_ride(operation: Callable[[Town], None], expected: list[tuple[str, str | None]]) -> None:
    town = matched()
    operation(town)
    assert town.events == [("matched", "r", "ann", "dan"), *((event, "r", "ann", who) for event, who in expected)]


def test_a_request_that_is_given_up_and_one_that_nobody_answers() -> None:
    town = Town()
    town.says(town.rider("ann", "r"), Status.CANCELLED)
    town.rider("bob", "s")
    town.time_s = TIMEOUT_S
    town.window()
    assert town.events == [("cancelled", "r", "ann", None), ("no_driver", "s", "bob", None)]


@pytest.mark.parametrize(
    ("deaf", "expected"),
    [
        ("ann", [("cancelled", "r", "ann", None)]),
        ("dan", [("matched", "r", "ann", "dan"), ("driver_lost", "r", "ann", "dan")]),
    ],
)
def test_who_cannot_be_told(deaf: str, expected: list[object]) -> None:
    town = Town()
    town.rider("ann", "r")
    town.driver("dan")
    town.notifier.deaf = {deaf}
    town.window()
    assert town.events == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATIONS, max_size=60))
def test_every_story_makes_sense_and_is_told_to_its_end(operations: list[Operation]) -> None:
    town = Town()
    for name in NAMES:
        town.user(name)
    for operation in operations:
        operation(town)
    by_ride = groupby(sorted(town.events, key=lambda event: event[1]), key=lambda event: event[1])
    under_way = {ride_id for ride_id, story in by_ride if _follow([event for event, *_ in story])}
    rides = town.dispatcher.rides
    assert under_way <= rides.keys()
    assert {ride_id for ride_id, ride in rides.items() if ride.driver} <= under_way


def _follow(story: list[str]) -> str:
    """The last event of a ride that goes on; empty if it is over."""
    last = ""
    for event in story:
        assert event in NEXT[last]
        last = event if event in NEXT else ""
    return last
