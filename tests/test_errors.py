"""The error tree as clients see it: codes and statuses are an interface."""

from collections.abc import Iterator

import purerpc
import pytest

from ride_trio import errors
from ride_trio.errors import RideTrioError
from ride_trio.eventlog import group_errors

PUBLISHED = {
    "BAD_SETTING": ("INVALID_ARGUMENT", False),
    "CANNOT_LISTEN": ("UNAVAILABLE", True),
    "BAD_REQUEST": ("INVALID_ARGUMENT", False),
    "ILLEGAL_TRANSITION": ("FAILED_PRECONDITION", False),
    "NOT_ALLOWED": ("PERMISSION_DENIED", False),
    "OBSERVER_LIMIT": ("RESOURCE_EXHAUSTED", True),
    "NO_DRIVER_FOUND": ("NOT_FOUND", True),
    "NO_HEARTBEAT": ("UNAVAILABLE", True),
    "SHUTDOWN": ("UNAVAILABLE", True),
    "SLOW_CONSUMER": ("RESOURCE_EXHAUSTED", True),
    "SESSION_TAKEN_OVER": ("ABORTED", False),
    "CONNECTION_LIMIT": ("RESOURCE_EXHAUSTED", False),
    "BAD_DATA_DIR": ("FAILED_PRECONDITION", False),
    "UNKNOWN_TOPIC": ("NOT_FOUND", False),
    "UNKNOWN_PARTITION": ("INVALID_ARGUMENT", False),
    "INVALID_TOPIC": ("INVALID_ARGUMENT", False),
    "TOPIC_EXISTS": ("ALREADY_EXISTS", False),
    "INVALID_PARTITIONS": ("INVALID_ARGUMENT", False),
    "INVALID_REPLICATION_FACTOR": ("INVALID_ARGUMENT", False),
    "INVALID_CONFIG": ("INVALID_ARGUMENT", False),
    "INVALID_ACKS": ("INVALID_ARGUMENT", False),
    "MESSAGE_TOO_LARGE": ("INVALID_ARGUMENT", False),
    "INVALID_RECORD": ("INVALID_ARGUMENT", False),
    "REQUEST_TIMED_OUT": ("DEADLINE_EXCEEDED", True),
    "RESOURCE_EXHAUSTED": ("RESOURCE_EXHAUSTED", True),
    "LOG_FAILED": ("UNAVAILABLE", True),
    "PRODUCER_FENCED": ("FAILED_PRECONDITION", False),
    "SEQUENCE_TOO_OLD": ("FAILED_PRECONDITION", False),
    "OFFSET_OUT_OF_RANGE": ("OUT_OF_RANGE", False),
    "DATA_LOSS": ("DATA_LOSS", False),
    "INVALID_GROUP": ("INVALID_ARGUMENT", False),
    "UNKNOWN_GROUP": ("NOT_FOUND", False),
    "GROUP_NOT_EMPTY": ("FAILED_PRECONDITION", False),
    "GROUP_LIMIT": ("RESOURCE_EXHAUSTED", True),
    "INCONSISTENT_GROUP_PROTOCOL": ("INVALID_ARGUMENT", False),
    "UNKNOWN_MEMBER": ("FAILED_PRECONDITION", False),
    "MEMBER_FENCED": ("ABORTED", False),
    "ILLEGAL_GENERATION": ("FAILED_PRECONDITION", False),
    "NOT_OWNER": ("FAILED_PRECONDITION", False),
    "INVALID_OFFSET": ("INVALID_ARGUMENT", False),
    "INTERNAL": ("INTERNAL", True),
}


def tree(base: type[RideTrioError] = RideTrioError) -> Iterator[type[RideTrioError]]:
    yield base
    for child in base.__subclasses__():
        yield from tree(child)


def test_codes_statuses_and_what_may_be_retried_are_the_published_ones() -> None:
    found = {error.code: (error.grpc_status.name, error.retryable) for error in tree()}
    assert found == PUBLISHED


def test_the_openings_of_the_modules_show_the_whole_tree() -> None:
    shown = f"{errors.__doc__} {group_errors.__doc__}"
    assert [error.__name__ for error in tree() if error.__name__ not in shown] == []
    assert [error.code for error in tree() if error.code != "INTERNAL" and error.code not in shown] == []


@pytest.mark.parametrize("status", list(errors.GrpcStatus), ids=lambda status: status.name)
def test_status_numbers_are_those_of_grpc(status: errors.GrpcStatus) -> None:
    assert purerpc.Status(purerpc.StatusCode(int(status))).status_code.name == status.name


def test_an_error_says_its_code_and_message() -> None:
    error = errors.NoDriverFoundError("nobody within 5 km")
    assert (str(error), error.detail) == ("nobody within 5 km", "NO_DRIVER_FOUND: nobody within 5 km")
