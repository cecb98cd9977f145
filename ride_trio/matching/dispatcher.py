"""The dispatcher: users, their requests and rides, and every decision about them.

Everything here is synchronous and so atomic: a method leaves all of it consistent, whatever it told whom.

Invariants, checked by a test after every operation:

- A live ride is held by its rider (WAITING or RIDING) and, once matched, by its driver, and by nobody else.
- The index of free drivers holds exactly the live users who are FREE and whose place is known.
- A user without a session is kept only while in a matched ride whose other side has one.

State hangs on the user, not on the session, so a takeover changes nothing here: `join` finds the user as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol
from uuid import uuid4

from ride_trio.errors import BadRequestError, IllegalTransitionError
from ride_trio.matching.geo import eta_s
from ride_trio.matching.index import CellIndex
from ride_trio.matching.state import Ride, User
from ride_trio.matching.states import BEFORE_PICKUP, PROGRESS, Phase, Status, Step, step_for
from ride_trio.metrics import RideMetrics

# Steps that are about the user's own ride: a status that names another one is refused.
_OF_ITS_RIDE: Final = frozenset({Step.REPEAT_ASK, Step.CANCEL_REQUEST, Step.CANCEL_RIDE, Step.ADVANCE})


class Notifier(Protocol):
    """How users hear of decisions. Synchronous; must not call back into the dispatcher.

    A message that can't be delivered ends that user's session: the transport then calls `Dispatcher.leave`.
    """

    def matched(self, user: User, ride: Ride) -> bool:
        """Tell one side of its ride. False: this user can't be told any more."""

    def no_driver(self, ride: Ride) -> None:
        """Tell the rider that nobody was found in time."""

    def driver_lost(self, ride: Ride) -> None:
        """Tell the rider that the driver has gone and the search goes on."""


