"""A user as a mark on the map."""

from __future__ import annotations

from struct import Struct
from typing import Final

from ride_trio.matching import Motion, Phase, User

# As `CityView.changed` in the contract: handle, latitude and longitude in 1e-6 degrees, kind, heading, speed, zero.
ROW: Final = Struct("<IiiBBBx")
MICRODEGREES: Final = 1e6
HEADINGS_A_DEGREE: Final = 256 / 360
KINDS: Final = {
    Phase.IDLE: 0,
    Phase.WAITING: 1,
    Phase.RIDING: 2,
    Phase.FREE: 3,
    Phase.MATCHED: 4,
    Phase.EN_ROUTE: 4,
    Phase.AT_PICKUP: 5,
    Phase.ON_TRIP: 6,
    Phase.HAILED: 6,
    Phase.OFFLINE: 7,
}


class Sight(Motion):
    """What was last seen of a user whose place is known.

    Attributes:
        handle: its number, from 1; never given to another user of the same run.
        phase, lat, lng: then.
        row: all of it, packed.
        look: the number of the look around at which it was last there.
    """

    __slots__ = ("_kind", "handle", "lat", "lng", "look", "phase", "row", "user")

    def __init__(self, handle: int, user: User) -> None:
        super().__init__()
        self.handle = handle
        self.user = user
        self.look = 0
        self.phase: Phase | None = None
        self._kind = 0
        self.see()

    def __repr__(self) -> str:
        return f"<Sight {self.handle}: {self.user!r}>"

    def see(self) -> None:
        """Take what the user is now."""
        user = self.user
        self.lat = lat = user.lat
        self.lng = lng = user.lng
        if self.phase is not user.phase:
            self.phase = user.phase
            has_said_nothing = user.phase is Phase.IDLE and user.plate  # a driver, then
            self._kind = KINDS[Phase.OFFLINE if has_said_nothing else user.phase]
        heading = int(self.bearing * HEADINGS_A_DEGREE) & 0xFF
        speed = int(self.speed_mps + 0.5)
        if not 0 <= speed <= 255:
            speed = 255 if speed > 0 else 0
        self.row = ROW.pack(self.handle, int(lat * MICRODEGREES), int(lng * MICRODEGREES), self._kind, heading, speed)
