"""Drivers: cruise until matched, then drive to the rider, take the rider along, and be free again.

The ride is the same for every driver; where a driver cruises differs. One that replays a trace follows it:

    occupied 0     AVAILABLE
    0 -> 1         ON_TRIP, a fare from the street, unless it is matched
    1 -> 0         AVAILABLE

and leaves it when matched, to rejoin it where it is by then. The next status of a hail is only said once the
last one was acked. That keeps a match from crossing with it: a MatchEvent that the server sent before it read
our ON_TRIP arrives before that one's ack, so the driver still takes the match, and after the ack no match can
come.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from ride_trio.pb.ride.v1.ride_pb2 import Ack, Hello, MatchEvent, RideStatusUpdate
from ride_trio_loadgen.actor import Actor, World
from ride_trio_loadgen.city import City, draw_plate
from ride_trio_loadgen.geometry import Fix, Place, Route, round_the_corner
from ride_trio_loadgen.ledger import Ride
from ride_trio_loadgen.session import Session
from ride_trio_loadgen.trace import Trace

# Seconds of city time: from the car's stop at the pickup until the rider has found it and sits.
BOARDING_S = 15.0
# Metres a second: a replayed cab on its way to the pickup, for which the trace knows no speed.
CAB_SPEED_MPS = 9.0


class Driver(Actor):
    """A car with a driver."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], plate: str) -> None:
        super().__init__(world, user_id, host)
        self.record = world.ledger.driver(user_id, plate)
        self.ride: Ride | None = None
        self.route: Route | None = None
        self._unacked = 0  # statuses
        self._retiring = False

    # -- what differs

    @abstractmethod
    def cruise(self, due_s: float) -> None:
        """Go on with the driver's own way: at the beginning, and after every ride."""

    @abstractmethod
    def speed_mps(self) -> float:
        """How fast the next drive goes."""

    # -- a ride

    def matched(self, event: MatchEvent, now_s: float) -> None:
        """See `session.Listener`. The driver sets off at once."""
        ride = self.world.ledger.driver_told(self.record, event)
        if ride is None:
            return
        if self._retiring:  # it crossed with our OFFLINE, which makes the rider look again
            self.record.ride = None
            return
        self.ride = ride
        self.route = self._drive(now_s, self.fix(now_s).place, ride.pickup)
        self.say(now_s, RideStatusUpdate.STATUS_EN_ROUTE_TO_PICKUP, ride.ride_id)
        self.report_steadily(now_s)
        self._then(self.route.end_s, ride, self._arrived)

    def _arrived(self, due_s: float, ride: Ride) -> None:
        self.say(due_s, RideStatusUpdate.STATUS_AT_PICKUP, ride.ride_id)
        self._then(due_s + BOARDING_S / self.world.speedup, ride, self._boarded)

    def _boarded(self, due_s: float, ride: Ride) -> None:
        self.say(due_s, RideStatusUpdate.STATUS_ON_TRIP, ride.ride_id)
        self.route = ride.route = self._drive(due_s, ride.pickup, ride.dropoff)
        wall_s = self.route.end_s - due_s if ride.trip_s is None else ride.trip_s / self.world.speedup
        self._then(due_s + wall_s, ride, self._released)

    def _released(self, due_s: float, ride: Ride) -> None:
        """The rider is out, or won't come: be free again."""
        self.ride = None
        self.available(due_s, ride.ride_id)
        self.cruise(due_s)

    def _then(self, due_s: float, ride: Ride, step: Callable[[float, Ride], None]) -> None:
        """Take the ride's next step at `due_s`, or give it up if the rider has called it off."""

        def take(due_s: float) -> None:
            if self.ride is not ride or not self.live:
                return
            (self._released if ride.off else step)(due_s, ride)

        self.world.timeline.at(due_s, take)

    def _drive(self, start_s: float, start: Place, end: Place) -> Route:
        return Route(start_s, round_the_corner(start, end), self.speed_mps(), self.world.speedup)

    # -- statuses

    def available(self, due_s: float, ride_id: str = "") -> None:
        """Say AVAILABLE, releasing the ride `ride_id` if there is one."""
        self.world.ledger.release(self.record)
        self.say(due_s, RideStatusUpdate.STATUS_AVAILABLE, ride_id)

    def say(self, due_s: float, status: RideStatusUpdate.Status, ride_id: str = "") -> None:
        """As `Actor.say`; counts what is not acked yet."""
        self._unacked += 1
        super().say(due_s, status, ride_id)

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        """See `session.Listener`."""
        self._unacked -= 1
        ride = self.world.ledger.rides.get(ride_id)
        if status == RideStatusUpdate.STATUS_AVAILABLE:
            if ride is not None:
                self.world.ledger.over(ride, now_s)
        elif not self._unacked:
            self.record.may_match = False
        if not self._unacked:
            self.settled(now_s)
        if not ack.success and ride is not None and ride.guest:
            self.world.ledger.cancel(ride)  # the guest has called it off, or is gone
        return ack.success or (ride is not None and ride.off)

    def settled(self, now_s: float) -> None:
        """The server has acked every status: what it sends from now on takes them into account."""
        if self._retiring:
            self.leave()

    def retire(self, due_s: float) -> None:
        """Say OFFLINE, and leave when that is acked."""
        if self.live and not self._retiring:
            self._retiring = True
            self.ride = None
            self.say(due_s, RideStatusUpdate.STATUS_OFFLINE)

    def ended(self, now_s: float, failed: bool) -> None:
        """See `session.Listener`."""
        super().ended(now_s, failed)
        self.record.gone_s = now_s
        self.record.failed = failed


