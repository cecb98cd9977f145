"""The dispatcher's rules, one by one."""

import pytest

from ride_trio.errors import BadRequestError, IllegalTransitionError
from ride_trio.matching import Phase, Status, User
from tests.matching.town import TIMEOUT_S, Town


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def pair(town: Town) -> tuple[User, User]:
    """A rider and a driver who have just been matched in the ride "r"."""
    rider, driver = town.rider("ann", "r"), town.driver("dan")
    town.window()
    assert town.notifier.news() == [("matched", "ann", "r"), ("matched", "dan", "r")]
    return rider, driver


# -------------------------------------------------------------------- asking


def test_looking_needs_a_place(town: Town) -> None:
    ann = town.user("ann", lat=None)
    with pytest.raises(BadRequestError, match="position"):
        town.says(ann, Status.LOOKING, "r")
    assert ann.phase is Phase.IDLE


def test_looking_without_an_id_gets_one_and_repeats_find_it(town: Town) -> None:
    ann = town.user("ann")
    made = town.says(ann, Status.LOOKING)
    assert made
    assert town.says(ann, Status.LOOKING) == made
    assert town.says(ann, Status.LOOKING, made) == made
    assert list(town.dispatcher.rides) == [made]


def test_the_answers_correlation_id_is_the_messages_then_the_rides(town: Town) -> None:
    ann, bob = town.user("ann"), town.user("bob")
    assert town.says(ann, Status.LOOKING, "r", "m") == "m"
    assert town.says(bob, Status.LOOKING, "s") == "s"
    assert town.dispatcher.rides["r"].correlation_id == "m"
    assert town.says(ann, Status.LOOKING, "r", "m2") == "m2"
    assert town.dispatcher.rides["r"].correlation_id == "m"


def test_a_second_ride_is_illegal_and_told_of_the_first(town: Town) -> None:
    ann = town.rider("ann", "r")
    with pytest.raises(IllegalTransitionError, match="'r'"):
        town.says(ann, Status.LOOKING, "s")
    town.driver("dan")
    town.window()
    with pytest.raises(IllegalTransitionError, match="'r'"):
        town.says(ann, Status.LOOKING, "s")


def test_anothers_ride_id_is_refused(town: Town) -> None:
    town.rider("ann", "r")
    bob = town.user("bob")
    with pytest.raises(BadRequestError, match="another"):
        town.says(bob, Status.LOOKING, "r")


def test_an_unanswered_request_ends_in_no_driver(town: Town) -> None:
    ann = town.rider("ann", "r")
    town.time_s = TIMEOUT_S - 0.1
    town.window()
    assert town.notifier.news() == []
    town.time_s = TIMEOUT_S
    town.window()
    assert town.notifier.news() == [("no_driver", "ann", "r")]
    assert ann.phase is Phase.IDLE
    assert town.outcome("no_driver") == 1
    assert town.says(ann, Status.LOOKING, "r") == "r"


# -------------------------------------------------------------------- matching


def test_first_come_first_served_with_the_nearest(town: Town) -> None:
    near, far = town.driver("near", 37.771), town.driver("far", 37.79)
    ann, bob = town.rider("ann", "1"), town.rider("bob", "2")
    town.window()
    assert ann.ride is not None
    assert bob.ride is not None
    assert (ann.ride.driver, bob.ride.driver) == (near, far)
    assert town.outcome("matched") == 2
    assert ann.ride.eta_s == 18  # 111 m


def test_of_two_as_near_the_one_free_for_longer(town: Town) -> None:
    late, early = town.user("late"), town.user("early")
    town.says(early, Status.AVAILABLE)
    town.says(late, Status.AVAILABLE)
    town.says(early, Status.AVAILABLE)  # a repeat does not cost the turn
    ann = town.rider("ann", "r")
    town.window()
    assert ann.ride is not None
    assert ann.ride.driver is early


def test_nobody_beyond_the_radius(town: Town) -> None:
    town.driver("dan", 37.77 + 0.046)  # 5,115 m
    town.rider("ann", "r")
    town.window()
    assert town.notifier.news() == []


def test_a_driver_without_a_place_is_matched_once_it_is_known(town: Town) -> None:
    dan = town.user("dan", lat=None)
    town.says(dan, Status.AVAILABLE)
    town.rider("ann", "r")
    town.window()
    assert town.notifier.news() == []
    town.move(dan, 37.77, -122.41)
    town.window()
    assert ("matched", "dan", "r") in town.notifier.news()


def test_a_driver_is_found_where_it_is_now(town: Town) -> None:
    dan = town.driver("dan", 10.0)
    town.move(dan, 37.77, -122.41)
    town.rider("ann", "r")
    town.window()
    assert len(town.notifier.news()) == 2


def test_a_driver_who_looks_for_a_ride_is_not_matched_with_themself(town: Town) -> None:
    dan = town.driver("dan")
    town.says(dan, Status.LOOKING, "r")
    town.window()
    assert town.notifier.news() == []
    with pytest.raises(IllegalTransitionError):
        town.says(dan, Status.AVAILABLE)


