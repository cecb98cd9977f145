"""Every pair of phase and status, drawn in full."""

import pytest

from ride_trio.errors import IllegalTransitionError
from ride_trio.matching import RIDER_STATUSES, Phase, Status
from ride_trio.matching.states import STEPS, WITH_RIDE, Step, step_for

# One line a phase; columns: LOOKING, CANCELLED, AVAILABLE, OFFLINE, EN_ROUTE_TO_PICKUP, AT_PICKUP, ON_TRIP.
TABLE = """
IDLE      ASK         -               BECOME_FREE       GO_OFFLINE   -        -        TAKE_HAIL
WAITING   REPEAT_ASK  CANCEL_REQUEST  -                 -            -        -        -
RIDING    REPEAT_ASK  CANCEL_RIDE     -                 -            -        -        -
OFFLINE   ASK         -               BECOME_FREE       STAY         -        -        TAKE_HAIL
FREE      ASK         -               STAY              GO_OFFLINE   -        -        TAKE_HAIL
HAILED    -           -               BECOME_FREE       GO_OFFLINE   -        -        STAY
MATCHED   -           -               RELEASE_IF_NAMED  LOSE_DRIVER  ADVANCE  ADVANCE  ADVANCE
EN_ROUTE  -           -               RELEASE           LOSE_DRIVER  ADVANCE  ADVANCE  ADVANCE
AT_PICKUP -           -               RELEASE           LOSE_DRIVER  ADVANCE  ADVANCE  ADVANCE
ON_TRIP   -           -               RELEASE           END_TRIP     ADVANCE  ADVANCE  ADVANCE
"""
EXPECTED = {
    (Phase[words[0]], status): word
    for words in map(str.split, TABLE.strip().splitlines())
    for status, word in zip(Status, words[1:], strict=True)
}


def test_the_table_here_is_complete() -> None:
    assert EXPECTED.keys() == {(phase, status) for phase in Phase for status in Status}


@pytest.mark.parametrize(("phase", "status"), EXPECTED, ids=lambda value: value.name)
def test_each_pair(phase: Phase, status: Status) -> None:
    expected = EXPECTED[phase, status]
    if expected == "-":
        with pytest.raises(IllegalTransitionError, match=f"^{status.name} is not possible while "):
            step_for(phase, status)
    else:
        assert step_for(phase, status) is Step[expected]


def test_every_step_is_reachable() -> None:
    assert set(STEPS.values()) == set(Step)


def test_riders_statuses_mean_nothing_to_a_driver_with_a_ride() -> None:
    assert not [pair for pair in STEPS if pair[0] in WITH_RIDE and pair[1] in RIDER_STATUSES]
