"""The life of a stream as one table (RFC 9113, section 5.1, figure 2).

Push is switched off by our SETTINGS, so the two reserved states do not occur. A row says what an input does in a
state; a pair that is not there is an error of whoever caused the input, with the code that section 5.1 names.

                      recv/send HEADERS
              IDLE ------------------------> OPEN
                                              |
                       recv END_STREAM        |        send END_STREAM
        HALF_CLOSED_REMOTE <------------------+------------------> HALF_CLOSED_LOCAL
                |                             |                            |
                |  send END_STREAM / RST      | RST                        |  recv END_STREAM / RST
                +------------------------> CLOSED <------------------------+
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ride_trio.wire.errors import LocalError, StreamFault, WireError
from ride_trio.wire.frames import ErrorCode


class State(StrEnum):
    """Where a stream stands. Strings, because the table is looked up by their hash several times a call."""

    IDLE = "idle"
    OPEN = "open"
    HALF_CLOSED_LOCAL = "half closed (local)"
    HALF_CLOSED_REMOTE = "half closed (remote)"
    CLOSED = "closed"


class Input(StrEnum):
    """What can happen to a stream. END_STREAM is an input of its own, after the frame that carries it."""

    RECV_HEADERS = "received HEADERS"
    RECV_DATA = "received DATA"
    RECV_END = "received END_STREAM"
    RECV_RST = "received RST_STREAM"
    SEND_HEADERS = "sent HEADERS"
    SEND_DATA = "sent DATA"
    SEND_END = "sent END_STREAM"
    SEND_RST = "sent RST_STREAM"


# Looked up by their names here, members cost a tenth of what they cost as attributes of their class.
IDLE, OPEN, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, CLOSED = State
RECV_HEADERS, RECV_DATA, RECV_END, RECV_RST, SEND_HEADERS, SEND_DATA, SEND_END, SEND_RST = Input

TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (IDLE, RECV_HEADERS): OPEN,
    (IDLE, SEND_HEADERS): OPEN,
    (OPEN, RECV_HEADERS): OPEN,
    (OPEN, RECV_DATA): OPEN,
    (OPEN, RECV_END): HALF_CLOSED_REMOTE,
    (OPEN, RECV_RST): CLOSED,
    (OPEN, SEND_HEADERS): OPEN,
    (OPEN, SEND_DATA): OPEN,
    (OPEN, SEND_END): HALF_CLOSED_LOCAL,
    (OPEN, SEND_RST): CLOSED,
    (HALF_CLOSED_LOCAL, RECV_HEADERS): HALF_CLOSED_LOCAL,
    (HALF_CLOSED_LOCAL, RECV_DATA): HALF_CLOSED_LOCAL,
    (HALF_CLOSED_LOCAL, RECV_END): CLOSED,
    (HALF_CLOSED_LOCAL, RECV_RST): CLOSED,
    (HALF_CLOSED_LOCAL, SEND_RST): CLOSED,
    (HALF_CLOSED_REMOTE, RECV_RST): CLOSED,
    (HALF_CLOSED_REMOTE, SEND_HEADERS): HALF_CLOSED_REMOTE,
    (HALF_CLOSED_REMOTE, SEND_DATA): HALF_CLOSED_REMOTE,
    (HALF_CLOSED_REMOTE, SEND_END): CLOSED,
    (HALF_CLOSED_REMOTE, SEND_RST): CLOSED,
    (CLOSED, RECV_RST): CLOSED,
}

_SENDING: Final = frozenset((SEND_HEADERS, SEND_DATA, SEND_END, SEND_RST))
# "If a stream is in this state and an endpoint receives additional frames ... STREAM_CLOSED" (section 5.1).
_CLOSED_TO_PEER: Final = frozenset((HALF_CLOSED_REMOTE, CLOSED))


def step(state: State, happened: Input, stream_id: int) -> State:
    """The state after an input.

    Raises:
        StreamFault: The peer did what this state does not allow.
        LocalError: We did.
    """
    after = TRANSITIONS.get((state, happened))
    if after is None:
        raise _refusal(state, happened, stream_id)
    return after


def _refusal(state: State, happened: Input, stream_id: int) -> WireError:
    text = f"{happened.value} on a stream that is {state.value}"
    if happened in _SENDING:
        return LocalError(f"stream {stream_id}: {text}")
    code = ErrorCode.STREAM_CLOSED if state in _CLOSED_TO_PEER else ErrorCode.PROTOCOL_ERROR
    return StreamFault(stream_id, code, text)
