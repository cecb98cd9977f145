"""Makes traces of cabs that never were, in the form that `trace` reads: for tests, CI and trying out.

    python -m ride_trio_loadgen.trace_maker DIR --cabs 20 --hours 1 --seed 1

Each cab cruises, takes a fare, cruises again. It reports about once a minute, as real ones do, and whenever a
fare gets in or out. Every second file is newest first: both orders exist in the wild.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ride_trio_loadgen.city import City
from ride_trio_loadgen.geometry import Place, Route, round_the_corner
from ride_trio_loadgen.trace import Point, format_line, read_trace

# Unix time at which the made-up traces begin: 2024-01-01T17:00:00Z, the start of an evening.
START_UNIX_S = 1_704_128_400
# Seconds between two reports of a cab.
REPORT_S = (45.0, 75.0)
# Drives without a fare between two fares.
CRUISES = (2, 5)
# Chance that a cab is first seen with a fare on board.
TAKEN_AT_FIRST = 0.3


def make_trace(city: City, name: str, hours: float) -> tuple[Point, ...]:
    """One cab's points, oldest first.

    Args:
        name: names the cab's random stream; the same name and city give the same points.
        hours: of city time.
    """
    draw = city.random_for(name)
    legs = _legs(city, draw, START_UNIX_S + hours * 3600.0)
    return tuple(_points(legs, draw))


def write_traces(folder: Path, cabs: int, hours: float, seed: int) -> tuple[Path, ...]:
    """Write a file a cab into `folder`, which is made if it isn't there. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    city = City(seed, 2 * cabs)
    return tuple(_write(folder, index, make_trace(city, f"cab-{index}", hours)) for index in range(cabs))


def _write(folder: Path, index: int, points: tuple[Point, ...]) -> Path:
    path = folder / f"cab_{index:03d}.txt"
    ordered = points if index % 2 == 0 else tuple(reversed(points))
    path.write_text("".join(f"{format_line(point)}\n" for point in ordered), "ascii")
    return path


def _legs(city: City, draw: Random, end_s: float) -> Iterator[tuple[Route, bool]]:
    """The cab's drives until `end_s`, and whether a fare is on board."""
    place, now_s = city.place(draw), START_UNIX_S + draw.uniform(0.0, REPORT_S[0])
    taken = draw.random() < TAKEN_AT_FIRST
    while now_s < end_s:
        for _ in range(1 if taken else draw.randint(*CRUISES)):
            route = _drive(city, draw, now_s, place)
            yield route, taken
            place, now_s = route.destination, route.end_s
        taken = not taken


def _drive(city: City, draw: Random, now_s: float, start: Place) -> Route:
    goal = city.destination(draw, start)
    return Route(now_s, round_the_corner(start, goal), city.speed_mps(draw))


def _points(legs: Iterator[tuple[Route, bool]], draw: Random) -> Iterator[Point]:
    """What the cab reports along its drives; its times are whole seconds, as in the files."""
    next_s, was_taken = 0.0, None
    for route, taken in legs:
        if taken != was_taken:
            next_s, was_taken = route.start_s, taken
        while next_s < route.end_s:
            yield Point(route.at(next_s).place, taken, float(int(next_s)))
            next_s += draw.uniform(*REPORT_S)


def main() -> None:
    """Write traces into a folder and say what is in them."""
    parser = argparse.ArgumentParser(description="Write made-up cab traces.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cabs", type=int, default=20)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    files = write_traces(asked.folder, asked.cabs, asked.hours, asked.seed)
    traces = [read_trace(path) for path in files]
    points = sum(len(trace.points) for trace in traces)
    requests = sum(len(tuple(trace.requests())) for trace in traces)
    print(f"{len(traces)} cabs, {points} points, {requests} requests in {asked.folder}")


if __name__ == "__main__":
    main()
