"""Topics without records, and members who note what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ride_trio.errors import LogError, UnknownPartitionError
from ride_trio.eventlog.group import Change, Member
from ride_trio.eventlog.groups import Groups
from ride_trio.eventlog.metadata import Metadata
from tests.eventlog.stores import Disk, open_metadata


@dataclass(eq=False)
class Partition:
    topic: Topic
    number: int
    begin_offset: int = 0
    end_offset: int = 100


class Topic:
    """As much of a topic as groups look at; each partition has the offsets 0 to 100."""

    def __init__(self, topic_id: int, name: str, num_partitions: int) -> None:
        self.topic_id = topic_id
        self.name = name
        self.partitions = [Partition(self, number) for number in range(num_partitions)]

    def partition(self, number: int) -> Partition:
        if not 0 <= number < len(self.partitions):
            raise UnknownPartitionError(f"no partition {number} in topic '{self.name}'")
        return self.partitions[number]


@dataclass(eq=False)
class Reader:
    """A stream of a member.

    Attributes:
        town: whose groups.
        group_id: which of them.
        has: (topic, partition) -> the offset that it was told to begin at.
        error: why it has ended.
    """

    town: Town
    group_id: str = "g"
    has: dict[tuple[str, int], int | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    error: LogError | None = None
    member: Member | None = None

    @property
    def generation(self) -> int:
        return self.changes[-1].generation

    @property
    def member_id(self) -> str:
        assert self.member is not None
        return self.member.member_id

    def changed(self, change: Change) -> None:
        self.changes.append(change)
        for place in change.revoked:
            del self.has[place]
        for topic, number, offset in change.assigned:
            assert (topic, number) not in self.has
            self.has[topic, number] = offset
        self.town.told(change)
        self.town.check()

    def fenced(self, error: LogError) -> None:
        self.error = error
        self.has.clear()

    def leave(self) -> None:
        assert self.member is not None
        self.has.clear()
        self.town.groups.leave(self.member)


class Town:
    """Groups over metadata in memory (or a file), and everybody who reads.

    Attributes:
        now_s: the clock of `Groups`.
    """

    def __init__(self, path: Path = Path(":memory:"), **options: Any) -> None:
        self.disk = Disk()
        self.metadata: Metadata = open_metadata(path, self.disk)
        self.topics: dict[str, Topic] = {}
        self.readers: list[Reader] = []
        self.now_s = 1_800_000_000.0
        self.options = options
        self.groups = self.restart()

    def restart(self) -> Groups:
        """Groups as after a start: of members nothing is left."""
        self.readers.clear()
        self.groups = Groups(self.metadata, self.topics, now_s=lambda: self.now_s, **self.options)  # type: ignore[arg-type]
        return self.groups

    async def create(self, name: str, num_partitions: int) -> Topic:
        topic_id = await self.metadata.create_topic(name, num_partitions, {}, 0)
        topic = self.topics[name] = Topic(topic_id, name, num_partitions)
        self.groups.topics_changed()
        return topic

    async def delete(self, name: str) -> None:
        await self.metadata.delete_topic(self.topics[name].topic_id)
        del self.topics[name]
        self.groups.topics_changed()

    def join(self, member_id: str, topics: str = "trips", *, group_id: str = "g", assignor: str = "") -> Reader:
        reader = Reader(self, group_id)
        self.readers.append(reader)
        reader.member = self.groups.join(
            group_id,
            member_id=member_id,
            client_id=f"client of {member_id[:9]}",
            client_host="127.0.0.1",
            topics=topics.split(),
            assignor=assignor,
            changed=reader.changed,
            fenced=reader.fenced,
        )
        return reader

    async def commit(self, reader: Reader, offset: int, *places: tuple[str, int]) -> None:
        await self.groups.commit("g", dict.fromkeys(places, offset), reader.member_id, reader.generation)

    async def refusal(self, offsets: dict[tuple[str, int], int], member_id: str = "", generation: int = 0) -> str:
        """What a commit is answered that may not be."""
        try:
            await self.groups.commit("g", offsets, member_id, generation)
        except LogError as error:
            return error.detail
        raise AssertionError("the commit was accepted")

    def told(self, change: Change) -> None:
        """Called when a reader was told of a change."""

    def check(self) -> None:
        """No two streams of a group have a partition at once."""
        owned = [(reader.group_id, *place) for reader in self.readers for place in reader.has]
        assert len(owned) == len(set(owned))

    def on_disk(self) -> dict[str, dict[tuple[str, int], int]]:
        names = {topic.topic_id: topic.name for topic in self.topics.values()}
        found = self.metadata.offsets()
        return {group: {(names[t], n): o for (t, n), o in offsets.items()} for group, offsets in found.items()}
