"""What can go wrong in a consumer group: a branch of the tree in `ride_trio/errors.py`.

GroupError
├── InvalidGroupError                INVALID_GROUP
├── UnknownGroupError                UNKNOWN_GROUP
├── GroupNotEmptyError               GROUP_NOT_EMPTY
├── GroupLimitError                  GROUP_LIMIT
├── InconsistentGroupProtocolError   INCONSISTENT_GROUP_PROTOCOL
├── UnknownMemberError               UNKNOWN_MEMBER
├── MemberFencedError                MEMBER_FENCED
├── IllegalGenerationError           ILLEGAL_GENERATION
├── NotOwnerError                    NOT_OWNER
└── InvalidOffsetError               INVALID_OFFSET
"""

from __future__ import annotations

from ride_trio.errors import GroupError, GrpcStatus


class InvalidGroupError(GroupError):
    """A group or a member can't be called so, or a member can't want this. The message names what."""

    code = "INVALID_GROUP"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class UnknownGroupError(GroupError):
    """No group of that name has members or offsets."""

    code = "UNKNOWN_GROUP"
    grpc_status = GrpcStatus.NOT_FOUND
    retryable = False


class GroupNotEmptyError(GroupError):
    """The group has members, so it can't be deleted."""

    code = "GROUP_NOT_EMPTY"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class GroupLimitError(GroupError):
    """There are as many groups, or members of this group, as there may be."""

    code = "GROUP_LIMIT"
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED


class InconsistentGroupProtocolError(GroupError):
    """The other members of the group share out its partitions in another way."""

    code = "INCONSISTENT_GROUP_PROTOCOL"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False


class UnknownMemberError(GroupError):
    """A commit of somebody who is no member now; or one without a member, and the group has some."""

    code = "UNKNOWN_MEMBER"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class MemberFencedError(GroupError):
    """A newer stream of the same member has begun. Coming back would end it in turn."""

    code = "MEMBER_FENCED"
    grpc_status = GrpcStatus.ABORTED
    retryable = False


class IllegalGenerationError(GroupError):
    """A commit from before the group's last change."""

    code = "ILLEGAL_GENERATION"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class NotOwnerError(GroupError):
    """A commit on a partition that is not the member's."""

    code = "NOT_OWNER"
    grpc_status = GrpcStatus.FAILED_PRECONDITION
    retryable = False


class InvalidOffsetError(GroupError):
    """A commit below 0, or beyond the partition's end."""

    code = "INVALID_OFFSET"
    grpc_status = GrpcStatus.INVALID_ARGUMENT
    retryable = False
