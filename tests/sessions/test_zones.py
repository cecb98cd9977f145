"""Zones are an interface: clients subscribe by their names."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.sessions import Zone, cell_of, on_globe, row_and_column, zone_name

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


@given(LATITUDES, LONGITUDES)
def test_a_zone_is_named_by_its_truncated_hundredths(latitude: float, longitude: float) -> None:
    assert zone_name(cell_of(latitude, longitude)) == f"{int(latitude * 100)}:{int(longitude * 100)}"


@pytest.mark.parametrize(
    ("latitude", "longitude", "name"),
    [(37.7749, -122.4194, "3777:-12241"), (-0.009, 0.009, "0:0"), (-33.8688, 151.2093, "-3386:15120")],
)
def test_known_places(latitude: float, longitude: float, name: str) -> None:
    assert Zone(cell_of(latitude, longitude)).name == name


@given(st.integers(-9000, 9000), st.integers(-18000, 18000))
def test_a_cell_holds_its_row_and_column(row: int, column: int) -> None:
    assert row_and_column(row * 65536 + column) == (row, column)


@pytest.mark.parametrize("latitude", [90.0001, -90.0001, math.nan, math.inf, -math.inf])
def test_what_is_not_a_latitude(latitude: float) -> None:
    assert not on_globe(latitude, 0.0)


@pytest.mark.parametrize("longitude", [180.0001, -180.0001, math.nan, math.inf, -math.inf])
def test_what_is_not_a_longitude(longitude: float) -> None:
    assert not on_globe(0.0, longitude)


def test_the_corners_are_on_the_globe() -> None:
    assert all(on_globe(lat, lng) for lat in (-90.0, 90.0) for lng in (-180.0, 180.0))


def test_a_zone_explains_itself() -> None:
    assert repr(Zone(cell_of(1.5, 2.5))) == "<Zone 150:250, 0 sessions>"
