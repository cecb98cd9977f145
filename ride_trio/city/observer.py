"""What one observer knows of its view, and what it does not know yet.

Nothing is queued: what changes twice before the observer can be told is told once, as it is then. What is in the view
is found out while the city is looked at, which is done in slices: telling is for those who are shown only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from struct import Struct
from typing import Final, NamedTuple

from ride_trio.city.sight import Sight
from ride_trio.city.view import View
from ride_trio.matching import Ride, User
from ride_trio.sessions import Zone, row_and_column

# Users shown at once: 160 KB a snapshot, and a browser draws so many. Of more than these, the first ones.
MAX_SHOWN: Final = 10_000
MAX_ZONES: Final = 2_000
ZONES_S: Final = 1.0
# Looks come at intervals that are not exact, and one that is a little early counts.
SLACK_S: Final = 0.01
# Matches that are kept for an observer who is slow; lines that fade within seconds.
MAX_MATCHES: Final = 256
HANDLE: Final = Struct("<I")
# As `CityView.zones` in the contract: row, column, sessions, positions a second.
ZONE_ROW: Final = Struct("<iiHH")
_UINT16_MAX: Final = 65_535


class Matched(NamedTuple):
    """A match; a handle of 0 is somebody who is not in the view."""

    ride_id: str
    rider: int
    driver: int


@dataclass(frozen=True, slots=True)
class Change:
    """One CityView, see the contract."""

    sequence: int
    snapshot: bool
    changed: bytes
    removed: bytes
    matched: list[Matched]
    zones: bytes
    total: int
    sampled: bool


class Observer:
    """See the module's text. Everything is synchronous.

    Args:
        view: what it looks at.
        interval_s: between two changes at least, seconds.
        send: takes a change.
        can_send: whether the one before it has left.

    Attributes:
        has_seen_all: everybody was shown to it once; before that it is told nothing.
    """

    def __init__(
        self, view: View, interval_s: float, send: Callable[[Change], None], can_send: Callable[[], bool]
    ) -> None:
        self.view = view
        self.interval_s = interval_s
        self.has_seen_all = False
        self._send = send
        self._can_send = can_send
        self._next_at = 0.0
        self._sequence = 0
        self._shown: set[int] = set()  # handles that it has been told of
        self._pending: dict[int, Sight] = {}  # by handle: of these, who has changed since
        self._gone: set[int] = set()  # of these, who is not in the view any more
        self._beyond: dict[int, Sight] = {}  # in the view, and waits to be shown: for the next change, or for a place
        self._matches: deque[Ride] = deque(maxlen=MAX_MATCHES)
        self._zones = b""
        self._zones_at = 0.0

    def __repr__(self) -> str:
        return f"<Observer, {len(self._shown)} shown, {len(self._pending)} pending>"

    # ------------------------------------------------------------------ what happens

    def saw(self, sights: Collection[Sight]) -> None:
        """These have changed, or are looked at for the first time."""
        view = self.view
        south, west, north, east = view.south, view.west, view.north, view.east
        here = {sight.handle: sight for sight in sights if south <= sight.lat <= north and west <= sight.lng <= east}
        if len(here) < len(sights):
            self._left({sight.handle for sight in sights} - here.keys())
        self._gone -= here.keys()
        for handle in here.keys() - self._shown:
            self._beyond[handle] = here.pop(handle)
        self._pending.update(here)

    def lost(self, sight: Sight) -> None:
        """This one is gone."""
        self._left({sight.handle})

    def matched(self, ride: Ride) -> None:
        """A rider and a driver were."""
        self._matches.append(ride)

    def _left(self, handles: set[int]) -> None:
        self._gone |= handles & self._shown
        for waiting in (self._pending, self._beyond):
            for handle in handles & waiting.keys():
                del waiting[handle]

    # ------------------------------------------------------------------ what is told

    def tell(self, now: float, handles: dict[User, Sight], zones: Callable[[View], bytes]) -> None:
        """Send what the observer does not know, if it is time, there is something, and the last one has left.

        Args:
            now: seconds.
            handles: all sights.
            zones: makes the rows of the view's zones.
        """
        if not self.has_seen_all or now < self._next_at or not self._can_send():
            return
        snapshot = not self._sequence
        changed, removed = self._take_changes()
        fresh = self._zones
        if now >= self._zones_at:
            fresh, self._zones_at = zones(self.view), now + ZONES_S - SLACK_S
        told_zones = fresh if fresh != self._zones else b""
        matched = self._take_matches(handles)
        if not (snapshot or changed or removed or matched or told_zones):
            return
        self._zones = fresh
        self._sequence += 1
        self._next_at = now + self.interval_s - SLACK_S
        total = len(self._shown) + len(self._beyond)
        self._send(Change(self._sequence, snapshot, changed, removed, matched, told_zones, total, bool(self._beyond)))

    def _take_changes(self) -> tuple[bytes, bytes]:
        """The rows of what has changed inside the view, and the handles of what is not there any more."""
        self._shown -= self._gone
        for handle in list(islice(self._beyond, MAX_SHOWN - len(self._shown))):
            self._pending[handle] = self._beyond.pop(handle)
        self._shown |= self._pending.keys()
        changed = b"".join([sight.row for sight in self._pending.values()])
        removed = b"".join(map(HANDLE.pack, self._gone))
        self._pending.clear()
        self._gone.clear()
        return changed, removed

    def _take_matches(self, handles: dict[User, Sight]) -> list[Matched]:
        found = [
            Matched(ride.ride_id, self._handle(handles, ride.rider), self._handle(handles, ride.driver))
            for ride in self._matches
        ]
        self._matches.clear()
        return [matched for matched in found if matched.rider or matched.driver]

    def _handle(self, handles: dict[User, Sight], user: User | None) -> int:
        sight = handles.get(user) if user is not None else None
        return sight.handle if sight is not None and sight.handle in self._shown else 0


def zone_rows(zones: Iterable[Zone], activity: dict[int, int], view: View) -> bytes:
    """The rows of the zones in a view; of very many, the fullest."""
    inside = [zone for zone in zones if view.has_cell(zone.cell)]
    if len(inside) > MAX_ZONES:
        inside = nlargest(MAX_ZONES, inside, key=lambda zone: len(zone.members))
    return b"".join(
        ZONE_ROW.pack(
            *row_and_column(zone.cell),
            min(len(zone.members), _UINT16_MAX),
            min(activity.get(zone.cell, 0), _UINT16_MAX),
        )
        for zone in islice(inside, MAX_ZONES)
    )
