"""What a group lets in: the sense of a request to join, and whose commit is accepted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ride_trio.eventlog.assignors import ASSIGNORS
from ride_trio.eventlog.group import Group, Member
from ride_trio.eventlog.group_errors import (
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidGroupError,
    NotOwnerError,
    UnknownMemberError,
)

# Of a group, a member or a client; as long as a topic's name may be. They are kept, shown and logged.
MAX_ID_CHARS: Final = 249
# That a member may want; a rebalance looks at all of them.
MAX_TOPICS: Final = 1_000
_SHOWN_CHARS: Final = 60


def shown(text: str) -> str:
    """A text from outside, quoted and short enough for a message."""
    return repr(text) if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]!r}..."


def check_group_id(group_id: str) -> None:
    """Raises:
    InvalidGroupError: A group can't be called so.
    """
    if not group_id:
        raise InvalidGroupError("group_id is empty")
    _check_id("group_id", group_id)


def check_request(group_id: str, member_id: str, client_id: str, topics: Collection[str], assignor: str) -> None:
    """Look at a request to join by itself.

    Raises:
        InvalidGroupError: Something in it is not allowed. The message names it.
    """
    check_group_id(group_id)
    _check_id("member_id", member_id)
    _check_id("client_id", client_id)
    if not 1 <= len(topics) <= MAX_TOPICS:
        raise InvalidGroupError(f"{len(topics)} topics: a member wants 1 to {MAX_TOPICS}")
    for topic in topics:
        _check_id("topic", topic)
    if assignor not in ASSIGNORS:
        raise InvalidGroupError(f"no assignor {shown(assignor)}: there are {', '.join(ASSIGNORS)}")


def check_agreement(group: Group, older: Member | None, assignor: str) -> None:
    """Look at how the other members want it.

    Args:
        group: The group.
        older: Who will be replaced.
        assignor: What the new member wants.

    Raises:
        InconsistentGroupProtocolError: They want it in another way.
    """
    others = len(group.members) - (older is not None)
    if others and group.assignor != assignor:
        raise InconsistentGroupProtocolError(
            f"assignor '{assignor}': the {others} other members of group '{group.group_id}' have '{group.assignor}'"
        )


def check_member(group: Group, member_id: str, generation: int, places: Collection[tuple[str, int]]) -> None:
    """Look at a member's commit on some places, (topic, partition).

    Raises:
        UnknownMemberError: It is no member now.
        IllegalGenerationError: There has been a rebalance of which it did not know.
        NotOwnerError: A partition is not its own.
    """
    member = group.members.get(member_id)
    if member is None:
        raise UnknownMemberError(f"{shown(member_id)} is no member of group '{group.group_id}' now")
    if generation != group.generation:
        raise IllegalGenerationError(
            f"generation {generation}: group '{group.group_id}' is at {group.generation}, as the stream was told"
        )
    for topic, number in places:
        if not member.owns(topic, number):
            raise NotOwnerError(f"topic {shown(topic)}, partition {number} is not member '{member_id}'s")


def check_no_members(group: Group) -> None:
    """Look whether a commit of nobody in particular may be.

    Raises:
        UnknownMemberError: It may not: there are members.
    """
    if group.members:
        raise UnknownMemberError(
            f"group '{group.group_id}' has {len(group.members)} members: a commit has to give the member_id and the "
            "generation that its stream was told"
        )


def _check_id(what: str, text: str) -> None:
    if len(text) > MAX_ID_CHARS or not text.isprintable():
        raise InvalidGroupError(f"{what} {shown(text)}: allowed are up to {MAX_ID_CHARS} printable characters")
