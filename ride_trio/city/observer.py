"""What one observer knows of its view, and what it does not know yet.

Nothing is queued: what changes twice before the observer can be told is told once, as it is then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
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
    """

    def __init__(
        self, view: View, interval_s: float, send: Callable[[Change], None], can_send: Callable[[], bool]
    ) -> None:
        self.view = view
        self.interval_s = interval_s
        self._send = send
        self._can_send = can_send
        self._next_at = 0.0
        self._sequence = 0
        self._pending: set[Sight] = set()  # changed, or not looked at yet
        self._gone: set[int] = set()
        self._shown: set[int] = set()  # handles that it has been told of
        self._beyond: set[int] = set()  # handles in the view that there was no place for
        self._matches: deque[Ride] = deque(maxlen=MAX_MATCHES)
        self._zones = b""
        self._zones_at = 0.0

    def __repr__(self) -> str:
        return f"<Observer, {len(self._shown)} shown, {len(self._pending)} pending>"

    # ------------------------------------------------------------------ what happens

    def saw(self, sights: Iterable[Sight]) -> None:
        """These have changed."""
        self._pending.update(sights)

    def lost(self, sight: Sight) -> None:
        """This one is gone."""
        self._pending.discard(sight)
        self._beyond.discard(sight.handle)
        if sight.handle in self._shown:
            self._gone.add(sight.handle)

    def matched(self, ride: Ride) -> None:
        """A rider and a driver were."""
        self._matches.append(ride)

    # ------------------------------------------------------------------ what is told

    def tell(self, now: float, handles: dict[User, Sight], zones: Callable[[View], bytes]) -> None:
        """Send what the observer does not know, if it is time, there is something, and the last one has left.

        Args:
            now: seconds.
            handles: all sights.
            zones: makes the rows of the view's zones.
        """
        if now < self._next_at or not self._can_send():
            return
        snapshot = not self._sequence
        if snapshot:
            self._pending.update(handles.values())
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
        view, pending, gone = self.view, self._pending, self._gone
        south, west, north, east = view.south, view.west, view.north, view.east
        inside = [sight for sight in pending if south <= sight.lat <= north and west <= sight.lng <= east]
        if len(inside) < len(pending):
            outside = {sight.handle for sight in pending.difference(inside)}
            gone |= outside & self._shown
            self._beyond -= outside
        self._shown -= gone
        if self._beyond or len(self._shown) + len(inside) > MAX_SHOWN:
            inside = self._shown_of(inside)
        self._shown.update([sight.handle for sight in inside])
        removed = b"".join(map(HANDLE.pack, gone))
        pending.clear()
        gone.clear()
        return b"".join([sight.row for sight in inside]), removed

    def _shown_of(self, inside: list[Sight]) -> list[Sight]:
        """Those that there is a place for; the others are remembered."""
        found, places = [], MAX_SHOWN - len(self._shown)
        for sight in inside:
            known = sight.handle in self._shown
            if known or places > 0:
                places -= not known
                self._beyond.discard(sight.handle)
                found.append(sight)
            else:
                self._beyond.add(sight.handle)
        return found

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
