"""Distances on the globe, and how near what a search has not looked at can be.

Great-circle distance by the haversine formula, on a sphere of the mean radius: within 0.5 % of the ellipsoid.

Bounds. A place whose latitude differs by d radians is at least d away. A place whose longitude differs by d is at
least as far as the nearest point of that meridian: asin(cos(latitude) * sin(d)) for d below a quarter turn, and
beyond that the pole is nearer than the rest of that meridian (spherical right triangle, Napier's rules). Both hold
everywhere, the poles and the date line included.
"""

from __future__ import annotations

from math import asin, ceil, cos, pi, radians, sin, sqrt
from typing import Final

# IUGG mean radius R1.
EARTH_RADIUS_M: Final = 6_371_008.8
# A way along streets against the straight line: 1.3 to 1.4 in cities whose streets form a grid (4/pi = 1.27 on average
# over all directions).
DETOUR_FACTOR: Final = 1.3
# Metres a second, 30 km/h: cars between traffic lights.
CITY_SPEED_MPS: Final = 8.3


def haversine(latitude_1: float, longitude_1: float, latitude_2: float, longitude_2: float) -> float:
    """The haversine of the central angle of two places in degrees: rises with their distance, and is cheaper."""
    return (
        sin(radians(latitude_2 - latitude_1) / 2) ** 2
        + cos(radians(latitude_1)) * cos(radians(latitude_2)) * sin(radians(longitude_2 - longitude_1) / 2) ** 2
    )


def angle_of(haversine: float) -> float:
    """The central angle in radians that a haversine stands for."""
    return 2 * asin(sqrt(min(1.0, haversine)))


def angle_to_meridian(latitude: float, longitude_difference: float) -> float:
    """The least central angle, in radians, from a place to any place at least so far east or west of it.

    Args:
        latitude: of the place, degrees.
        longitude_difference: degrees, 0 or more.
    """
    difference = radians(longitude_difference)
    if difference >= pi / 2:
        return pi / 2 - radians(abs(latitude))
    return asin(cos(radians(latitude)) * sin(difference))


def eta_s(distance_m: float) -> int:
    """Seconds until a driver so many metres away (straight line) is there: whole ones, rounded up."""
    return ceil(distance_m * DETOUR_FACTOR / CITY_SPEED_MPS)
