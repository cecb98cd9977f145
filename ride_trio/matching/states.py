"""What a user may say in which phase, as a table.

A user is in exactly one phase, whether as a rider or as a driver, and WAITING and all with a ride are tied to one
ride. So nobody is in two rides, and nobody drives themself: that holds by construction.

    rider:   IDLE ── LOOKING ──> WAITING ── matched ──> RIDING ── CANCELLED, or the driver is free again ──> IDLE
    driver:  IDLE ── AVAILABLE ──> FREE ── matched ──> MATCHED ── EN_ROUTE_TO_PICKUP, AT_PICKUP, ON_TRIP (in any
             order: phones report late, and some skip one) ── AVAILABLE ──> FREE
             ON_TRIP without a ride is a passenger from the street: HAILED until AVAILABLE

Odd rows:

- AVAILABLE right after a match may have been sent before the MatchEvent arrived, and clients repeat it
  periodically: it only releases a driver who names the ride. After any progress it releases without a name.
- OFFLINE before the pickup is a lost driver: the rider looks again. OFFLINE on the trip ends the ride.
- EN_ROUTE_TO_PICKUP and AT_PICKUP without a ride are illegal, and that is also how a driver learns that the rider
  has cancelled.
- LOOKING from a free driver makes a rider of them: people change sides between shifts.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from ride_trio.errors import IllegalTransitionError


class Phase(Enum):
    """What a user is doing."""

    IDLE = auto()
    WAITING = auto()  # rider: no driver yet
    RIDING = auto()  # rider: has a driver
    OFFLINE = auto()
    FREE = auto()  # driver: may be matched
    HAILED = auto()  # driver: a passenger who did not ask us
    MATCHED = auto()  # driver: has a ride, from here on
    EN_ROUTE = auto()
    AT_PICKUP = auto()
    ON_TRIP = auto()


class Status(Enum):
    """What a user says; the names that clients know."""

    LOOKING = auto()
    CANCELLED = auto()
    AVAILABLE = auto()
    OFFLINE = auto()
    EN_ROUTE_TO_PICKUP = auto()
    AT_PICKUP = auto()
    ON_TRIP = auto()


class Step(Enum):
    """What the dispatcher does about it."""

    ASK = auto()
    REPEAT_ASK = auto()
    CANCEL_REQUEST = auto()
    CANCEL_RIDE = auto()
    BECOME_FREE = auto()
    RELEASE = auto()  # the ride is over, the driver free
    RELEASE_IF_NAMED = auto()
    ADVANCE = auto()
    TAKE_HAIL = auto()
    GO_OFFLINE = auto()
    LOSE_DRIVER = auto()  # offline, and the rider looks again
    END_TRIP = auto()  # offline, and the ride is over
    STAY = auto()


RIDER_STATUSES: Final = frozenset({Status.LOOKING, Status.CANCELLED})
BEFORE_PICKUP: Final = (Phase.MATCHED, Phase.EN_ROUTE, Phase.AT_PICKUP)
WITH_RIDE: Final = (*BEFORE_PICKUP, Phase.ON_TRIP)
PROGRESS: Final = {
    Status.EN_ROUTE_TO_PICKUP: Phase.EN_ROUTE,
    Status.AT_PICKUP: Phase.AT_PICKUP,
    Status.ON_TRIP: Phase.ON_TRIP,
}

STEPS: Final[dict[tuple[Phase, Status], Step]] = {
    (Phase.IDLE, Status.LOOKING): Step.ASK,
    (Phase.OFFLINE, Status.LOOKING): Step.ASK,
    (Phase.FREE, Status.LOOKING): Step.ASK,
    (Phase.WAITING, Status.LOOKING): Step.REPEAT_ASK,
    (Phase.RIDING, Status.LOOKING): Step.REPEAT_ASK,
    (Phase.WAITING, Status.CANCELLED): Step.CANCEL_REQUEST,
    (Phase.RIDING, Status.CANCELLED): Step.CANCEL_RIDE,
    (Phase.IDLE, Status.AVAILABLE): Step.BECOME_FREE,
    (Phase.OFFLINE, Status.AVAILABLE): Step.BECOME_FREE,
    (Phase.HAILED, Status.AVAILABLE): Step.BECOME_FREE,
    (Phase.FREE, Status.AVAILABLE): Step.STAY,
    (Phase.MATCHED, Status.AVAILABLE): Step.RELEASE_IF_NAMED,
    (Phase.EN_ROUTE, Status.AVAILABLE): Step.RELEASE,
    (Phase.AT_PICKUP, Status.AVAILABLE): Step.RELEASE,
    (Phase.ON_TRIP, Status.AVAILABLE): Step.RELEASE,
    (Phase.IDLE, Status.OFFLINE): Step.GO_OFFLINE,
    (Phase.FREE, Status.OFFLINE): Step.GO_OFFLINE,
    (Phase.HAILED, Status.OFFLINE): Step.GO_OFFLINE,
    (Phase.OFFLINE, Status.OFFLINE): Step.STAY,
    (Phase.ON_TRIP, Status.OFFLINE): Step.END_TRIP,
    (Phase.IDLE, Status.ON_TRIP): Step.TAKE_HAIL,
    (Phase.FREE, Status.ON_TRIP): Step.TAKE_HAIL,
    (Phase.OFFLINE, Status.ON_TRIP): Step.TAKE_HAIL,
    (Phase.HAILED, Status.ON_TRIP): Step.STAY,
    **{(phase, Status.OFFLINE): Step.LOSE_DRIVER for phase in BEFORE_PICKUP},
    **{(phase, status): Step.ADVANCE for phase in WITH_RIDE for status in PROGRESS},
}

_DOING: Final = {
    Phase.IDLE: "there is no request and no ride",
    Phase.WAITING: "a request waits for a driver",
    Phase.RIDING: "a ride is under way",
    Phase.OFFLINE: "offline",
    Phase.FREE: "free, without a ride",
    Phase.HAILED: "a passenger from the street is on board",
    Phase.MATCHED: "matched with a rider",
    Phase.EN_ROUTE: "on the way to a rider",
    Phase.AT_PICKUP: "at the pickup",
    Phase.ON_TRIP: "on a trip",
}


def step_for(phase: Phase, status: Status) -> Step:
    """What a status means in a phase.

    Raises:
        IllegalTransitionError: it means nothing there.
    """
    step = STEPS.get((phase, status))
    if step is None:
        raise IllegalTransitionError(f"{status.name} is not possible while {_DOING[phase]}")
    return step
