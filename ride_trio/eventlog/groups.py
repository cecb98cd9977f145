"""The coordinator of consumer groups: who reads what, and how far they are.

A group is there as long as it has members or offsets. A commit of a member is accepted if its generation is the current
one and the partition its own; that and a rebalance are both synchronous, so of two generations never both can move an
offset. What was accepted counts for the partition's next owner (see `offsets.py`), and commits come to the disk in the
order in which they were accepted: a late transaction can't move back what the next owner commits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final
from uuid import uuid4

import trio

from ride_trio.errors import LogError, UnknownTopicError
from ride_trio.eventlog.assignors import Partitions
from ride_trio.eventlog.group import Change, Group, Member
from ride_trio.eventlog.group_checks import (
    check_agreement,
    check_group_id,
    check_member,
    check_no_members,
    check_request,
    shown,
)
from ride_trio.eventlog.group_errors import (
    GroupLimitError,
    GroupNotEmptyError,
    InvalidOffsetError,
    MemberFencedError,
    UnknownGroupError,
    UnknownMemberError,
)
from ride_trio.eventlog.group_reports import GroupDescription, GroupsStatistics, GroupSummary
from ride_trio.eventlog.metadata import Metadata
from ride_trio.eventlog.offsets import Offsets, Place
from ride_trio.eventlog.topic import Topic

DEFAULT_ASSIGNOR: Final = "cooperative-sticky"
# Of the server; some 1 KB each.
MAX_GROUPS: Final = 100_000
# Of a group; a rebalance of so many with 10,000 partitions holds up the server for some 50 ms.
MAX_MEMBERS: Final = 1_000
# 2025-01-01, Unix s.
_GENERATION_EPOCH_S: Final = 1_735_689_600


class Groups:
    """See the module's text.

    Args:
        metadata: where offsets are kept; open.
        topics: all topics by name, as they come and go.
        max_groups, max_members: of the server, of a group.
        now_s: the clock, Unix s.
    """

    def __init__(
        self,
        metadata: Metadata,
        topics: Mapping[str, Topic],
        *,
        max_groups: int = MAX_GROUPS,
        max_members: int = MAX_MEMBERS,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._metadata = metadata
        self._topics = topics
        self._known = dict(topics)
        self._max_groups = max_groups
        self._max_members = max_members
        self._now_s = now_s
        self._groups: dict[str, Group] = {}
        self._rebalances = 0
        self._highest = 0  # of all generations
        self._load()

    def __repr__(self) -> str:
        return f"<Groups {self.statistics()}>"

    def _load(self) -> None:
        by_id = {topic.topic_id: topic for topic in self._topics.values()}
        for group_id, offsets in self._metadata.offsets().items():
            group = self._groups[group_id] = self._new(group_id)
            for (topic_id, number), offset in offsets.items():
                if topic_id in by_id:
                    group.offsets.put(by_id[topic_id], number, offset)

    # ------------------------------------------------------------------ members

    def join(
        self,
        group_id: str,
        *,
        member_id: str = "",
        client_id: str = "",
        client_host: str = "",
        topics: Collection[str],
        assignor: str = "",
        changed: Callable[[Change], None],
        fenced: Callable[[LogError], None],
    ) -> Member:
        """Become a member. The group is rebalanced before this returns.

        Args:
            group_id: the group; it need not be there.
            member_id: to be the member that one was; a stream that still is ends, and this one begins with all that it
                had. Empty for a new one.
            client_id, client_host: shown to operators.
            topics: what it wants. Those that are not there count from when they are.
            assignor: a name of `ASSIGNORS`, the same as the group's other members'; empty for cooperative-sticky.
            changed: called at every change of the group, also now, and also if nothing changes for this member: its
                commits need the new generation. Twice for one that both loses and gets partitions.
            fenced: called when a newer stream of the member has begun; this one has nothing any more.

        Neither may call back, wait, or raise.

        Raises:
            InvalidGroupError: an id, the topics or the assignor.
            InconsistentGroupProtocolError: the others have another assignor.
            GroupLimitError: there is no place.
        """
        assignor = assignor or DEFAULT_ASSIGNOR
        check_request(group_id, member_id, client_id, topics, assignor)
        group = self._get_or_new(group_id)
        older = group.members.get(member_id)
        check_agreement(group, older, assignor)
        if older is None and len(group.members) >= self._max_members:
            raise GroupLimitError(f"group '{group_id}' has its {self._max_members} members already")
        group.assignor = assignor
        member = Member(group_id, member_id or str(uuid4()), client_id, client_host, topics, changed, fenced)
        self._groups[group_id] = group
        self._enter(group, member, older)
        return member

    def leave(self, member: Member) -> None:
        """End a membership; what it had is shared out among the others. Does nothing for one that is over."""
        group = self._groups.get(member.group_id)
        if group is not None and group.members.get(member.member_id) is member:
            del group.members[member.member_id]
            self._rebalance(group)
            self._forget_if_bare(group)

    def topics_changed(self) -> None:
        """To be called when a topic was created or deleted, before anybody can come between."""
        now, before = self._topics, self._known
        gone = [topic for name, topic in before.items() if now.get(name) is not topic]
        changed = {topic.name for topic in gone} | (now.keys() - before.keys())
        self._known = dict(now)
        for group in list(self._groups.values()):
            for topic in gone:
                group.offsets.forget(topic)
            if group.wants(changed):
                self._rebalance(group)
            self._forget_if_bare(group)

    def _enter(self, group: Group, member: Member, older: Member | None) -> None:
        group.members[member.member_id] = member
        if older is None:
            self._rebalance(group)
        else:
            older.fenced(MemberFencedError(f"a newer stream of member '{member.member_id}' has begun"))
            had, older.assignment = older.assignment, {}
            self._rebalance(group, {member.member_id: had})

    def _rebalance(self, group: Group, returning: Mapping[str, Partitions] | None = None) -> None:
        group.rebalance(self._topics, returning)
        self._rebalances += 1
        self._highest = max(self._highest, group.generation)

    # ------------------------------------------------------------------ offsets

    async def commit(
        self, group_id: str, offsets: Mapping[tuple[str, int], int], member_id: str = "", generation: int = 0
    ) -> None:
        """Set a group's offsets, all or none; they are on disk when this returns.

        One that has been accepted is carried out, even if its caller is cancelled.

        Args:
            group_id: the group; without a member it need not be there.
            offsets: by (topic, partition): of the next record to be read.
            member_id, generation: of a member, as it was told. Without, the group must have no members.

        Raises:
            InvalidGroupError: the group can't be called so.
            UnknownMemberError, IllegalGenerationError, NotOwnerError: it is not the caller's to commit.
            UnknownTopicError, UnknownPartitionError, InvalidOffsetError: there is no such place.
            GroupLimitError: there are too many groups.
            LogFullError, LogFailedError: the disk; nothing has changed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        group = self._committing(group_id, member_id, generation, offsets)
        places = {self._place(topic, number, offset): offset for (topic, number), offset in offsets.items()}
        if not places:
            return
        self._groups[group_id] = group
        group.offsets.accept(places)  # and settled in any case: nobody can cancel this before it begins
        rows = {(topic.topic_id, number): offset for (topic, number), offset in places.items()}
        await self._metadata.commit_offsets(group_id, rows, lambda error: self._settle(group, error))

    def fetch(self, group_id: str, of: Collection[tuple[str, int]] = ()) -> dict[tuple[str, int], int | None]:
        """What a group has committed, None where nothing, by (topic, partition): of these, or of all that it has.

        Raises:
            UnknownTopicError, UnknownPartitionError: there is no such place.
        """
        group = self._groups.get(group_id)
        offsets = group.offsets if group is not None else Offsets()
        if not of:
            return dict(sorted(((topic.name, number), offset) for topic, number, offset in offsets))
        partitions = [self._topic(name).partition(number) for name, number in of]
        return {(it.topic.name, it.number): offsets.get(it.topic, it.number) for it in partitions}

    def _committing(self, group_id: str, member_id: str, generation: int, places: Collection[tuple[str, int]]) -> Group:
        """The group, if this may be committed there."""
        if not member_id:
            check_group_id(group_id)
            group = self._get_or_new(group_id)
            check_no_members(group)
        elif group_id in self._groups:
            group = self._groups[group_id]
            check_member(group, member_id, generation, places)
        else:
            raise UnknownMemberError(f"no group {shown(group_id)}, so no member {shown(member_id)} of it")
        return group

    def _place(self, name: str, number: int, offset: int) -> Place:
        topic = self._topic(name)
        end = topic.partition(number).end_offset
        if not 0 <= offset <= end:
            raise InvalidOffsetError(f"offset {offset} of topic '{name}', partition {number}: allowed is 0 to {end}")
        return topic, number

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise UnknownTopicError(f"no topic {shown(name)}")
        return topic

    def _settle(self, group: Group, error: LogError | None) -> None:
        group.offsets.settle(error is None)
        self._forget_if_bare(group)

    # ------------------------------------------------------------------ groups

    def list(self) -> Sequence[GroupSummary]:
        """All groups, in order."""
        groups = sorted(self._groups.items())
        return [GroupSummary(group_id, group.state, len(group.members)) for group_id, group in groups]

    def describe(self, group_id: str) -> GroupDescription:
        """How a group stands.

        Raises:
            UnknownGroupError: there is none.
        """
        return self._existing(group_id).describe(self._topics)

    async def delete(self, group_id: str) -> None:
        """Remove a group and its offsets. It is on disk when this returns.

        Raises:
            UnknownGroupError: there is none.
            GroupNotEmptyError: it has members.
            LogFullError, LogFailedError: the disk; nothing has changed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        group = self._existing(group_id)
        if group.members:
            raise GroupNotEmptyError(f"group '{group_id}' has {len(group.members)} members: they have to leave first")
        del self._groups[group_id]  # who joins now begins anew
        await self._metadata.delete_group(group_id, lambda error: self._restore(group) if error else None)

    def lags(self) -> Iterator[tuple[str, str, int, int]]:
        """Group, topic, partition and lag of all that is assigned or committed."""
        for group in self._groups.values():
            for lag in group.lags(self._topics):
                yield group.group_id, lag.topic, lag.partition, lag.lag

    def statistics(self) -> GroupsStatistics:
        """How many groups and members there are."""
        members = sum(len(group.members) for group in self._groups.values())
        return GroupsStatistics(len(self._groups), members, self._rebalances)

    def _existing(self, group_id: str) -> Group:
        group = self._groups.get(group_id)
        if group is None:
            raise UnknownGroupError(f"no group {shown(group_id)}")
        return group

    def _get_or_new(self, group_id: str) -> Group:
        """The group, or one that is in no list yet."""
        group = self._groups.get(group_id)
        if group is None:
            if len(self._groups) >= self._max_groups:
                raise GroupLimitError(f"there are {self._max_groups} groups already")
            group = self._new(group_id)
        return group

    def _new(self, group_id: str) -> Group:
        # Generations grow from one life of a group to the next, too, lest a commit of the one counts in the other. What
        # remains from one run of the server to the next is the clock; no group is rebalanced each second for long.
        return Group(group_id, max(self._highest, int(self._now_s()) - _GENERATION_EPOCH_S))

    def _restore(self, group: Group) -> None:
        """It could not be deleted."""
        newer = self._groups.setdefault(group.group_id, self._new(group.group_id))
        newer.offsets.restore(group.offsets, self._topics)
        self._forget_if_bare(newer)

    def _forget_if_bare(self, group: Group) -> None:
        if not group.members and not group.offsets and self._groups.get(group.group_id) is group:
            del self._groups[group.group_id]
