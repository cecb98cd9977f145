"""Distances against known ones, and bounds that hold everywhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.matching.geo import EARTH_RADIUS_M, angle_of, angle_to_meridian, eta_s, haversine

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


def distance_m(lat_1: float, lng_1: float, lat_2: float, lng_2: float) -> float:
    return EARTH_RADIUS_M * angle_of(haversine(lat_1, lng_1, lat_2, lng_2))


QUARTER_M = EARTH_RADIUS_M * math.pi / 2


@pytest.mark.parametrize(
    ("places", "metres"),
    [
        ((0, 0, 0, 0), 0),
        ((0, 0, 1, 0), 111_195),
        ((0, 0, 0, 1), 111_195),
        ((60, 0, 60, 1), 55_597),
        ((0, 179.5, 0, -179.5), 111_195),
        ((90, 0, 90, 123), 0),
        ((0, 0, 90, 77), QUARTER_M),
        ((0, 0, 0, 180), 2 * QUARTER_M),
        ((37.7749, -122.4194, 40.7128, -74.0060), 4_129_086),  # San Francisco to New York
    ],
)
def test_distances(places: tuple[float, float, float, float], metres: float) -> None:
    assert distance_m(*places) == pytest.approx(metres, rel=1e-4, abs=1e-6)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_no_place_is_nearer_than_its_latitude_and_its_meridian(
    lat_1: float, lng_1: float, lat_2: float, lng_2: float
) -> None:
    metres = distance_m(lat_1, lng_1, lat_2, lng_2)
    turn = abs(lng_1 - lng_2)
    bound = max(math.radians(abs(lat_1 - lat_2)), angle_to_meridian(lat_1, min(turn, 360 - turn)))
    # Near the antipode the formula loses half of its digits.
    assert metres >= bound * EARTH_RADIUS_M - max(1e-3, 1e-6 * metres)


def test_the_bound_to_a_meridian_is_reached() -> None:
    """At the foot of the perpendicular from the place, by Napier's rules."""
    lat, step = 60.0, 30.0
    foot = math.degrees(math.atan2(math.tan(math.radians(lat)), math.cos(math.radians(step))))
    assert angle_to_meridian(lat, step) * EARTH_RADIUS_M == pytest.approx(distance_m(lat, 0, foot, step))


def test_a_meridian_beyond_a_quarter_turn_is_nearest_at_the_pole() -> None:
    assert angle_to_meridian(-70.0, 120.0) == pytest.approx(math.radians(20.0))


@pytest.mark.parametrize(("metres", "seconds"), [(0, 0), (1, 1), (1_000, 157), (5_000, 784)])
def test_eta_is_whole_seconds_rounded_up(metres: float, seconds: int) -> None:
    assert eta_s(metres) == seconds
