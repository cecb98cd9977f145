"""The error tree: what can go wrong in the domain, and what a client is told about it.

    RideTrioError
    ├── SettingsError               BAD_SETTING          the program does not start
    ├── ListenError                 CANNOT_LISTEN        the program does not start
    ├── DataDirError                BAD_DATA_DIR         the program does not start
    ├── RequestError                one request is answered with it; the session lives on
    │   ├── BadRequestError         BAD_REQUEST
    │   ├── IllegalTransitionError  ILLEGAL_TRANSITION
    │   ├── NotAllowedError         NOT_ALLOWED
    │   ├── ObserverLimitError      OBSERVER_LIMIT       may be asked again
    │   ├── NoDriverFoundError      NO_DRIVER_FOUND      may be asked again
    │   └── LogError                of the durable log
    │       ├── UnknownTopicError               UNKNOWN_TOPIC
    │       ├── UnknownPartitionError           UNKNOWN_PARTITION
    │       ├── InvalidTopicError               INVALID_TOPIC
    │       ├── TopicExistsError                TOPIC_EXISTS
    │       ├── InvalidPartitionsError          INVALID_PARTITIONS
    │       ├── InvalidReplicationFactorError   INVALID_REPLICATION_FACTOR
    │       ├── InvalidConfigError              INVALID_CONFIG
    │       ├── InvalidAcksError                INVALID_ACKS
    │       ├── MessageTooLargeError            MESSAGE_TOO_LARGE
    │       ├── InvalidRecordError              INVALID_RECORD
    │       ├── RequestTimedOutError            REQUEST_TIMED_OUT
    │       ├── LogFullError                    RESOURCE_EXHAUSTED
    │       ├── LogFailedError                  LOG_FAILED
    │       ├── LogStoppedError                 SHUTDOWN
    │       ├── ProducerFencedError             PRODUCER_FENCED
    │       ├── SequenceTooOldError             SEQUENCE_TOO_OLD
    │       ├── OffsetOutOfRangeError           OFFSET_OUT_OF_RANGE
    │       ├── DamagedError                    DATA_LOSS
    │       └── GroupError                      its branch is in `eventlog/group_errors.py`
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
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


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


class DataDirError(RideTrioError):
    """The data directory can't be used: another process has it, or what is in it is not ours or of a newer version."""

    code = "BAD_DATA_DIR"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


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


class NotAllowedError(RequestError):
    """The request is one that only operators may make."""

    code = "NOT_ALLOWED"
    grpc_status = GrpcStatus.PERMISSION_DENIED
    retryable = False


class ObserverLimitError(RequestError):
    """Very many observe the city already."""

    code = "OBSERVER_LIMIT"
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED


class NoDriverFoundError(RequestError):
    """Nobody could be matched with the rider within MATCH_TIMEOUT."""

    code = "NO_DRIVER_FOUND"
    grpc_status = GrpcStatus.NOT_FOUND


class LogError(RequestError):
    """A request of the durable log could not be carried out."""


class UnknownTopicError(LogError):
    """There is no topic of that name, or it was deleted while the request waited."""

    code = "UNKNOWN_TOPIC"
    grpc_status = GrpcStatus.NOT_FOUND
    retryable = False


class UnknownPartitionError(LogError):
    """The topic has no partition of that number."""

    code = "UNKNOWN_PARTITION"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class InvalidTopicError(LogError):
    """A topic can't have this name."""

    code = "INVALID_TOPIC"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class TopicExistsError(LogError):
    """There is a topic of that name already."""

    code = "TOPIC_EXISTS"
    grpc_status = GrpcStatus.ALREADY_EXISTS
    retryable = False


class InvalidPartitionsError(LogError):
    """A topic can't have this number of partitions."""

    code = "INVALID_PARTITIONS"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class InvalidReplicationFactorError(LogError):
    """One machine keeps one copy."""

    code = "INVALID_REPLICATION_FACTOR"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class InvalidConfigError(LogError):
    """A topic's config is unknown, or has a value that is not allowed. The message names it."""

    code = "INVALID_CONFIG"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class InvalidAcksError(LogError):
    """required_acks is none of 0, 1 and -1."""

    code = "INVALID_ACKS"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class MessageTooLargeError(LogError):
    """A record is larger than its topic allows."""

    code = "MESSAGE_TOO_LARGE"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class InvalidRecordError(LogError):
    """A record makes no sense: no key in a compacted topic, a time before 1970."""

    code = "INVALID_RECORD"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class RequestTimedOutError(LogError):
    """The record was not acknowledged in time. It may be stored all the same."""

    code = "REQUEST_TIMED_OUT"
    grpc_status = GrpcStatus.DEADLINE_EXCEEDED


class LogFullError(LogError):
    """The disk is full: nothing of the request is stored."""

    code = "RESOURCE_EXHAUSTED"
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED


class LogFailedError(LogError):
    """The log can't be written any more: a disk has failed. The server has to be started anew."""

    code = "LOG_FAILED"
    grpc_status = GrpcStatus.UNAVAILABLE


class LogStoppedError(LogError):
    """The server is stopping: the record was not stored."""

    code = "SHUTDOWN"
    grpc_status = GrpcStatus.UNAVAILABLE


class ProducerFencedError(LogError):
    """A producer of the same id and a higher epoch has taken over."""

    code = "PRODUCER_FENCED"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class SequenceTooOldError(LogError):
    """A record's sequence is from so long ago that nobody knows whether it is stored."""

    code = "SEQUENCE_TOO_OLD"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class OffsetOutOfRangeError(LogError):
    """The partition has no such offset: retention has passed it, or it has not been reached."""

    code = "OFFSET_OUT_OF_RANGE"
    grpc_status = GrpcStatus.OUT_OF_RANGE
    retryable = False


class DamagedError(LogError):
    """What is on disk is damaged. The message names file and place; what is before it has been served."""

    code = "DATA_LOSS"
    grpc_status = GrpcStatus.DATA_LOSS
    retryable = False


class GroupError(LogError):
    """A request of a consumer group, or of its member, could not be carried out."""


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
