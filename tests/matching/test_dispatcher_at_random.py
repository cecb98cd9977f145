"""Whatever people say, in whatever order, and whoever vanishes: nobody is in two rides."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from ride_trio.errors import RequestError
from ride_trio.matching import Phase, Status
from tests.matching.town import Town

NAMES = ["ann", "bob", "cat", "dan"]
LATITUDES = [37.770, 37.775, 37.79, 38.9]

Operation = Callable[[Town], None]
names = st.sampled_from(NAMES)


def says(name: str, status: Status, ride: str) -> Operation:
    def operation(town: Town) -> None:
        user = town.dispatcher.users.get(name)
        if user is None or not user.live:
            return
        ride_id = user.ride.ride_id if ride == "own" and user.ride else ride
        before = user.phase
        try:
            town.says(user, status, ride_id)
        except RequestError:
            assert user.phase is before

    return operation


def join(name: str) -> Operation:
    return lambda town: void(town.dispatcher.join(name))


def leave(name: str) -> Operation:
    def operation(town: Town) -> None:
        user = town.dispatcher.users.get(name)
        if user is not None and user.live:
            town.dispatcher.leave(user)

    return operation


def move(name: str, latitude: float) -> Operation:
    def operation(town: Town) -> None:
        user = town.dispatcher.users.get(name)
        if user is not None and user.live:
            town.move(user, latitude, -122.41)

    return operation


def rename(name: str) -> Operation:
    def operation(town: Town) -> None:
        town.dispatcher.rename(town.user("0000"), name)

    return operation


def deaf(who: frozenset[str]) -> Operation:
    return lambda town: setattr(town.notifier, "deaf", set(who))


def wait(seconds: float) -> Operation:
    return lambda town: setattr(town, "time_s", town.time_s + seconds)


def void(_: object) -> None:
    """An operation returns nothing."""


OPERATIONS = st.one_of(
    st.builds(says, names, st.sampled_from(Status), st.sampled_from(["", "own", "x", "y"])),
    st.builds(says, names, st.sampled_from([Status.LOOKING, Status.AVAILABLE]), st.just("")),
    st.builds(join, names),
    st.builds(leave, names),
    st.builds(move, names, st.sampled_from(LATITUDES)),
    st.builds(rename, names),
    st.builds(says, st.just("0000"), st.sampled_from(Status), st.just("")),
    st.builds(deaf, st.frozensets(names, max_size=2)),
    st.builds(wait, st.sampled_from([1.0, 20.0])),
    st.just(Town.window),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(OPERATIONS, max_size=60))
def test_the_invariants_hold_after_every_operation(operations: list[Operation]) -> None:
    town = Town()
    for name in NAMES:
        town.user(name)
    for operation in operations:
        operation(town)
        town.check()


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATIONS, max_size=40))
def test_every_request_is_answered_in_the_end(operations: list[Operation]) -> None:
    town = Town()
    for name in NAMES:
        town.user(name)
    for operation in operations:
        operation(town)
    for _ in range(4):  # a driver who can't be told puts its rider back, each at most once
        town.time_s += 31
        town.window()
    assert town.dispatcher.waiting == {}
    assert not [user for user in town.dispatcher.users.values() if user.phase is Phase.WAITING]


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATIONS, max_size=60))
def test_when_all_have_gone_nothing_is_left(operations: list[Operation]) -> None:
    town = Town()
    for operation in operations:
        operation(town)
    for user in list(town.dispatcher.users.values()):
        if user.live:
            town.dispatcher.leave(user)
    dispatcher = town.dispatcher
    assert (dispatcher.users, dispatcher.rides, dispatcher.waiting, len(dispatcher.free)) == ({}, {}, {}, 0)