def test_who_never_said_available_is_never_matched(town: Town) -> None:
    town.user("dan")
    town.rider("ann", "r")
    town.window()
    assert town.notifier.news() == []


def test_a_rider_who_cant_be_told_leaves_the_driver_free(town: Town) -> None:
    ann, dan = town.rider("ann", "r"), town.driver("dan")
    town.notifier.deaf = {"ann"}
    town.window()
    assert (ann.phase, dan.phase) == (Phase.IDLE, Phase.FREE)
    town.rider("bob", "s")
    town.window()
    assert town.notifier.news() == [("matched", "bob", "s"), ("matched", "dan", "s")]


def test_a_driver_who_cant_be_told_is_lost_and_the_rider_goes_on_looking(town: Town) -> None:
    ann, dan = town.rider("ann", "r"), town.driver("dan")
    town.notifier.deaf = {"dan"}
    town.window()
    assert town.notifier.news() == [("matched", "ann", "r"), ("driver_lost", "ann", "r")]
    assert (ann.phase, dan.phase) == (Phase.WAITING, Phase.OFFLINE)


# -------------------------------------------------------------------- a ride's end


@pytest.mark.parametrize("progress", [Status.EN_ROUTE_TO_PICKUP, Status.AT_PICKUP, Status.ON_TRIP])
def test_available_after_progress_frees_both(town: Town, pair: tuple[User, User], progress: Status) -> None:
    rider, driver = pair
    town.says(driver, progress, "r")
    town.says(driver, Status.AVAILABLE)
    assert (rider.phase, driver.phase) == (Phase.IDLE, Phase.FREE)
    assert town.dispatcher.rides == {}


@pytest.mark.parametrize("ride_id", ["", "another"])
def test_available_right_after_the_match_is_a_repeat(town: Town, pair: tuple[User, User], ride_id: str) -> None:
    _, driver = pair
    town.says(driver, Status.AVAILABLE, ride_id)
    assert driver.phase is Phase.MATCHED


