from __future__ import annotations

import purerpc
import pytest
from purerpc import StatusCode

from ride_trio.rpc.status import OK, error_for, status_of


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.OK], ids=lambda code: code.name)
def test_every_number_has_its_exception(code: StatusCode) -> None:
    error = error_for(code.value, "words")
    assert error.status.status_code is code
    assert error.status.status_message == "words"
    assert type(error) is not purerpc.RpcFailedError


def test_a_number_that_grpc_does_not_know_is_unknown() -> None:
    assert type(error_for(99, "words")) is purerpc.UnknownError


def test_ok_is_ok() -> None:
    assert (OK.int_value, OK.status_message) == (0, "")


NOT_FOUND = purerpc.NotFoundError("n")
ABORTED = purerpc.AbortedError("a")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (NOT_FOUND, "NOT_FOUND"),
        (ValueError(), None),
        (ExceptionGroup("", [NOT_FOUND]), "NOT_FOUND"),
        (ExceptionGroup("", [ABORTED, NOT_FOUND]), "ABORTED"),
        (ExceptionGroup("", [ExceptionGroup("", [ABORTED])]), "ABORTED"),
        (ExceptionGroup("", [ABORTED, ValueError()]), None),
        (ExceptionGroup("", [ABORTED, ExceptionGroup("", [ValueError()])]), None),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), None),
        (purerpc.RpcFailedError("text"), None),
        (ExceptionGroup("", [purerpc.RpcFailedError("text"), ABORTED]), None),
    ],
)
def test_what_a_handler_means_by_raising(error: BaseException, name: str | None) -> None:
    status = status_of(error)
    assert (status and status.status_code.name) == name
