"""The table of stream states, every state x input pair."""

from itertools import product

import pytest

from ride_trio.wire.errors import LocalError, StreamFault
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.states import Input, State, step

# RFC 9113, section 5.1, figure 2, in letters: Idle, Open, Local or Remote half closed, Closed; and what a pair that is
# not allowed raises: "P" PROTOCOL_ERROR and "S" STREAM_CLOSED of the peer, "!" a mistake of our own.
LETTERS = {
    "I": State.IDLE,
    "O": State.OPEN,
    "L": State.HALF_CLOSED_LOCAL,
    "R": State.HALF_CLOSED_REMOTE,
    "C": State.CLOSED,
}
#                       state: I O L R C
EXPECTED = {
    Input.RECV_HEADERS: "O O L S S",
    Input.RECV_DATA: "P O L S S",
    Input.RECV_END: "P R C S S",
    Input.RECV_RST: "P C C C C",
    Input.SEND_HEADERS: "O O ! R !",
    Input.SEND_DATA: "! O ! R !",
    Input.SEND_END: "! L ! C !",
    Input.SEND_RST: "! C C C !",
}
FAULTS = {"P": ErrorCode.PROTOCOL_ERROR, "S": ErrorCode.STREAM_CLOSED}


def expected_of(state: State, happened: Input) -> str:
    return EXPECTED[happened].split()[list(LETTERS.values()).index(state)]


@pytest.mark.parametrize(("state", "happened"), [*product(State, Input)])
def test_every_pair(state: State, happened: Input) -> None:
    expected = expected_of(state, happened)
    if expected == "!":
        with pytest.raises(LocalError, match="stream 5: " + happened.value):
            step(state, happened, 5)
    elif expected in FAULTS:
        with pytest.raises(StreamFault) as caught:
            step(state, happened, 5)
        assert (caught.value.stream_id, caught.value.code) == (5, FAULTS[expected])
    else:
        assert step(state, happened, 5) is LETTERS[expected]
