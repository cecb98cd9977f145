"""One consumer group: its members, whose each partition is, and its offsets.

The server serves the records itself, so a rebalance needs nobody's answer: it is one synchronous step, in which members
are told what they lose before anybody is told what they get. At no moment has a partition two owners.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from ride_trio.errors import LogError
from ride_trio.eventlog.assignors import ASSIGNORS, Partitions
from ride_trio.eventlog.group_reports import GroupDescription, MemberDescription, PartitionLag
from ride_trio.eventlog.offsets import Offsets
from ride_trio.eventlog.topic import Topic

Topics = Mapping[str, Topic]


@dataclass(frozen=True, slots=True)
class Change:
    """What a rebalance is for one member.

    Attributes:
        generation: to be given with commits from now on.
        member_id: whom it is for.
        assigned: topic, partition, and the committed offset to begin at (None: the group has committed none).
        revoked: topic and partition.
    """

    generation: int
    member_id: str
    assigned: list[tuple[str, int, int | None]]
    revoked: list[tuple[str, int]]


class Member:
    """One stream that reads for a group.

    Attributes:
        topics: what it wants.
        changed, fenced: see `Groups.join`.
        assignment: what it has.
    """

    __slots__ = ("assignment", "changed", "client_host", "client_id", "fenced", "group_id", "member_id", "topics")

    def __init__(
        self,
        group_id: str,
        member_id: str,
        client_id: str,
        client_host: str,
        topics: Collection[str],
        changed: Callable[[Change], None],
        fenced: Callable[[LogError], None],
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.client_id = client_id
        self.client_host = client_host
        self.topics = frozenset(topics)
        self.changed = changed
        self.fenced = fenced
        self.assignment: Partitions = {}

    def __repr__(self) -> str:
        return f"<Member {self.member_id} of {self.group_id}, {sum(map(len, self.assignment.values()))} partitions>"

    def owns(self, topic: str, number: int) -> bool:
        """Whether a partition is its own."""
        return number in self.assignment.get(topic, ())


class Group:
    """See the module's text.

    Args:
        generation: the one before its first.
    """

    __slots__ = ("assignor", "generation", "group_id", "members", "offsets")

    def __init__(self, group_id: str, generation: int) -> None:
        self.group_id = group_id
        self.generation = generation
        self.assignor = ""
        self.members: dict[str, Member] = {}
        self.offsets = Offsets()

    def __repr__(self) -> str:
        return f"<Group {self.group_id}, generation {self.generation}, {len(self.members)} members, {self.offsets}>"

    @property
    def state(self) -> str:
        return "Stable" if self.members else "Empty"

    def wants(self, topics: Collection[str]) -> bool:
        """Whether a member wants one of these."""
        return any(not member.topics.isdisjoint(topics) for member in self.members.values())

    def rebalance(self, topics: Topics, returning: Mapping[str, Partitions] | None = None) -> None:
        """Begin a generation: share out anew, and tell every member.

        Args:
            topics: all that there are.
            returning: what members had who have a new stream; theirs before anybody's, but they are told all of it.
        """
        self.generation += 1
        if not self.members:
            return
        shares = self._shares(topics, returning or {})
        changes = []
        for member in self.members.values():
            old, member.assignment = member.assignment, shares[member.member_id]
            changes.append((member, _missing(old, member.assignment), _missing(member.assignment, old)))
        for member, revoked, _ in changes:
            if revoked:
                member.changed(Change(self.generation, member.member_id, [], revoked))
        starts = self._starts(topics)
        for member, revoked, new in changes:
            if new or not revoked:
                assigned = [(topic, number, starts(topic, number)) for topic, number in new]
                member.changed(Change(self.generation, member.member_id, assigned, []))

    def _starts(self, topics: Topics) -> Callable[[str, int], int | None]:
        """Where the next owner of a partition begins."""
        accepted = self.offsets.accepted()

        def start(name: str, number: int) -> int | None:
            topic = topics[name]
            return accepted.get((topic, number), self.offsets.get(topic, number))

        return start

    def _shares(self, topics: Topics, returning: Mapping[str, Partitions]) -> dict[str, Partitions]:
        wants = {member.member_id: member.topics for member in self.members.values()}
        counts = {name: len(topics[name].partitions) for name in set().union(*wants.values()) if name in topics}
        current = {member.member_id: member.assignment for member in self.members.values()}
        return ASSIGNORS[self.assignor](wants, counts, {**current, **returning})

    def describe(self, topics: Topics) -> GroupDescription:
        """How it stands."""
        members = [self._describe(self.members[member_id], topics) for member_id in sorted(self.members)]
        lags = sorted(self.lags(topics), key=lambda lag: (lag.topic, lag.partition))
        return GroupDescription(self.group_id, self.state, self.generation, self.assignor, members, lags)

    def _describe(self, member: Member, topics: Topics) -> MemberDescription:
        places = _missing(member.assignment, {})
        assignments = [(topic, number, self.offsets.get(topics[topic], number)) for topic, number in places]
        return MemberDescription(member.member_id, member.client_id, member.client_host, assignments)

    def lags(self, topics: Topics) -> Iterator[PartitionLag]:
        """Of all partitions that are assigned or have an offset."""
        owned = set()
        for member in self.members.values():
            for name, number in _missing(member.assignment, {}):
                owned.add((name, number))
                yield self._lag(topics[name], number, member.member_id)
        for topic, number, _ in self.offsets:
            if (topic.name, number) not in owned:
                yield self._lag(topic, number, "")

    def _lag(self, topic: Topic, number: int, member_id: str) -> PartitionLag:
        partition = topic.partitions[number]
        begin, end = partition.begin_offset, partition.end_offset
        committed = self.offsets.get(topic, number)
        lag = max(0, end - max(begin, committed or 0))
        return PartitionLag(topic.name, number, committed, end, lag, member_id)


def _missing(these: Partitions, those: Partitions) -> list[tuple[str, int]]:
    """Topic and partition of what is in these and not in those; in order."""
    return [
        (topic, number)
        for topic in sorted(these)
        for number in sorted(these[topic] - those[topic] if topic in those else these[topic])
    ]