class Dispatcher:
    """See the module's text.

    Args:
        notifier: tells users.
        metrics: counts outcomes and waits.
        now: the clock, s.
        match_radius_m: how far a driver may be from the rider, metres.
        match_timeout_s: how long a request waits for a driver, seconds.

    Attributes:
        on_event: called when a ride is matched, no_driver, cancelled, driver_lost or ended, with that and the ride,
            which still has its rider and, if it had one, its driver. Must not call back.
    """

    def __init__(
        self,
        notifier: Notifier,
        metrics: RideMetrics,
        now: Callable[[], float],
        *,
        match_radius_m: float,
        match_timeout_s: float,
    ) -> None:
        self.users: dict[str, User] = {}
        self.rides: dict[str, Ride] = {}  # requests too
        self.free: CellIndex[User] = CellIndex()
        self.waiting: dict[str, Ride] = {}  # by ride id
        self.on_event: Callable[[str, Ride], None] = lambda event, ride: None
        self._notifier = notifier
        self._metrics = metrics
        self._now = now
        self._radius_m = match_radius_m
        self._timeout_s = match_timeout_s
        self._arrivals = 0
        self._releases = 0

    def __repr__(self) -> str:
        return f"<Dispatcher {len(self.users)} users, {len(self.waiting)} waiting, {len(self.free)} free>"

    # ------------------------------------------------------------------ users come and go

    def join(self, user_id: str) -> User:
        """The user of a session that has begun: a new one, or the one known by that name, as it was."""
        user = self.users.get(user_id)
        if user is None:
            user = self.users[user_id] = User(user_id)
        user.live = True
        return user

    def leave(self, user: User) -> None:
        """The user's session has ended and no other has taken over."""
        user.live = False
        self.free.remove(user)
        ride = user.ride
        if user.phase is Phase.WAITING and ride is not None:
            self._answered(ride, "cancelled")
        elif user.phase in BEFORE_PICKUP and ride is not None:
            self._lose_driver(ride)
        elif ride is not None:
            self._leave_ride(ride)
        self._forget_if_gone(user)

    def rename(self, user: User, user_id: str) -> User:
        """A session under a made-up name says who it is: its user becomes that one, or joins the one known so."""
        known = self.users.get(user_id)
        if known is None:
            del self.users[user.user_id]
            user.user_id = user_id
            self.users[user_id] = user
            return user
        known.live = True
        known.plate = user.plate or known.plate
        if user.cell is not None:
            known.lat, known.lng = user.lat, user.lng
            self.moved(known, user.cell)
        if known.ride is None:
            self._hand_over(user, known)
        elif user.ride is not None and user.is_waiting:
            self._refuse_second(user.ride, known)
        self.leave(user)
        return known

    def _hand_over(self, user: User, known: User) -> None:
        """What a session has said before it gave its name holds under the name, too."""
        ride = user.ride
        if user.phase is Phase.FREE:
            self._become_free(known)
        elif user.phase is not Phase.IDLE:
            self._stop_being_free(known, user.phase)
        if ride is not None:
            known.ride = ride
            if ride.rider is user:
                ride.rider = known
            else:
                ride.driver = known
            user.phase, user.ride = Phase.IDLE, None

    def _refuse_second(self, ride: Ride, known: User) -> None:
        """A nameless session's request, and the name turns out to be that of somebody who is in a ride."""
        self._answered(ride, "cancelled")
        ride.rider = known
        self._notifier.no_driver(ride)

    def remind(self, user: User) -> None:
        """Tell a user of its ride once more: the session that was told has been taken over, or has ended."""
        ride = user.ride
        if ride is not None and ride.driver is not None:
            self._notifier.matched(user, ride)

    def moved(self, user: User, cell: int) -> None:
        """The user's newest position, already in `lat` and `lng`, is the first one, or in another cell."""
        user.cell = cell
        if user.phase is Phase.FREE and user.live:
            self.free.file(user, cell)

    def _leave_ride(self, ride: Ride) -> None:
        """A rider with a driver, or a driver on a trip: the ride goes on without the stream, unless both are gone."""
        if not ride.rider.live and (ride.driver is None or not ride.driver.live):
            self._finish(ride)

    def _forget_if_gone(self, user: User) -> None:
        if not user.live and user.ride is None:
            self.users.pop(user.user_id, None)

    # ------------------------------------------------------------------ what users say

    def report(self, user: User, status: Status, ride_id: str, message_id: str) -> str:
        """Take what a user says it is doing.

        Args:
            user: a live one.
            status: what it says.
            ride_id: the ride it says it of; may be empty.
            message_id: the message's own id; may be empty.

        Returns:
            The correlation id of the answer: the message's id, else the ride's, which LOOKING makes if it must.

        Raises:
            BadRequestError: LOOKING from an unknown place, or about another's ride.
            IllegalTransitionError: it means nothing in the user's phase, or names another ride than the user's.
        """
        step = step_for(user.phase, status)
        if step in _OF_ITS_RIDE:
            self._check_names(user, status, ride_id)
        if step is Step.ASK:
            return self._ask(user, ride_id, message_id)
        if step is Step.REPEAT_ASK and user.ride is not None:
            ride_id = user.ride.ride_id
        elif step is Step.ADVANCE:
            user.phase = PROGRESS[status]
        else:
            self._take(user, step, ride_id)
        return message_id or ride_id

    def _check_names(self, user: User, status: Status, ride_id: str) -> None:
        current = user.ride
        if current is not None and ride_id and ride_id != current.ride_id:
            raise IllegalTransitionError(f"{status.name} names {ride_id!r}, the current ride is {current.ride_id!r}")

    def _ask(self, rider: User, ride_id: str, message_id: str) -> str:
        if rider.cell is None:
            raise BadRequestError("LOOKING needs a position first: send a location_update")
        if ride_id in self.rides:
            raise BadRequestError(f"the ride {ride_id!r} is another user's")
        self.free.remove(rider)
        ride_id = ride_id or uuid4().hex
        now = self._now()
        self._arrivals += 1
        ride = Ride(ride_id, message_id or ride_id, rider, self._arrivals, now, now + self._timeout_s)
        rider.phase = Phase.WAITING
        rider.ride = self.rides[ride_id] = self.waiting[ride_id] = ride
        return ride.correlation_id

    def _take(self, user: User, step: Step, ride_id: str) -> None:
        """The steps that end something or change what a driver is."""
        ride = user.ride
        match step, ride:
            case Step.BECOME_FREE, _:
                self._become_free(user)
            case Step.TAKE_HAIL, _:
                self._stop_being_free(user, Phase.HAILED)
            case Step.GO_OFFLINE, _:
                self._stop_being_free(user, Phase.OFFLINE)
            case Step.RELEASE, Ride():
                self._release(user, ride)
            case Step.RELEASE_IF_NAMED, Ride(ride_id=current) if current == ride_id:
                self._release(user, ride)
            case Step.CANCEL_REQUEST, Ride():
                self._answered(ride, "cancelled")
            case Step.CANCEL_RIDE, Ride():
                self._cancel_ride(ride)
            case Step.LOSE_DRIVER, Ride():
                self._lose_driver(ride)
            case Step.END_TRIP, Ride():
                self._finish(ride)
                user.phase = Phase.OFFLINE

    # ------------------------------------------------------------------ drivers become free, and stop being it

    def _become_free(self, driver: User) -> None:
        driver.phase = Phase.FREE
        self._releases += 1
        driver.free_since = self._releases
        if driver.cell is not None and driver.live:
            self.free.file(driver, driver.cell)

    def _stop_being_free(self, driver: User, phase: Phase) -> None:
        driver.phase = phase
        self.free.remove(driver)

    def _release(self, driver: User, ride: Ride) -> None:
        self._finish(ride)
        self._become_free(driver)

    # ------------------------------------------------------------------ rides end

    def _cancel_ride(self, ride: Ride) -> None:
        """The rider calls it off: a driver who is still there is free at once."""
        driver = ride.driver
        self._count("cancelled", ride)
        self._end_ride(ride)
        if driver is not None and driver.live:
            self._become_free(driver)

    def _count(self, outcome: str, ride: Ride) -> None:
        self._metrics.match_outcome(outcome).n += 1
        self.on_event(outcome, ride)

    def _finish(self, ride: Ride) -> None:
        """A ride that had a driver is over."""
        self.on_event("ended", ride)
        self._end_ride(ride)

    def _end_ride(self, ride: Ride) -> None:
        """Part rider and driver; both are idle."""
        del self.rides[ride.ride_id]
        for user in (ride.rider, ride.driver):
            if user is not None:
                user.phase, user.ride = Phase.IDLE, None
                self._forget_if_gone(user)
        ride.driver = None

    def _answered(self, ride: Ride, outcome: str) -> None:
        """A waiting request is over."""
        del self.waiting[ride.ride_id]
        self._count(outcome, ride)
        self._end_ride(ride)

    def _lose_driver(self, ride: Ride) -> None:
        """The driver is gone before the pickup: the rider looks again, in its old turn and with a fresh timeout."""
        driver, rider = ride.driver, ride.rider
        assert driver is not None
        self._count("driver_lost", ride)
        driver.phase, driver.ride = Phase.OFFLINE, None
        ride.driver = None
        self._forget_if_gone(driver)
        if not rider.live:
            self._finish(ride)
            return
        ride.deadline = self._now() + self._timeout_s
        rider.phase = Phase.WAITING
        self.waiting[ride.ride_id] = ride
        self._notifier.driver_lost(ride)

    # ------------------------------------------------------------------ matching

    def in_order(self) -> list[Ride]:
        """The waiting requests, first come first."""
        return sorted(self.waiting.values(), key=lambda ride: ride.arrival)

    def match(self, ride: Ride) -> bool:
        """Give a waiting request the nearest free driver within the radius, and tell both.

        The rider is told first: if that fails, no driver has heard of anything. If the driver then can't be told,
        it is a lost driver.

        Returns:
            False if the request is not waiting any more, there is nobody, or the rider can't be told.
        """
        rider = ride.rider
        if self.waiting.get(ride.ride_id) is not ride:
            return False
        found = self.free.nearest(rider.lat, rider.lng, self._radius_m)
        if found is None:
            return False
        driver, distance_m = found
        ride.driver, ride.eta_s = driver, eta_s(distance_m)
        if not self._notifier.matched(rider, ride):
            ride.driver = None
            self._answered(ride, "cancelled")
            return False
        self._pair(ride, driver)
        if not self._notifier.matched(driver, ride):
            self._lose_driver(ride)
        return True

    def _pair(self, ride: Ride, driver: User) -> None:
        del self.waiting[ride.ride_id]
        self.free.remove(driver)
        ride.rider.phase = Phase.RIDING
        driver.phase, driver.ride = Phase.MATCHED, ride
        self._count("matched", ride)
        self._metrics.match_wait.observe(self._now() - ride.asked_at)

    def expire(self) -> None:
        """Answer NO_DRIVER_FOUND to every request whose time is up."""
        now = self._now()
        for ride in [ride for ride in self.waiting.values() if ride.deadline <= now]:
            self._answered(ride, "no_driver")
            self._notifier.no_driver(ride)
