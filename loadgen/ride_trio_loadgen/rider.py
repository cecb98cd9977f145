"""Riders: ask, wait for a driver, ride; then ask again after a while (the city) or go home (a replay)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from ride_trio.pb.ride.v1.ride_pb2 import Ack, MatchEvent, RideStatusUpdate
from ride_trio_loadgen.actor import Actor, World
from ride_trio_loadgen.city import City
from ride_trio_loadgen.geometry import Fix, Place
from ride_trio_loadgen.ledger import Phase, Ride
from ride_trio_loadgen.session import Session
from ride_trio_loadgen.trace import Request


class Rider(Actor):
    """Somebody with a phone, standing at `place` unless on board of a car."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], place: Place) -> None:
        super().__init__(world, user_id, host)
        self.place = place
        self.ride: Ride | None = None  # the newest request, whatever became of it
        self._retiring = False
        self._asked = 0

    def ask(self, due_s: float, dropoff: Place, trip_s: float | None) -> None:
        """Say LOOKING, from `place` to `dropoff`."""
        self._asked += 1
        ride_id = f"{self.world.run_id}-{self.user_id}-{self._asked}"
        self.ride = Ride(ride_id, self.user_id, due_s, self.place, dropoff, trip_s, self._ride_over)
        self.world.ledger.ask(self.ride)
        self.say(due_s, RideStatusUpdate.STATUS_LOOKING, ride_id)

    @abstractmethod
    def wish_again(self, due_s: float) -> None:
        """The last request has come to its end, one way or the other."""

    def fix(self, now_s: float) -> Fix:
        """Where the phone is: in the car during the ride, else where its owner stands."""
        ride = self.ride
        if ride is not None and ride.phase is Phase.MATCHED and ride.route is not None:
            return ride.route.at(now_s)
        return Fix.standing(self.place)

    def retire(self, due_s: float) -> None:
        """Call off what is under way, then leave."""
        if not self.live or self._retiring:
            return
        self._retiring = True
        if self.ride is None or self.ride.phase not in (Phase.LOOKING, Phase.MATCHED):
            self.leave()
            return
        self.world.ledger.cancel(self.ride)
        self.say(due_s, RideStatusUpdate.STATUS_CANCELLED, self.ride.ride_id)

    # -- what the session tells

    def matched(self, event: MatchEvent, now_s: float) -> None:
        """See `session.Listener`."""
        self.world.ledger.rider_told(self.user_id, event, now_s)

    def answered(self, ride_id: str, ack: Ack, now_s: float) -> None:
        """See `session.Listener`."""
        ride = self.world.ledger.rides.get(ride_id)
        if ride is None:
            super().answered(ride_id, ack, now_s)
        elif ack.success:
            self.world.ledger.driver_lost(ride)
        elif self.world.ledger.no_driver(ride):
            self.wish_again(now_s)

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        """See `session.Listener`."""
        ride = self.world.ledger.rides[ride_id]
        if status == RideStatusUpdate.STATUS_CANCELLED:
            ride.cancel_acked = True
            self.leave()
            return ack.success or ride.release_said  # crossed with the end of the ride
        if not ack.success and ride.phase is Phase.LOOKING:
            self.world.ledger.refused(ride)
            self.wish_again(now_s)
        return ack.success

    def ended(self, now_s: float, failed: bool) -> None:
        """See `session.Listener`. With the rider goes what it asked for."""
        super().ended(now_s, failed)
        if failed:
            self.world.ledger.failed_riders.add(self.user_id)
            if self.ride is not None and self.ride.phase in (Phase.LOOKING, Phase.MATCHED):
                self.world.ledger.cancel(self.ride)

    def _ride_over(self, now_s: float) -> None:
        if self.ride is not None:
            self.place = self.ride.dropoff
        self.wish_again(now_s)


class CityRider(Rider):
    """A rider of the synthetic city: same seed, same wishes, as far as the answers allow."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], city: City) -> None:
        self._city = city
        self._draw = city.random_for(user_id)
        super().__init__(world, user_id, host, city.place(self._draw))

    def begin(self, due_s: float, session: Session) -> None:
        """Report the place, and wish for a ride soon."""
        self.report_steadily(due_s)
        self._ask_in(due_s, self._city.first_ask_s(self._draw))

    def wish_again(self, due_s: float) -> None:
        """Ask again after a while."""
        self._ask_in(due_s, self._city.next_ask_s(self._draw))

    def _ask_in(self, due_s: float, city_s: float) -> None:
        self.world.timeline.at(due_s + city_s / self.world.speedup, self._ask)

    def _ask(self, due_s: float) -> None:
        if self.live and not self.world.stopping:
            self.ask(due_s, self._city.destination(self._draw, self.place), None)


class TraceRider(Rider):
    """A replayed request: appears, asks once, rides, and is gone."""

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None], request: Request) -> None:
        super().__init__(world, user_id, host, request.pickup)
        self._request = request

    def begin(self, due_s: float, session: Session) -> None:
        """Report the place and ask, both at the request's time."""
        self.report_place(due_s)
        self.ask(due_s, self._request.dropoff, self._request.trip_s)

    def wish_again(self, due_s: float) -> None:
        """Go home."""
        self.retire(due_s)