def test_available_that_names_the_ride_ends_it(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.says(driver, Status.AVAILABLE, "r")
    assert (rider.phase, driver.phase) == (Phase.IDLE, Phase.FREE)


@pytest.mark.parametrize("status", [Status.EN_ROUTE_TO_PICKUP, Status.AT_PICKUP, Status.ON_TRIP])
def test_progress_of_another_ride_is_illegal(town: Town, pair: tuple[User, User], status: Status) -> None:
    _, driver = pair
    with pytest.raises(IllegalTransitionError, match="'r'"):
        town.says(driver, status, "another")
    assert driver.phase is Phase.MATCHED


@pytest.mark.parametrize("ride_id", ["", "r"])
def test_cancelled_frees_both(town: Town, pair: tuple[User, User], ride_id: str) -> None:
    rider, driver = pair
    town.says(rider, Status.CANCELLED, ride_id)
    assert (rider.phase, driver.phase) == (Phase.IDLE, Phase.FREE)
    with pytest.raises(IllegalTransitionError):
        town.says(driver, Status.EN_ROUTE_TO_PICKUP, "r")


def test_cancelled_ends_a_waiting_request(town: Town) -> None:
    ann = town.rider("ann", "r")
    town.says(ann, Status.CANCELLED)
    town.driver("dan")
    town.window()
    assert town.notifier.news() == []
    assert town.outcome("cancelled") == 1
    with pytest.raises(IllegalTransitionError):
        town.says(ann, Status.CANCELLED)


@pytest.mark.parametrize("progress", [None, Status.EN_ROUTE_TO_PICKUP, Status.AT_PICKUP])
@pytest.mark.parametrize("how", ["offline", "gone"])
def test_a_driver_lost_before_the_pickup_puts_the_rider_back_in_its_turn(
    town: Town, pair: tuple[User, User], progress: Status | None, how: str
) -> None:
    rider, driver = pair
    town.rider("bob", "later")
    if progress:
        town.says(driver, progress)
    town.time_s = 25.0
    if how == "offline":
        town.says(driver, Status.OFFLINE)
    else:
        town.dispatcher.leave(driver)
    assert town.notifier.news() == [("driver_lost", "ann", "r")]
    assert rider.phase is Phase.WAITING
    assert [ride.ride_id for ride in town.dispatcher.in_order()] == ["r", "later"]
    town.time_s = 25.0 + TIMEOUT_S - 1
    town.window()
    assert town.notifier.news() == [("no_driver", "bob", "later")]
    town.driver("eve")
    town.window()
    assert town.notifier.news() == [("matched", "ann", "r"), ("matched", "eve", "r")]
    assert rider.phase is Phase.RIDING
    assert town.outcome("driver_lost") == 1


def test_a_driver_lost_on_the_trip_keeps_the_ride_and_frees_it_when_back(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.says(driver, Status.ON_TRIP)
    town.dispatcher.leave(driver)
    assert town.notifier.news() == []
    back = town.dispatcher.join("dan")
    assert back.phase is Phase.ON_TRIP
    town.says(back, Status.AVAILABLE)
    assert (rider.phase, back.phase) == (Phase.IDLE, Phase.FREE)


def test_offline_on_the_trip_ends_it(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.says(driver, Status.ON_TRIP)
    town.says(driver, Status.OFFLINE)
    assert (rider.phase, driver.phase) == (Phase.IDLE, Phase.OFFLINE)


def test_a_ride_without_anybody_is_forgotten(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.says(driver, Status.ON_TRIP)
    town.dispatcher.leave(rider)
    assert set(town.dispatcher.users) == {"ann", "dan"}
    town.dispatcher.leave(driver)
    assert town.dispatcher.users == {}
    assert town.dispatcher.rides == {}


def test_a_rider_gone_from_a_ride_leaves_it_to_the_driver(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.dispatcher.leave(rider)
    assert driver.phase is Phase.MATCHED
    town.says(driver, Status.EN_ROUTE_TO_PICKUP)
    town.says(driver, Status.AVAILABLE)
    assert driver.phase is Phase.FREE
    assert set(town.dispatcher.users) == {"dan"}


def test_a_repeated_request_of_a_matched_rider_is_nothing_new(town: Town, pair: tuple[User, User]) -> None:
    rider, _ = pair
    assert town.says(rider, Status.LOOKING, "r") == "r"
    assert town.notifier.news() == []


def test_either_side_of_a_ride_can_be_reminded_of_it(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    town.dispatcher.remind(rider)
    town.dispatcher.remind(driver)
    assert town.notifier.news() == [("matched", rider.user_id, "r"), ("matched", driver.user_id, "r")]


def test_nobody_is_reminded_of_a_request_that_waits(town: Town) -> None:
    town.dispatcher.remind(town.rider("ann", "r"))
    town.dispatcher.remind(town.user("bob"))
    assert town.notifier.news() == []


def test_a_waiting_rider_who_goes_is_not_matched(town: Town) -> None:
    ann = town.rider("ann", "r")
    town.dispatcher.leave(ann)
    town.driver("dan")
    town.window()
    assert town.notifier.news() == []
    assert set(town.dispatcher.users) == {"dan"}


# -------------------------------------------------------------------- other business


def test_a_passenger_from_the_street_keeps_a_driver_busy(town: Town) -> None:
    dan = town.driver("dan")
    town.says(dan, Status.ON_TRIP)
    town.rider("ann", "r")
    town.window()
    assert town.notifier.news() == []
    town.says(dan, Status.AVAILABLE)
    town.window()
    assert len(town.notifier.news()) == 2


def test_an_offline_driver_is_not_matched(town: Town) -> None:
    dan = town.driver("dan")
    town.says(dan, Status.OFFLINE)
    town.rider("ann", "r")
    town.window()
    assert town.notifier.news() == []


def test_a_nameless_user_becomes_the_named_one_as_it_is(town: Town) -> None:
    nameless = town.driver("0000")
    nameless.plate = "XY 1"
    dan = town.dispatcher.rename(nameless, "dan")
    assert dan is nameless
    assert (dan.user_id, dan.phase) == ("dan", Phase.FREE)
    assert set(town.dispatcher.users) == {"dan"}


def test_what_a_nameless_user_has_asked_for_holds_under_its_name(town: Town) -> None:
    town.user("ann")
    nameless = town.rider("0000", "r")
    ann = town.dispatcher.rename(nameless, "ann")
    town.check()
    town.driver("dan")
    town.window()
    assert town.notifier.news() == [("matched", "ann", "r"), ("matched", "dan", "r")]
    assert ann.phase is Phase.RIDING


def test_a_nameless_driver_is_free_under_its_name(town: Town) -> None:
    town.rider("dan", "of-dan")
    town.says(town.dispatcher.users["dan"], Status.CANCELLED)
    dan = town.dispatcher.rename(town.driver("0000"), "dan")
    town.check()
    assert dan.phase is Phase.FREE


def test_a_second_request_under_another_name_is_answered(town: Town) -> None:
    ann = town.rider("ann", "first")
    nameless = town.rider("0000", "second")
    assert town.dispatcher.rename(nameless, "ann") is ann
    town.check()
    assert town.notifier.news() == [("no_driver", "ann", "second")]
    assert list(town.dispatcher.rides) == ["first"]


def test_a_nameless_user_joins_the_one_known_by_its_name(town: Town) -> None:
    known = town.driver("dan", 10.0)
    nameless = town.user("0000", 37.77)
    nameless.plate = "XY 1"
    assert town.dispatcher.rename(nameless, "dan") is known
    assert (known.lat, known.plate, known.phase) == (37.77, "XY 1", Phase.FREE)
    assert set(town.dispatcher.users) == {"dan"}
    town.rider("ann", "r")
    town.window()
    assert len(town.notifier.news()) == 2


def test_everything_explains_itself(town: Town, pair: tuple[User, User]) -> None:
    rider, driver = pair
    assert repr(rider) == "<User ann RIDING, ride r>"
    assert repr(driver.ride) == "<Ride r: ann with dan>"
    assert repr(town.dispatcher) == "<Dispatcher 2 users, 0 waiting, 0 free>"
