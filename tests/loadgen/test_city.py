from __future__ import annotations

from random import Random

import pytest

from ride_trio_loadgen.city import CENTRE, MIN_SIDE_M, City, draw_plate
from ride_trio_loadgen.geometry import distance_m, offset_m


def wishes(city: City, user_id: str) -> list[object]:
    draw = city.random_for(user_id)
    place = city.place(draw)
    return [place, city.first_ask_s(draw), city.destination(draw, place), city.speed_mps(draw)]


def test_the_same_seed_is_the_same_city() -> None:
    assert wishes(City(7, 100), "rider-1") == wishes(City(7, 100), "rider-1")


def test_users_and_seeds_draw_differently() -> None:
    city = City(7, 100)
    assert wishes(city, "rider-1") != wishes(city, "rider-2")
    assert wishes(city, "rider-1") != wishes(City(8, 100), "rider-1")


def test_the_city_grows_with_its_people() -> None:
    assert City(1, 2).side_m == MIN_SIDE_M
    assert City(1, 40_000).side_m == pytest.approx(2 * City(1, 10_000).side_m)


def test_everything_lies_within_the_city() -> None:
    city = City(3, 10)
    draw = Random(3)
    place = city.place(draw)
    for _ in range(500):
        place = city.destination(draw, place)
        north_m, east_m = offset_m(CENTRE, place)
        assert max(abs(north_m), abs(east_m)) <= city.side_m / 2 * 1.001


def test_trips_are_some_streets_long_even_in_a_large_city() -> None:
    city = City(3, 20_000)
    draw = Random(3)
    start = city.place(draw)
    trips_m = [distance_m(start, city.destination(draw, start)) for _ in range(200)]
    assert 800 < sum(trips_m) / len(trips_m) < 1_600


def test_plates_look_like_plates() -> None:
    plate = draw_plate(Random(1))
    letters, digits, letter = plate.split("-")
    assert (len(letters), len(digits), len(letter)) == (2, 3, 1)
    assert digits.isdigit()
