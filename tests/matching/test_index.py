"""The nearest driver by rings of cells, against looking at every driver."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import strategies as st

from ride_trio.matching.geo import EARTH_RADIUS_M, angle_of, haversine
from ride_trio.matching.index import CellIndex
from ride_trio.sessions import cell_of


@dataclass(eq=False)
class Spot:
    lat: float
    lng: float
    free_since: int = 0


def index_of(spots: list[Spot]) -> CellIndex[Spot]:
    index: CellIndex[Spot] = CellIndex()
    for spot in spots:
        index.file(spot, cell_of(spot.lat, spot.lng))
    return index


def distance_m(lat_1: float, lng_1: float, lat_2: float, lng_2: float) -> float:
    return EARTH_RADIUS_M * angle_of(haversine(lat_1, lng_1, lat_2, lng_2))


def by_looking_at_all(spots: list[Spot], lat: float, lng: float, radius_m: float) -> Spot | None:
    ranked = sorted(spots, key=lambda spot: (haversine(lat, lng, spot.lat, spot.lng), spot.free_since))
    if ranked and distance_m(lat, lng, ranked[0].lat, ranked[0].lng) <= radius_m:
        return ranked[0]
    return None


# Where cells are odd: an ordinary city, the double-width row and column, the date line, high latitudes, the poles.
CENTRES = [
    (37.77, -122.41),
    (0.0, 0.0),
    (0.0, 180.0),
    (51.5, -180.0),
    (-16.8, 179.99),
    (78.2, 15.6),
    (89.97, 40.0),
    (-90.0, 0.0),
    (90.0, -180.0),
]
OFFSETS = st.floats(-0.2, 0.2)


@st.composite
def places_near(draw: st.DrawFn) -> tuple[list[Spot], Spot, float]:
    lat, lng = draw(st.sampled_from(CENTRES))
    stretch = draw(st.sampled_from([0.02, 0.2, 1.0, 10.0, 100.0]))

    def spot(free_since: int) -> Spot:
        new_lat = min(90.0, max(-90.0, lat + draw(OFFSETS)))
        new_lng = (lng + stretch * draw(OFFSETS) + 180) % 360 - 180
        return Spot(new_lat, new_lng, free_since)

    count = draw(st.integers(0, 60))
    order = draw(st.permutations(range(count)))
    return [spot(number) for number in order], spot(0), draw(st.sampled_from([500.0, 5_000.0, 50_000.0, 2e7]))


@pytest.mark.parametrize("centre", CENTRES, ids=str)
def test_in_a_crowd_too(centre: tuple[float, float]) -> None:
    """Enough drivers that the rings are searched, and not everybody looked at."""
    draw = Random(7).uniform

    def spot(free_since: int) -> Spot:
        lat = min(90.0, max(-90.0, centre[0] + draw(-0.3, 0.3)))
        return Spot(lat, (centre[1] + draw(-0.3, 0.3) + 180) % 360 - 180, free_since)

    spots = [spot(number) for number in range(800)]
    index = index_of(spots)
    for rider in map(spot, range(50)):
        found = index.nearest(rider.lat, rider.lng, 5_000)
        assert (found and found[0]) is by_looking_at_all(spots, rider.lat, rider.lng, 5_000)


@pytest.mark.parametrize("side", [1, -1])
def test_across_the_date_line_columns_have_no_width(side: int) -> None:
    """The nearest is three columns away, the second nearest in the rider's own cell."""
    across, behind = Spot(10.005, side * -179.9999), Spot(10.005, side * 179.9945)
    crowd = [Spot(10.005, side * 179.5, number) for number in range(200)]
    found = index_of([across, behind, *crowd]).nearest(10.005, side * 179.9995, 5_000)
    assert found is not None
    assert found[0] is across


def test_of_two_as_near_the_one_that_is_free_for_longer() -> None:
    spots = [Spot(10.001, 20.0, free_since=2), Spot(10.001, 20.0, free_since=1), Spot(10.001, 20.0, free_since=3)]
    found = index_of(spots).nearest(10.0, 20.0, 5_000)
    assert found is not None
    assert found[0].free_since == 1


def test_the_radius_is_inclusive() -> None:
    spot = Spot(10.0, 20.01)
    edge_m = distance_m(10.0, 20.0, 10.0, 20.01)
    index = index_of([spot])
    assert index.nearest(10.0, 20.0, edge_m * (1 + 1e-12)) is not None
    assert index.nearest(10.0, 20.0, edge_m - 0.001) is None


def test_a_place_moves_within_its_cell_without_a_word_and_leaves_it_with_one() -> None:
    spot = Spot(10.001, 20.001)
    index = index_of([spot])
    spot.lat = 10.002
    found = index.nearest(10.002, 20.001, 1)
    assert found == (spot, 0.0)
    spot.lat = 10.5
    index.file(spot, cell_of(10.5, 20.001))
    assert index.nearest(10.002, 20.001, 5_000) is None
    assert len(index) == 1


def test_a_removed_place_is_not_found() -> None:
    spot = Spot(10.0, 20.0)
    index = index_of([spot])
    assert spot in index
    index.remove(spot)
    index.remove(spot)
    assert index.nearest(10.0, 20.0, 5_000) is None
    assert repr(index) == "<CellIndex 0 places in 0 cells>"
