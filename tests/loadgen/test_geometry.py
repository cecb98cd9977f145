from __future__ import annotations

import pytest

from ride_trio_loadgen.geometry import Fix, Place, Route, bearing_deg, distance_m, round_the_corner

HERE = Place(52.09, 5.12)


def test_moved_and_distance_agree() -> None:
    there = HERE.moved(north_m=300.0, east_m=-400.0)
    assert distance_m(HERE, there) == pytest.approx(500.0, rel=1e-3)


@pytest.mark.parametrize(("north_m", "east_m", "bearing"), [(100, 0, 0), (0, 100, 90), (-100, 0, 180), (0, -100, 270)])
def test_bearing_is_clockwise_from_north(north_m: float, east_m: float, bearing: float) -> None:
    assert bearing_deg(HERE, HERE.moved(north_m, east_m)) == pytest.approx(bearing, abs=0.01)


def test_a_route_is_a_function_of_time() -> None:
    end = HERE.moved(100.0, 200.0)
    route = Route(50.0, round_the_corner(HERE, end), speed_mps=10.0)
    assert route.end_s == pytest.approx(80.0, rel=1e-3)
    assert route.at(0.0).place == HERE
    assert route.at(60.0).bearing == pytest.approx(90.0)
    assert route.at(75.0).bearing == pytest.approx(0.0)
    assert distance_m(HERE, route.at(60.0).place) == pytest.approx(100.0, rel=1e-3)
    assert route.at(route.end_s) == Fix.standing(end)


def test_speedup_shortens_the_drive_and_not_the_reported_speed() -> None:
    route = Route(0.0, (HERE, HERE.moved(1000.0, 0.0)), speed_mps=10.0, speedup=60.0)
    assert route.end_s == pytest.approx(100 / 60, rel=1e-3)
    assert route.at(1.0).speed_mps == 10.0


def test_a_route_to_the_same_place_is_over_at_once() -> None:
    route = Route(7.0, round_the_corner(HERE, HERE), speed_mps=10.0)
    assert route.end_s == 7.0
    assert route.at(7.0) == Fix.standing(HERE)
    assert route.at(6.0) == Fix.standing(HERE)
