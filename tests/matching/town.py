"""A dispatcher with a clock to turn and a notifier that keeps what it was told."""

from ride_trio.matching import Dispatcher, Phase, Ride, Status, User
from ride_trio.matching.states import WITH_RIDE
from ride_trio.metrics import RideMetrics
from ride_trio.sessions import cell_of

RADIUS_M = 5_000.0
TIMEOUT_S = 30.0


class FakeNotifier:
    """Remembers, in order, `(what, user_id, ride_id)`. Users in `deaf` can't be told of a match."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.deaf: set[str] = set()

    def matched(self, user: User, ride: Ride) -> bool:
        if user.user_id in self.deaf:
            return False
        self.told.append(("matched", user.user_id, ride.ride_id))
        return True

    def no_driver(self, ride: Ride) -> None:
        self.told.append(("no_driver", ride.rider.user_id, ride.ride_id))

    def driver_lost(self, ride: Ride) -> None:
        self.told.append(("driver_lost", ride.rider.user_id, ride.ride_id))

    def news(self) -> list[tuple[str, str, str]]:
        """What was told since the last look."""
        news, self.told = self.told, []
        return news


class Town:
    """People and their dispatcher.

    Attributes:
        events: what its listener was told, in order: `(event, ride_id, rider, driver)`.
    """

    def __init__(self) -> None:
        self.time_s = 0.0
        self.notifier = FakeNotifier()
        self.metrics = RideMetrics()
        self.dispatcher = Dispatcher(
            self.notifier, self.metrics, lambda: self.time_s, match_radius_m=RADIUS_M, match_timeout_s=TIMEOUT_S
        )
        self.dispatcher.on_event = self._note
        self.events: list[tuple[str, str, str, str | None]] = []

    def _note(self, event: str, ride: Ride) -> None:
        driver = None if ride.driver is None else ride.driver.user_id
        self.events.append((event, ride.ride_id, ride.rider.user_id, driver))

    def user(self, name: str, lat: float | None = 37.77, lng: float = -122.41) -> User:
        """Somebody with a session, and with a place unless `lat` is None."""
        user = self.dispatcher.join(name)
        if lat is not None:
            self.move(user, lat, lng)
        return user

    def move(self, user: User, lat: float, lng: float) -> None:
        user.lat, user.lng = lat, lng
        cell = cell_of(lat, lng)
        if cell != user.cell:
            self.dispatcher.moved(user, cell)

    def says(self, user: User, status: Status, ride_id: str = "", message_id: str = "") -> str:
        return self.dispatcher.report(user, status, ride_id, message_id)

    def rider(self, name: str, ride_id: str, lat: float = 37.77) -> User:
        user = self.user(name, lat)
        self.says(user, Status.LOOKING, ride_id)
        return user

    def driver(self, name: str, lat: float = 37.77) -> User:
        user = self.user(name, lat)
        self.says(user, Status.AVAILABLE)
        return user

    def window(self) -> None:
        for ride in self.dispatcher.in_order():
            self.dispatcher.match(ride)
        self.dispatcher.expire()

    def outcome(self, name: str) -> int:
        return self.metrics.match_outcome(name).n

    def check(self) -> None:
        """The invariants that `dispatcher` promises."""
        users, rides = self.dispatcher.users, self.dispatcher.rides
        assert all(users[user_id].user_id == user_id for user_id in users)
        assert all(rides[ride_id].ride_id == ride_id for ride_id in rides)
        for ride in rides.values():
            self._check_ride(ride)
        for user in users.values():
            self._check_user(user)
        waiting = {ride.ride_id for ride in rides.values() if ride.driver is None}
        assert self.dispatcher.waiting.keys() == waiting

    def _check_ride(self, ride: Ride) -> None:
        users = self.dispatcher.users
        assert users[ride.rider.user_id] is ride.rider
        assert ride.rider.ride is ride
        assert ride.rider.phase is (Phase.WAITING if ride.driver is None else Phase.RIDING)
        if ride.driver is None:
            assert ride.rider.live
            return
        assert users[ride.driver.user_id] is ride.driver
        assert ride.driver is not ride.rider
        assert ride.driver.ride is ride
        assert ride.driver.phase in WITH_RIDE
        assert ride.driver.live or (ride.rider.live and ride.driver.phase is Phase.ON_TRIP)

    def _check_user(self, user: User) -> None:
        has_ride = user.phase in (*WITH_RIDE, Phase.WAITING, Phase.RIDING)
        assert (user.ride is not None) == has_ride
        if user.ride is not None:
            assert self.dispatcher.rides[user.ride.ride_id] is user.ride
            assert user in (user.ride.rider, user.ride.driver)
        free = user.live and user.phase is Phase.FREE and user.cell is not None
        assert (user in self.dispatcher.free) == free
        assert user.live or user.ride is not None
