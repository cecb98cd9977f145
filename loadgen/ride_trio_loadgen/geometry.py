"""Places, and drives between them as a function of time.

A drive is never stepped: `Route.at(t)` says where the car is at any moment. So how often positions are
reported has no influence on when a car arrives, and two runs with the same seed report the same positions.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

# Metres: the mean radius of the earth (IUGG).
EARTH_RADIUS_M = 6_371_009.0
# Metres: one degree of latitude on that sphere.
METRES_PER_DEGREE = math.radians(1.0) * EARTH_RADIUS_M


class Place(NamedTuple):
    """A point on the earth, degrees WGS 84."""

    latitude: float
    longitude: float

    def moved(self, north_m: float, east_m: float) -> Place:
        """The place `north_m` metres north and `east_m` metres east of here."""
        per_degree_m = METRES_PER_DEGREE * math.cos(math.radians(self.latitude))
        return Place(self.latitude + north_m / METRES_PER_DEGREE, self.longitude + east_m / per_degree_m)


class Fix(NamedTuple):
    """What a phone reports: where it is, and how it moves there."""

    latitude: float
    longitude: float
    bearing: float  # degrees clockwise from north
    speed_mps: float  # metres a second

    @classmethod
    def standing(cls, place: Place) -> Fix:
        """A phone that lies still."""
        return cls(place.latitude, place.longitude, 0.0, 0.0)

    @property
    def place(self) -> Place:
        return Place(self.latitude, self.longitude)


def offset_m(start: Place, end: Place) -> tuple[float, float]:
    """Metres north and east from `start` to `end`, on a plane: off by less than 0.1 % within a city."""
    mean_latitude = math.radians((start.latitude + end.latitude) / 2)
    north_m = (end.latitude - start.latitude) * METRES_PER_DEGREE
    east_m = (end.longitude - start.longitude) * METRES_PER_DEGREE * math.cos(mean_latitude)
    return north_m, east_m


def distance_m(start: Place, end: Place) -> float:
    """Metres from `start` to `end` as the crow flies."""
    return math.hypot(*offset_m(start, end))


def bearing_deg(start: Place, end: Place) -> float:
    """Degrees clockwise from north, 0 to 360, looking from `start` to `end`."""
    north_m, east_m = offset_m(start, end)
    return math.degrees(math.atan2(east_m, north_m)) % 360.0


def round_the_corner(start: Place, end: Place) -> tuple[Place, ...]:
    """A way through a city of blocks: east or west first, then north or south."""
    return (start, Place(start.latitude, end.longitude), end)


class Route:
    """A drive along `points` at one steady speed.

    Args:
        start_s: when it begins, seconds of the trio clock.
        points: at least one place; the last is the destination.
        speed_mps: metres a second, by the city's clock; above 0.
        speedup: seconds of the city in a second of the trio clock.
    """

    __slots__ = ("_legs", "_starts_s", "end_s", "speed_mps", "start_s")

    def __init__(self, start_s: float, points: Sequence[Place], speed_mps: float, speedup: float = 1.0) -> None:
        self.start_s = start_s
        self.speed_mps = speed_mps
        self._legs = [leg for leg in pairwise(points) if leg[0] != leg[1]] or [(points[-1], points[-1])]
        self._starts_s = []
        self.end_s = start_s
        for start, end in self._legs:
            self._starts_s.append(self.end_s)
            self.end_s += distance_m(start, end) / (speed_mps * speedup)

    @property
    def destination(self) -> Place:
        return self._legs[-1][1]

    def at(self, now_s: float) -> Fix:
        """Where the car is at `now_s`; before the drive at its start, after it standing at the destination."""
        now_s = max(now_s, self.start_s)
        if now_s >= self.end_s:
            return Fix.standing(self.destination)
        index = bisect_right(self._starts_s, now_s) - 1
        start, end = self._legs[index]
        leg_start_s = self._starts_s[index]
        leg_end_s = self._starts_s[index + 1] if index + 1 < len(self._legs) else self.end_s
        done = (now_s - leg_start_s) / (leg_end_s - leg_start_s)
        return Fix(
            start.latitude + (end.latitude - start.latitude) * done,
            start.longitude + (end.longitude - start.longitude) * done,
            bearing_deg(start, end),
            self.speed_mps,
        )
