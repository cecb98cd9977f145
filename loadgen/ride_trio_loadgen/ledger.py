"""What the server promised about rides, checked from what the clients were told.

The generator sits on many connections, and what it reads from two of them has no common order. So every rule
is checked where one stream alone decides it:

- a driver's stream: MatchEvent, own release, MatchEvent, ... A second MatchEvent before the release was sent
  is a driver in two rides. So is nothing that the rider's side shows: its news may be older or newer than the
  driver's.
- a rider's stream: LOOKING, MatchEvent, perhaps `DRIVER_LOST`, MatchEvent, ... likewise.
- both sides got the same pair: compared when the run is over, because either side may hear first.

A request ends in a MatchEvent or in `NO_DRIVER_FOUND`, once; what is still open at the end is `unanswered`.

Error kinds of this file: driver_in_two_rides, rider_in_two_rides, match_twice, match_unknown_ride,
match_wrong_user, match_wrong_plate, match_dead_driver, match_unavailable_driver, match_one_sided,
match_after_cancel, answered_twice, answer_unexpected, unanswered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from ride_trio_loadgen.geometry import Place, Route
from ride_trio_loadgen.tally import Tally

# Seconds: how long after a driver's session has ended the server may still match it. A vanished client is to
# be gone within one.
GONE_SLACK_S = 1.0


class Told(Protocol):
    """A MatchEvent: the fields that are checked."""

    ride_id: str
    driver_id: str
    rider_id: str
    vehicle_plate: str


class Phase(Enum):
    """A request's life, as its rider's stream tells it."""

    LOOKING = auto()
    MATCHED = auto()
    NO_DRIVER = auto()
    REFUSED = auto()  # the LOOKING was acked with success=false
    CANCELLED = auto()  # said by the rider
    OVER = auto()  # the driver has released it


@dataclass(slots=True, eq=False)
class Ride:
    """One request, and the ride that comes of it.

    Args:
        trip_s: seconds of city time from pickup to drop-off; None: as long as the way takes.
        guest: whether its rider is somebody else's: what that one is told, or says, is not seen here.
        on_over: called with the time (trio clock) when driver and rider have parted.
    """

    ride_id: str
    rider_id: str
    asked_s: float  # when the LOOKING was due, trio clock
    pickup: Place
    dropoff: Place
    trip_s: float | None
    on_over: Callable[[float], None]
    phase: Phase = Phase.LOOKING
    driver_id: str = ""  # as the rider was told
    route: Route | None = None  # the car's way once the rider is on board
    cancel_acked: bool = False
    release_said: bool = False  # by the driver
    released: bool = False  # and the server has acked it, perhaps before the rider heard of the match
    guest: bool = False

    @property
    def off(self) -> bool:
        """The rider has called it off: nobody is on the way to anybody."""
        return self.phase is Phase.CANCELLED


@dataclass(slots=True, eq=False)
class DriverRecord:
    """What is known of one driver."""

    driver_id: str
    plate: str
    may_match: bool = False  # AVAILABLE was said and nothing that ends it was acked
    ride: Ride | None = None  # told on its own stream, not yet released
    gone_s: float | None = None  # when its session ended, trio clock
    failed: bool = False  # its session ended otherwise than asked for


@dataclass(slots=True)
class Ledger:
    """Every request, ride and driver of a run."""

    tally: Tally
    open_requests: int = 0
    rides: dict[str, Ride] = field(default_factory=dict)
    drivers: dict[str, DriverRecord] = field(default_factory=dict)
    failed_riders: set[str] = field(default_factory=set)
    _riding: dict[str, Ride] = field(default_factory=dict)  # by rider, from MatchEvent to the end
    _rider_told: set[tuple[str, str]] = field(default_factory=set)  # (ride, driver), other side not told yet
    _driver_told: set[tuple[str, str]] = field(default_factory=set)

    # -- what our own side does

    def driver(self, driver_id: str, plate: str) -> DriverRecord:
        """A driver appears."""
        record = self.drivers[driver_id] = DriverRecord(driver_id, plate)
        return record

    def ask(self, ride: Ride) -> None:
        """A rider says LOOKING."""
        self.rides[ride.ride_id] = ride
        self.open_requests += 1
        self.tally.requests += 1

    def welcome(self, guest: Ride) -> None:
        """A driver was told of somebody else's rider: from now on the ride is one like ours."""
        guest.phase, guest.guest = Phase.MATCHED, True
        self.rides[guest.ride_id] = guest

    def cancel(self, ride: Ride) -> None:
        """A rider says CANCELLED."""
        self._close(ride, Phase.CANCELLED)

    def release(self, record: DriverRecord) -> None:
        """A driver says AVAILABLE with its ride's id: from now on the server may give it another."""
        if record.ride is not None:
            record.ride.release_said = True
        record.ride = None
        record.may_match = True

    def over(self, ride: Ride, now_s: float) -> None:
        """The server has acked a ride's release: the rider may ask again."""
        ride.released = True
        if ride.phase is Phase.MATCHED:
            self._close(ride, Phase.OVER)
            ride.on_over(now_s)

    # -- what the streams tell

    def rider_told(self, rider_id: str, event: Told, now_s: float) -> Ride | None:
        """A rider got a MatchEvent. Returns the ride if that answers the rider's open request."""
        ride = self._known(rider_id, event.rider_id, event)
        if ride is None:
            return None
        self._check_driver(event, now_s)
        if ride.phase is not Phase.LOOKING:
            self._match_out_of_turn(ride, event)
            return None
        self._tell(ride.ride_id, event.driver_id, self._rider_told, self._driver_told)
        other = self._riding.get(rider_id)
        if other is not None:
            self.tally.error("rider_in_two_rides", f"{rider_id}: {ride.ride_id} while in {other.ride_id}")
        self._close(ride, Phase.MATCHED)
        self._riding[rider_id] = ride
        ride.driver_id = event.driver_id
        self.tally.matches += 1
        self.tally.match.record(now_s - ride.asked_s)
        if ride.released:
            self.over(ride, now_s)
        return ride

    def driver_told(self, record: DriverRecord, event: Told) -> Ride | None:
        """A driver got a MatchEvent. Returns the ride if the driver has no other."""
        ride = self._known(record.driver_id, event.driver_id, event)
        if ride is None:
            return None
        if record.ride is ride:
            self.tally.error("match_twice", f"{record.driver_id} was told of {ride.ride_id} twice")
            return None
        if not ride.guest:
            self._tell(ride.ride_id, record.driver_id, self._driver_told, self._rider_told)
        if record.ride is not None and not record.ride.off and not record.ride.guest:  # a guest may have called it off
            words = f"{record.driver_id}: {ride.ride_id} while in {record.ride.ride_id}"
            self.tally.error("driver_in_two_rides", words)
            return None
        if record.ride is None and not record.may_match:
            words = f"{record.driver_id} got {ride.ride_id}, was not AVAILABLE"
            self.tally.error("match_unavailable_driver", words)
        record.ride = ride
        return ride

    def no_driver(self, ride: Ride) -> bool:
        """A rider got NO_DRIVER_FOUND. True if that answers its open request."""
        if ride.phase is Phase.LOOKING:
            self._close(ride, Phase.NO_DRIVER)
            self.tally.no_driver += 1
            return True
        if not ride.off:
            self.tally.error("answered_twice", f"{ride.ride_id}: NO_DRIVER_FOUND, was {ride.phase.name}")
        return False

    def driver_lost(self, ride: Ride) -> None:
        """A rider was told that its driver has gone: it is looking again."""
        if ride.phase is Phase.MATCHED:
            self.tally.driver_lost += 1
            self._riding.pop(ride.rider_id, None)
            ride.phase, ride.released, ride.route = Phase.LOOKING, False, None
            self.open_requests += 1
        elif not ride.off:
            self.tally.error("answer_unexpected", f"{ride.ride_id}: DRIVER_LOST, was {ride.phase.name}")

    def refused(self, ride: Ride) -> None:
        """The LOOKING was acked with success=false: the request is over (the session counts the error)."""
        self._close(ride, Phase.REFUSED)

    # -- the end

    def count_unanswered(self) -> None:
        """Once, when every request has had its time to be answered: what is still open is an error."""
        for ride in self.rides.values():
            if ride.phase is Phase.LOOKING:
                self.tally.error("unanswered", f"{ride.ride_id}: neither a match nor a no-driver answer")

    def settle(self) -> None:
        """Once, when every session has ended: both sides of each ride must have heard of it.

        A side whose session broke may not have heard.
        """
        for ride_id, driver_id in sorted(self._rider_told):
            record = self.drivers.get(driver_id)
            if record is None or not record.failed:
                self.tally.error("match_one_sided", f"{ride_id}: its rider was told of {driver_id}, who wasn't")
        for ride_id, driver_id in sorted(self._driver_told):
            if self.rides[ride_id].rider_id not in self.failed_riders:
                self.tally.error("match_one_sided", f"{ride_id}: {driver_id} was told, its rider wasn't")

    # -- rules

    def _known(self, user_id: str, named_id: str, event: Told) -> Ride | None:
        """The ride an event names, if the event is for `user_id` and names the ride's own rider."""
        ride = self.rides.get(event.ride_id)
        if ride is None:
            self.tally.error("match_unknown_ride", f"{user_id} got {event.ride_id!r}, which nobody asked for")
        elif named_id != user_id or event.rider_id != ride.rider_id:
            pair = f"driver {event.driver_id}, rider {event.rider_id}"
            self.tally.error("match_wrong_user", f"{user_id} was told of {event.ride_id} with {pair}")
            return None
        return ride

    def _check_driver(self, event: Told, now_s: float) -> None:
        record = self.drivers.get(event.driver_id)
        if record is None:
            self.tally.error("match_dead_driver", f"{event.ride_id}: {event.driver_id!r} was never here")
            return
        if record.gone_s is not None and now_s > record.gone_s + GONE_SLACK_S:
            words = f"{event.ride_id}: {event.driver_id} was gone for {now_s - record.gone_s:.1f} s"
            self.tally.error("match_dead_driver", words)
        if event.vehicle_plate != record.plate:
            words = f"{event.ride_id}: plate {event.vehicle_plate!r}, the driver's is {record.plate!r}"
            self.tally.error("match_wrong_plate", words)

    def _match_out_of_turn(self, ride: Ride, event: Told) -> None:
        if ride.off:
            self._tell(ride.ride_id, event.driver_id, self._rider_told, self._driver_told)
            if ride.cancel_acked:
                self.tally.error("match_after_cancel", f"{ride.ride_id}: matched after its CANCELLED was acked")
        elif ride.phase is Phase.MATCHED and event.driver_id != ride.driver_id:
            words = f"{ride.rider_id}: {ride.ride_id} with {event.driver_id}, is with {ride.driver_id}"
            self.tally.error("rider_in_two_rides", words)
        elif ride.phase in (Phase.MATCHED, Phase.OVER):
            self.tally.error("match_twice", f"{ride.rider_id} was told of {ride.ride_id} twice")
        else:
            self.tally.error("answered_twice", f"{ride.ride_id}: matched, was {ride.phase.name} already")

    def _tell(self, ride_id: str, driver_id: str, mine: set[tuple[str, str]], others: set[tuple[str, str]]) -> None:
        """One side was told of a pair; a pair that both sides know is done with."""
        if (ride_id, driver_id) in others:
            others.discard((ride_id, driver_id))
        else:
            mine.add((ride_id, driver_id))

    def _close(self, ride: Ride, phase: Phase) -> None:
        """The request is answered, or the ride is done."""
        if ride.phase is Phase.LOOKING:
            self.open_requests -= 1
        elif self._riding.get(ride.rider_id) is ride:
            del self._riding[ride.rider_id]
        ride.phase = phase
