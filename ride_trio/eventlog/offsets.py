"""What a group has committed: on disk, and on its way there.

For whoever gets a partition next, a commit counts from the moment it is accepted: its records are read, even if a crash
makes that forgotten. So a commit that is still in a thread when a partition is handed on changes nothing for its new
owner. For whoever asks, it counts from the moment it is on disk: what was answered once is never taken back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from ride_trio.eventlog.topic import Topic

# A topic and the number of one of its partitions.
Place = tuple[Topic, int]


class Offsets:
    """See the module's text. Commits are settled in the order in which they were accepted."""

    __slots__ = ("_accepted", "_durable")

    def __init__(self) -> None:
        self._durable: dict[Topic, dict[int, int]] = {}
        self._accepted: deque[dict[Place, int]] = deque()

    def __repr__(self) -> str:
        return f"<Offsets of {sum(map(len, self._durable.values()))} partitions, {len(self._accepted)} on their way>"

    def __bool__(self) -> bool:
        """Whether there are any, also on their way."""
        return bool(self._durable or self._accepted)

    def __iter__(self) -> Iterator[tuple[Topic, int, int]]:
        """Topic, partition and offset of all that is on disk."""
        for topic, numbers in self._durable.items():
            for number, offset in numbers.items():
                yield topic, number, offset

    def get(self, topic: Topic, number: int) -> int | None:
        """What is on disk for a partition."""
        return self._durable.get(topic, {}).get(number)

    def accepted(self) -> dict[Place, int]:
        """What is on its way; it goes before what is on disk."""
        return {place: offset for commit in self._accepted for place, offset in commit.items()}

    def put(self, topic: Topic, number: int, offset: int) -> None:
        """It is on disk."""
        self._durable.setdefault(topic, {})[number] = offset

    def accept(self, commit: dict[Place, int]) -> None:
        """It is on its way."""
        self._accepted.append(commit)

    def settle(self, success: bool) -> None:
        """The oldest commit that is on its way has come to the disk, or has failed."""
        commit = self._accepted.popleft()
        if success:
            for (topic, number), offset in commit.items():
                self.put(topic, number, offset)

    def forget(self, topic: Topic) -> None:
        """The topic is gone."""
        self._durable.pop(topic, None)
        for commit in self._accepted:
            for place in [place for place in commit if place[0] is topic]:
                del commit[place]

    def restore(self, older: Offsets, topics: Mapping[str, Topic]) -> None:
        """Have what is on disk in `older`, too, which could not be deleted; of topics that are still there."""
        for topic, number, offset in older:
            if topics.get(topic.name) is topic:
                self._durable.setdefault(topic, {}).setdefault(number, offset)
