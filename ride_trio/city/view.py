"""A part of the map."""

from __future__ import annotations

from dataclasses import dataclass

from ride_trio.sessions import on_globe, row_and_column
from ride_trio.sessions.zones import CELLS_PER_DEGREE


@dataclass(frozen=True, slots=True)
class View:
    """What is between four sides, in degrees; without any, the whole globe."""

    south: float = -90.0
    west: float = -180.0
    north: float = 90.0
    east: float = 180.0

    @property
    def is_valid(self) -> bool:
        """Whether the sides are on the globe, and the first two before the others."""
        corners = on_globe(self.south, self.west) and on_globe(self.north, self.east)
        return corners and self.south <= self.north and self.west <= self.east

    def has_cell(self, cell: int) -> bool:
        """Whether some of a zone's cell may be inside: exact but for a cell at the sides."""
        row, column = row_and_column(cell)
        inside_rows = self.south * CELLS_PER_DEGREE - 1 <= row <= self.north * CELLS_PER_DEGREE + 1
        return inside_rows and self.west * CELLS_PER_DEGREE - 1 <= column <= self.east * CELLS_PER_DEGREE + 1
