"""A seeded city: where people stand, where they want to go, how fast they drive and when they ask.

Each user draws from a random stream of its own, named after the seed and the user. What one user draws
therefore doesn't depend on what the others did before, and two runs with the same seed see the same positions
and ask times.

The city grows with its people: its side is chosen so that a zone holds about `SESSIONS_PER_ZONE` of them. A
run with ten times the sessions is then ten times the city, not ten times the crowd in the same streets,
whose broadcasts would grow with the square.
"""

from __future__ import annotations

import math
from random import Random

from ride_trio_loadgen.geometry import METRES_PER_DEGREE, Place

# Anywhere will do that is on land and has no odd zone borders; this is Utrecht.
CENTRE = Place(52.0907, 5.1214)
# Degrees: the server's zone grid.
ZONE_DEG = 0.01
# Sessions in an average zone; the centre has about four times that. Enough that every position reaches
# somebody.
SESSIONS_PER_ZONE = 6
# Metres: the smallest city. With the default match radius of 5 km everybody in it can be matched.
MIN_SIDE_M = 2_000.0
# Metres: the spread, north-south and east-west, of how far a trip goes.
TRIP_SPREAD_M = 900.0
# Metres a second: 25 to 47 km/h, what city traffic does between lights.
SPEEDS_MPS = (7.0, 13.0)
# Seconds of city time from a rider's arrival to its first wish for a ride, and from the end of a ride to the
# next.
FIRST_ASK_S = (1.0, 20.0)
NEXT_ASK_S = (20.0, 60.0)


class City:
    """The square in which everybody is, and what they draw.

    Args:
        seed: names the city; the same seed is the same city.
        sessions: how many people will be in it; sets its size.
    """

    def __init__(self, seed: int, sessions: int) -> None:
        self.seed = seed
        zone_area_m2 = (ZONE_DEG * METRES_PER_DEGREE) ** 2 * math.cos(math.radians(CENTRE.latitude))
        self.side_m = max(MIN_SIDE_M, math.sqrt(sessions / SESSIONS_PER_ZONE * zone_area_m2))

    def random_for(self, user_id: str) -> Random:
        """The random stream that belongs to one user."""
        return Random(f"{self.seed}/{user_id}")

    def place(self, draw: Random) -> Place:
        """Somewhere in the city, the centre more often than the edge."""
        half_m = self.side_m / 2
        return CENTRE.moved(draw.triangular(-half_m, half_m, 0.0), draw.triangular(-half_m, half_m, 0.0))

    def destination(self, draw: Random, start: Place) -> Place:
        """Where somebody at `start` wants to go: some streets away, within the city."""
        half_m = self.side_m / 2
        north_edge, east_edge = CENTRE.moved(half_m, half_m)
        goal = start.moved(draw.gauss(0.0, TRIP_SPREAD_M), draw.gauss(0.0, TRIP_SPREAD_M))
        return Place(
            _within(goal.latitude, CENTRE.latitude, north_edge - CENTRE.latitude),
            _within(goal.longitude, CENTRE.longitude, east_edge - CENTRE.longitude),
        )

    def speed_mps(self, draw: Random) -> float:
        """How fast one drive goes."""
        return draw.uniform(*SPEEDS_MPS)

    def first_ask_s(self, draw: Random) -> float:
        """Seconds of city time until a rider asks for the first time."""
        return draw.uniform(*FIRST_ASK_S)

    def next_ask_s(self, draw: Random) -> float:
        """Seconds of city time between the end of a ride, or a refusal, and the next wish for one."""
        return draw.uniform(*NEXT_ASK_S)


def draw_plate(draw: Random) -> str:
    """A vehicle's plate, as `XK-482-B`."""
    letters = "".join(draw.choice("BDFGHJKLNPRSTVXZ") for _ in range(3))
    return f"{letters[:2]}-{draw.randrange(1000):03d}-{letters[2]}"


def _within(value: float, centre: float, half: float) -> float:
    """`value`, moved to the nearer edge if it lies beyond it."""
    return min(max(value, centre - half), centre + half)
