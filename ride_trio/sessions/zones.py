"""Zones: the cells of a 0.01-degree grid, and who is in them.

A zone is written `"<int(lat*100)>:<int(lng*100)>"`, as clients know it. `int()` cuts toward zero, so row 0 and column
0 are twice as wide as the others; whoever measures with cells has to allow for that.

Inside the server a cell is one int, `row * 65536 + column`: comparing it with the last one costs 30 ns and allocates
nothing, where building the name costs 400 ns a position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ride_trio.sessions.session import Session

# Cells a degree: today's clients know zones of 0.01 degree, 1.1 km from south to north.
CELLS_PER_DEGREE: Final = 100
# A column is within -18000..18000, so 16 bits hold it with its sign.
ROW_STRIDE: Final = 65536
MAX_LATITUDE_DEG: Final = 90.0
MAX_LONGITUDE_DEG: Final = 180.0


def on_globe(latitude: float, longitude: float) -> bool:
    """Whether both, in degrees, are finite and within the globe's range."""
    return -MAX_LATITUDE_DEG <= latitude <= MAX_LATITUDE_DEG and -MAX_LONGITUDE_DEG <= longitude <= MAX_LONGITUDE_DEG


def cell_of(latitude: float, longitude: float) -> int:
    """The cell of a place on the globe, in degrees."""
    return int(latitude * CELLS_PER_DEGREE) * ROW_STRIDE + int(longitude * CELLS_PER_DEGREE)


def row_and_column(cell: int) -> tuple[int, int]:
    """What `cell_of` put together."""
    row = (cell + ROW_STRIDE // 2) // ROW_STRIDE
    return row, cell - row * ROW_STRIDE


def zone_name(cell: int) -> str:
    """The zone as clients know it, such as `"3774:-12241"`."""
    row, column = row_and_column(cell)
    return f"{row}:{column}"


class Zone:
    """The live sessions whose newest position is in one cell."""

    __slots__ = ("cell", "members", "name")

    def __init__(self, cell: int) -> None:
        self.cell = cell
        self.name = zone_name(cell)
        self.members: set[Session] = set()

    def __repr__(self) -> str:
        return f"<Zone {self.name}, {len(self.members)} sessions>"
