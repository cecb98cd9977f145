"""The nearest free driver: an index of places by zone cell.

A search looks at the cell it stands in, then at the ring of cells around it, then at the next ring, and stops when no
place in a further ring can be nearer than the best one found (or than the radius). Three things make that exact:

- How near a further ring can be is measured with `geo`'s bounds, not in cells: a column is 1.1 km wide at the equator
  and nothing at the poles.
- Columns go round the globe. Those at +180 and -180 degrees are of no width, and next to each other.
- Near a pole, or with few drivers, rings cost more than drivers do. When the rings would look at more cells than there
  are drivers, the search looks at every driver instead.

Rejected: finer cells of our own (a second division and comparison at every position, the hottest path there is); a
k-d tree (every move rebuilds).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import degrees, inf, radians, sin
from typing import Final, Generic, Protocol, TypeVar

from ride_trio.matching.geo import EARTH_RADIUS_M, angle_of, angle_to_meridian, haversine
from ride_trio.sessions.zones import CELLS_PER_DEGREE, ROW_STRIDE, cell_of, row_and_column

# Columns -18000 to 18000.
LAST_COLUMN: Final = 180 * CELLS_PER_DEGREE
COLUMNS: Final = 2 * LAST_COLUMN + 1
# Columns of no width that a way across the date line passes.
DATE_LINE_COLUMNS: Final = 2
# Radians, 6 mm on the ground: far above the rounding of cells and bounds, far below what matters to anyone.
ANGLE_SLACK: Final = 1e-9


class Place(Protocol):
    """What the index holds. Of two at the same distance the lower `free_since` is preferred."""

    lat: float
    lng: float
    free_since: int


P = TypeVar("P", bound=Place)


class CellIndex(Generic[P]):
    """Places by the cell they were filed under; their `lat` and `lng`, in degrees, are read when searched for.

    A place may move within its cell without telling the index; when it leaves the cell, `file` it again.
    """

    __slots__ = ("_cells", "_filed")

    def __init__(self) -> None:
        self._cells: dict[int, set[P]] = {}
        self._filed: dict[P, int] = {}

    def __len__(self) -> int:
        return len(self._filed)

    def __contains__(self, place: P) -> bool:
        return place in self._filed

    def __repr__(self) -> str:
        return f"<CellIndex {len(self._filed)} places in {len(self._cells)} cells>"

    def file(self, place: P, cell: int) -> None:
        """Add a place, or move it to another cell."""
        self.remove(place)
        self._filed[place] = cell
        self._cells.setdefault(cell, set()).add(place)

    def remove(self, place: P) -> None:
        """Forget a place, if it is there."""
        cell = self._filed.pop(place, None)
        if cell is None:
            return
        places = self._cells[cell]
        places.discard(place)
        if not places:
            del self._cells[cell]

    def nearest(self, latitude: float, longitude: float, radius_m: float) -> tuple[P, float] | None:
        """The nearest place and its distance in metres, or None if there is none within the radius.

        Args:
            latitude: degrees.
            longitude: degrees.
            radius_m: metres, inclusive.
        """
        search = _Search[P](latitude, longitude, radius_m)
        row, column = row_and_column(cell_of(latitude, longitude))
        seen_cells, ring = 0, 0
        while ring == 0 or search.may_be_nearer_than_ring(ring - 1, column):
            seen_cells += 8 * ring or 1
            if seen_cells > len(self._filed):
                search.look_at(self._filed)
                break
            for cell in _ring(row, column, ring):
                places = self._cells.get(cell)
                if places:
                    search.look_at(places)
            ring += 1
        return search.result()


class _Search(Generic[P]):
    """The best place so far, from one point."""

    __slots__ = ("_best", "_best_haversine", "_best_since", "_latitude", "_longitude", "_reach_deg")

    def __init__(self, latitude: float, longitude: float, radius_m: float) -> None:
        self._latitude = latitude
        self._longitude = longitude
        self._best: P | None = None
        self._best_since: float = inf
        angle = radius_m / EARTH_RADIUS_M
        self._best_haversine = sin(angle / 2) ** 2
        self._reach_deg = degrees(angle + ANGLE_SLACK)

    def look_at(self, places: Iterable[P]) -> None:
        """Keep the best of these, if it is better than the best so far."""
        latitude, longitude = self._latitude, self._longitude
        for place in places:
            if abs(place.lat - latitude) > self._reach_deg:
                continue
            distance, best = haversine(latitude, longitude, place.lat, place.lng), self._best_haversine
            if distance < best or (distance == best and place.free_since < self._best_since):
                self._take(place, distance)

    def _take(self, place: P, distance: float) -> None:
        self._best = place
        self._best_since = place.free_since
        self._best_haversine = distance
        self._reach_deg = degrees(angle_of(distance) + ANGLE_SLACK)

    def may_be_nearer_than_ring(self, ring: int, column: int) -> bool:
        """Whether a place outside the rings up to this one can be as near as the best."""
        narrow = DATE_LINE_COLUMNS if abs(column) + ring >= LAST_COLUMN - 1 else 0
        beyond_rows = radians(ring / CELLS_PER_DEGREE)
        beyond_columns = angle_to_meridian(self._latitude, max(0, ring - narrow) / CELLS_PER_DEGREE)
        return min(beyond_rows, beyond_columns) <= radians(self._reach_deg) + ANGLE_SLACK

    def result(self) -> tuple[P, float] | None:
        """The best place and its distance in metres."""
        if self._best is None:
            return None
        return self._best, EARTH_RADIUS_M * angle_of(self._best_haversine)


def _ring(row: int, column: int, ring: int) -> Iterator[int]:
    """The cells that are `ring` rows or columns away from a cell, whichever is more; columns go round."""
    if not ring:
        yield row * ROW_STRIDE + column
        return
    columns = [_round_the_globe(column + step) for step in range(-ring, ring + 1)]
    for column_ in columns:
        yield (row - ring) * ROW_STRIDE + column_
        yield (row + ring) * ROW_STRIDE + column_
    for row_ in range(row - ring + 1, row + ring):
        yield row_ * ROW_STRIDE + columns[0]
        yield row_ * ROW_STRIDE + columns[-1]


def _round_the_globe(column: int) -> int:
    return (column + LAST_COLUMN) % COLUMNS - LAST_COLUMN
