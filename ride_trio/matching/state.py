"""What the dispatcher knows of a user and of a ride."""

from __future__ import annotations

from ride_trio.matching.states import Phase


class Motion:
    """What a position says beside the place, kept for those who look at it.

    Attributes:
        bearing: degrees clockwise from north.
        speed_mps: metres a second.
    """

    __slots__ = ("bearing", "speed_mps")

    def __init__(self) -> None:
        self.bearing = 0.0
        self.speed_mps = 0.0


class User:
    """A rider or a driver. Outlives a session that is taken over, and one that ends in the middle of a ride.

    Attributes:
        lat, lng: newest position, degrees; meaningless until `cell` is set. Whoever moves a user writes them, and
            calls `Dispatcher.moved` when the cell is another.
        cell: the zone cell of that position, None while unknown.
        live: has a session.
        motion: where each position's bearing and speed go; None while nobody looks.
        plate: of the vehicle; empty if never said.
        ride: the request or ride that the user's phase is about.
        free_since: counts up with every driver that becomes free, so lower is earlier.
    """

    __slots__ = ("cell", "free_since", "lat", "live", "lng", "motion", "phase", "plate", "ride", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.lat = 0.0
        self.lng = 0.0
        self.cell: int | None = None
        self.live = True
        self.motion: Motion | None = None
        self.plate = ""
        self.phase = Phase.IDLE
        self.ride: Ride | None = None
        self.free_since = 0

    def __repr__(self) -> str:
        ride = f", ride {self.ride.ride_id}" if self.ride else ""
        return f"<User {self.user_id} {self.phase.name}{ride}{'' if self.live else ', gone'}>"

    @property
    def is_matched(self) -> bool:
        """Is in a ride that has both a rider and a driver."""
        return self.ride is not None and self.ride.driver is not None

    @property
    def is_waiting(self) -> bool:
        """Has asked for a ride and not been answered."""
        return self.phase is Phase.WAITING


class Ride:
    """A request, and once it has a driver, the ride.

    Attributes:
        correlation_id: of the request; its later answers carry it too.
        arrival: counts up with every request; kept when the driver is lost.
        asked_at: when it was made, s of the dispatcher's clock.
        deadline: when it ends in NO_DRIVER_FOUND, same clock.
        eta_s: seconds that the driver needs to the rider, at the match.
    """

    __slots__ = (
        "arrival",
        "asked_at",
        "correlation_id",
        "deadline",
        "driver",
        "eta_s",
        "ride_id",
        "rider",
    )

    def __init__(
        self, ride_id: str, correlation_id: str, rider: User, arrival: int, asked_at: float, deadline: float
    ) -> None:
        self.ride_id = ride_id
        self.correlation_id = correlation_id
        self.rider = rider
        self.driver: User | None = None
        self.arrival = arrival
        self.asked_at = asked_at
        self.deadline = deadline
        self.eta_s = 0

    def __repr__(self) -> str:
        driver = self.driver.user_id if self.driver else "nobody"
        return f"<Ride {self.ride_id}: {self.rider.user_id} with {driver}>"
