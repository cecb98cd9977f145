"""What has happened lately, in memory, for the story of a user."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from ride_trio.matching import Ride

# Notes that are kept, of all users together: 3 MB. The newest are read most, and whoever wants all has the log.
MAX_NOTES: Final = 10_000

_TEXTS: Final = {
    "matched": "matched with {other}, ride {ride}",
    "no_driver": "no driver was found for ride {ride}",
    "cancelled": "ride {ride} is off",
    "driver_lost": "ride {ride}: the driver has gone before the pickup",
    "ended": "ride {ride} is over",
}


class Note(NamedTuple):
    """Something that happened to a user."""

    at_unix_millis: int
    user_id: str
    text: str


class Chronicle:
    """See the module's text.

    Args:
        wall_clock: seconds since 1970.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self._wall_clock = wall_clock

    def __repr__(self) -> str:
        return f"<Chronicle, {len(self._notes)} notes>"

    def note(self, user_id: str, text: str) -> None:
        """Remember what happened to a user just now."""
        self._notes.append(Note(round(self._wall_clock() * 1000), user_id, text))

    def ride(self, event: str, ride: Ride) -> None:
        """As `Dispatcher.on_event`: a note for each side."""
        rider, driver = ride.rider.user_id, ride.driver.user_id if ride.driver is not None else None
        text = _TEXTS[event]
        self.note(rider, text.format(other=driver, ride=ride.ride_id))
        if driver is not None:
            self.note(driver, text.format(other=rider, ride=ride.ride_id))

    def of(self, user_id: str, limit: int) -> list[Note]:
        """A user's, the newest first."""
        mine: Iterator[Note] = (note for note in reversed(self._notes) if note.user_id == user_id)
        return list(islice(mine, limit))