class CityDriver(Driver):
    """A driver of the synthetic city: from one drawn destination to the next."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], city: City) -> None:
        self._city = city
        self._draw = city.random_for(user_id)
        super().__init__(world, user_id, host, draw_plate(self._draw))
        self._place = city.place(self._draw)

    def begin(self, due_s: float, session: Session) -> None:
        """Say who is there, where, and be free."""
        session.hello(Hello.ROLE_DRIVER, self.record.plate)
        self.cruise(due_s)
        self.report_steadily(due_s)
        self.available(due_s)

    def fix(self, now_s: float) -> Fix:
        """On the way that the driver is on."""
        return self.route.at(now_s) if self.route is not None else Fix.standing(self._place)

    def speed_mps(self) -> float:
        """Drawn for each drive."""
        return self._city.speed_mps(self._draw)

    def matched(self, event: MatchEvent, now_s: float) -> None:
        """See `session.Listener`. A guest is taken somewhere, too."""
        if self.world.guests and event.ride_id not in self.world.ledger.rides:
            pickup = Place(event.pickup_latitude, event.pickup_longitude)
            goal = self._city.destination(self._draw, pickup)
            self.world.ledger.welcome(Ride(event.ride_id, event.rider_id, now_s, pickup, goal, None, _nothing))
        super().matched(event, now_s)

    def cruise(self, due_s: float) -> None:
        """Drive on to the next drawn destination, and so on."""
        if self.ride is not None or not self.live:
            return
        start = self.fix(due_s).place
        self.route = self._drive(due_s, start, self._city.destination(self._draw, start))
        self.world.timeline.at(self.route.end_s, self._at_goal)

    def _at_goal(self, due_s: float) -> None:
        """The end of a cruise; stale if the route is another by now."""
        if self.route is not None and self.route.end_s <= due_s:
            self.cruise(due_s)


class TraceDriver(Driver):
    """A cab that follows its trace, see above: from its first point, until it goes OFFLINE after the last."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], trace: Trace, plate: str) -> None:
        super().__init__(world, user_id, host, plate)
        self._trace = trace
        self._index = 0  # of the newest point reached
        self._free: bool | None = None  # what was said last: AVAILABLE, ON_TRIP by hail, nothing yet

    def begin(self, due_s: float, session: Session) -> None:
        """Say who is there, then follow the trace from its first point."""
        session.hello(Hello.ROLE_DRIVER, self.record.plate)
        self._reach(due_s)

    def fix(self, now_s: float) -> Fix:
        """On the ride's way, or where the trace is by now."""
        if self.ride is not None and self.route is not None:
            return self.route.at(now_s)
        return self._trace.at(self.world.city_s(now_s))

    def speed_mps(self) -> float:
        """The same for every drive off the trace."""
        return CAB_SPEED_MPS

    def wants_reports(self) -> bool:
        """Steady positions only while off the trace; on it, its own points are reported."""
        return self.ride is not None

    def cruise(self, due_s: float) -> None:
        """Rejoin the trace where it is by now; retire if it has ended meanwhile."""
        self._free = True
        if self._index + 1 >= len(self._trace.points):
            self.retire(due_s)
        else:
            self.report_place(due_s)

    def settled(self, now_s: float) -> None:
        """Statuses are acked: say the trace's next one, if it has moved on."""
        super().settled(now_s)
        self._follow(now_s)

    def _reach(self, due_s: float) -> None:
        """The trace's point at `_index` is reached, whether the cab is there or on a ride."""
        if not self.live:
            return
        if self.ride is None and self.session is not None:
            self.session.location(due_s, self._trace.fix(self._index))
            self._follow(due_s)
        if self._index + 1 < len(self._trace.points):
            next_s = self.world.wall_s(self._trace.points[self._index + 1].time_s)
            self.world.timeline.at(next_s, self._reach_next)
        elif self.ride is None:
            self.retire(due_s)

    def _reach_next(self, due_s: float) -> None:
        self._index += 1
        self._reach(due_s)

    def _follow(self, due_s: float) -> None:
        """Say what the trace says: free, or taken from the street; nothing if first seen taken."""
        free = not self._trace.points[self._index].occupied
        if self._unacked or self.ride is not None or self._retiring or free == self._free:
            return
        if free:
            self._free = True
            self.available(due_s)
        elif self._free is not None:
            self._free = False
            self.say(due_s, RideStatusUpdate.STATUS_ON_TRIP)


def _nothing(now_s: float) -> None:
    """Nobody of ours waits for a guest's ride to end."""
