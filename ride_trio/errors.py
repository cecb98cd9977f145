"""The error tree: what can go wrong in the domain, and what a client is told about it.

    RideTrioError
    ├── SettingsError               BAD_SETTING          the program does not start
    ├── ListenError                 CANNOT_LISTEN        the program does not start
    ├── RequestError                one request is answered with it; the session lives on
    │   ├── BadRequestError         BAD_REQUEST
    │   ├── IllegalTransitionError  ILLEGAL_TRANSITION
    │   └── NoDriverFoundError      NO_DRIVER_FOUND      may be asked again
    └── SessionError                the session ends with it
        ├── NoHeartbeatError        NO_HEARTBEAT         come back
        ├── ShutdownError           SHUTDOWN             come back
        ├── SlowConsumerError       SLOW_CONSUMER        come back
        ├── SessionTakenOverError   SESSION_TAKEN_OVER
        └── ConnectionLimitError    CONNECTION_LIMIT

Foreign errors (of sockets, protobuf, HTTP/2) are not in the tree: they are mapped once, at the edge where
they appear.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class GrpcStatus(IntEnum):
    """The gRPC status codes that this tree uses, by their numbers on the wire."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14


class RideTrioError(Exception):
    """Base of the tree.

    Args:
        message: one line for a person, without the code.

    Attributes:
        code: stable upper-case name, for programs; clients may depend on it.
        grpc_status: the status of a call that ends with this error.
        retryable: the same may succeed later, unchanged.
    """

    code: ClassVar[str] = "INTERNAL"
    grpc_status: ClassVar[GrpcStatus] = GrpcStatus.INTERNAL
    retryable: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def detail(self) -> str:
        """`CODE: message`, as it stands in an Ack's detail and in a gRPC status message."""
        return f"{self.code}: {self.message}"


class SettingsError(RideTrioError):
    """A setting's value is not allowed. The message names the setting, the value and what is allowed."""

    code = "BAD_SETTING"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class ListenError(RideTrioError):
    """An address can't be listened on: it is in use, or not this machine's. The message names it."""

    code = "CANNOT_LISTEN"
    grpc_status = GrpcStatus.UNAVAILABLE


class RequestError(RideTrioError):
    """One request could not be carried out. The session is not affected."""


class BadRequestError(RequestError):
    """The request makes no sense: coordinates off the globe, another's user_id, an empty body.

    Not raised for bytes that are no message at all: those end the call, in the RPC engine.
    """

    code = "BAD_REQUEST"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class IllegalTransitionError(RequestError):
    """The request makes sense, but not in the state that the user is in: a second ride, a cancel without a ride."""

    code = "ILLEGAL_TRANSITION"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class NoDriverFoundError(RequestError):
    """Nobody could be matched with the rider within MATCH_TIMEOUT."""

    code = "NO_DRIVER_FOUND"
    grpc_status = GrpcStatus.NOT_FOUND


class SessionError(RideTrioError):
    """The session is over. Not raised when the client ended it itself, or when its connection was lost."""


class NoHeartbeatError(SessionError):
    """The client said nothing for HEARTBEAT_TIMEOUT."""

    code = "NO_HEARTBEAT"
    grpc_status = GrpcStatus.UNAVAILABLE


class ShutdownError(SessionError):
    """The server is stopping."""

    code = "SHUTDOWN"
    grpc_status = GrpcStatus.UNAVAILABLE


class SlowConsumerError(SessionError):
    """The client did not read, its outbound buffer is full, and what comes next may not be dropped."""

    code = "SLOW_CONSUMER"
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED


class SessionTakenOverError(SessionError):
    """A newer session of the same user has taken this one's place. Coming back would take it over in turn."""

    code = "SESSION_TAKEN_OVER"
    grpc_status = GrpcStatus.ABORTED
    retryable = False


class ConnectionLimitError(SessionError):
    """The server holds MAX_SESSIONS sessions already."""

    code = "CONNECTION_LIMIT"
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED
    retryable = False
