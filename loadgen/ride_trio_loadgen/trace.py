"""Traces of real cabs: a file a cab, a line `latitude longitude occupied unix_time`.

    37.75134 -122.39488 0 1213084687
    37.75136 -122.39527 1 1213084747

`occupied` is 1 while a fare is on board. Such files come oldest first or newest first; both are read. Where
`occupied` turns from 0 to 1 somebody got in: that is a request, at that place and time, for a trip to where
it turns back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ride_trio_loadgen.geometry import Fix, Place, bearing_deg, distance_m

# Metres a second. The receiver jumps now and then, which no car does; what is faster is reported as this.
MAX_SPEED_MPS = 50.0
# Seconds: the shortest trip that is replayed. Cabs that flick the meter on and off are still a request.
MIN_TRIP_S = 30.0


class TraceError(ValueError):
    """A trace file that can't be read. The text names the file and the line."""


class Point(NamedTuple):
    """One line of a trace."""

    place: Place
    occupied: bool
    time_s: float  # unix time


class Request(NamedTuple):
    """Somebody got into the cab: what a rider would have asked for."""

    time_s: float  # unix time
    pickup: Place
    dropoff: Place
    trip_s: float  # seconds of the trace, at least MIN_TRIP_S


@dataclass(frozen=True, slots=True)
class Trace:
    """One cab's points, oldest first; at least one."""

    name: str
    points: tuple[Point, ...]

    @property
    def start_s(self) -> float:
        """Unix time of the first point."""
        return self.points[0].time_s

    @property
    def end_s(self) -> float:
        """Unix time of the last point."""
        return self.points[-1].time_s

    def index_at(self, time_s: float) -> int:
        """Index of the newest point that is not after `time_s` (0 before the first)."""
        return max(0, bisect_right(self.points, time_s, key=lambda point: point.time_s) - 1)

    def at(self, time_s: float) -> Fix:
        """Where the cab is at unix time `time_s`, on the straight line between two points."""
        index = self.index_at(time_s)
        here = self.points[index]
        if index + 1 == len(self.points) or time_s <= here.time_s:
            return self.fix(index)
        there = self.points[index + 1]
        done = (time_s - here.time_s) / (there.time_s - here.time_s)
        latitude = here.place.latitude + (there.place.latitude - here.place.latitude) * done
        longitude = here.place.longitude + (there.place.longitude - here.place.longitude) * done
        return Fix(latitude, longitude, *_motion(here, there))

    def fix(self, index: int) -> Fix:
        """What the cab reports at point `index`; bearing and speed are those of the stretch before it."""
        place = self.points[index].place
        if index == 0:
            return Fix.standing(place)
        return Fix(place.latitude, place.longitude, *_motion(self.points[index - 1], self.points[index]))

    def requests(self) -> Iterator[Request]:
        """Every turn of `occupied` from 0 to 1, oldest first. Who is on board at the end gets out there."""
        for index, (before, point) in enumerate(pairwise(self.points), start=1):
            if point.occupied and not before.occupied:
                out = self._getting_out(index)
                yield Request(point.time_s, point.place, out.place, max(MIN_TRIP_S, out.time_s - point.time_s))

    def _getting_out(self, index: int) -> Point:
        return next((point for point in self.points[index:] if not point.occupied), self.points[-1])


def _motion(before: Point, after: Point) -> tuple[float, float]:
    """Bearing in degrees and speed in m/s from one point to the next."""
    span_s = after.time_s - before.time_s
    moved_m = distance_m(before.place, after.place)
    if not moved_m or span_s <= 0:
        return 0.0, 0.0
    return bearing_deg(before.place, after.place), min(MAX_SPEED_MPS, moved_m / span_s)


def read_trace(path: Path) -> Trace:
    """Read one cab's file.

    Raises:
        TraceError: a line that isn't of the form, times that go neither up nor down, an empty file, or a file
            that can't be read.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: {error}") from error
    return Trace(path.stem, parse(lines, str(path)))


def parse(lines: Iterable[str], source: str) -> tuple[Point, ...]:
    """The points in `lines`, oldest first; empty lines are skipped.

    Args:
        lines: in either time order.
        source: the file's name, for error texts.

    Raises:
        TraceError: as `read_trace`.
    """
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    points = [_point(line, f"{source}:{number}") for number, line in numbered]
    if not points:
        raise TraceError(f"{source}: no points in the file")
    newest_first = points[0].time_s > points[-1].time_s
    for (earlier, later), (number, _) in zip(pairwise(points), numbered[1:], strict=True):
        if (later.time_s > earlier.time_s) if newest_first else (later.time_s < earlier.time_s):
            order = "newest" if newest_first else "oldest"
            raise TraceError(f"{source}:{number}: the time is out of order in a file that is {order} first")
    return tuple(reversed(points) if newest_first else points)


def _point(line: str, where: str) -> Point:
    fields = line.split()
    if len(fields) != 4:
        raise TraceError(f"{where}: {line!r} is not `latitude longitude occupied unix_time`")
    try:
        latitude, longitude, time_s = float(fields[0]), float(fields[1]), float(int(fields[3]))
    except ValueError as error:
        raise TraceError(f"{where}: {line!r}: {error}") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise TraceError(f"{where}: {line!r} is not on the earth (-90 to 90, -180 to 180 degrees)")
    if fields[2] not in ("0", "1"):
        raise TraceError(f"{where}: occupied is {fields[2]!r}, not 0 or 1")
    return Point(Place(latitude, longitude), fields[2] == "1", time_s)


def format_line(point: Point) -> str:
    """One point as a line of a trace file, without its end."""
    place = point.place
    return f"{place.latitude:.5f} {place.longitude:.5f} {int(point.occupied)} {int(point.time_s)}"


def span_s(traces: Sequence[Trace]) -> tuple[float, float]:
    """Unix times of the first and the last point of all `traces`."""
    return min(trace.start_s for trace in traces), max(trace.end_s for trace in traces)
