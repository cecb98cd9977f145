"""Between gRPC status numbers and purerpc's exceptions, which are the API of our services and clients.

Which status the engine itself gives for what: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md. It leaves
INVALID_ARGUMENT, NOT_FOUND and five others to applications, so that who gets one knows whose it is.
"""

from __future__ import annotations

from typing import Final

import purerpc
from purerpc import RpcFailedError, Status, StatusCode

_ERRORS: Final[dict[int, type[RpcFailedError]]] = {
    1: purerpc.CancelledError,
    2: purerpc.UnknownError,
    3: purerpc.InvalidArgumentError,
    4: purerpc.DeadlineExceededError,
    5: purerpc.NotFoundError,
    6: purerpc.AlreadyExistsError,
    7: purerpc.PermissionDeniedError,
    8: purerpc.ResourceExhaustedError,
    9: purerpc.FailedPreconditionError,
    10: purerpc.AbortedError,
    11: purerpc.OutOfRangeError,
    12: purerpc.UnimplementedError,
    13: purerpc.InternalError,
    14: purerpc.UnavailableError,
    15: purerpc.DataLossError,
    16: purerpc.UnauthenticatedError,
}

OK: Final = Status(StatusCode.OK)


def error_for(code: int, message: str) -> RpcFailedError:
    """The exception for a status number other than 0; a number that gRPC does not know is UNKNOWN."""
    kind = _ERRORS.get(code, purerpc.UnknownError)
    return kind(message)


def status_of(error: BaseException) -> Status | None:
    """The status that a handler asked for by raising, or None if it did not mean to.

    `RpcFailedError("text")` itself, which is not one of the family, has no status: its text is in the status' place.
    A group counts as its first `RpcFailedError` if it holds nothing else: a session's nursery wraps what its tasks
    raise.
    """
    if isinstance(error, RpcFailedError):
        return error.status if isinstance(error.status, Status) else None
    if isinstance(error, BaseExceptionGroup):
        found = [status_of(inner) for inner in error.exceptions]
        return found[0] if all(found) else None
    return None
