"""Who of a group gets which partitions: pure functions, the same answer to the same question.

    members   member id -> topics that it wants
    counts    topic -> number of its partitions; a topic that is not in it has none
    current   member id -> what it has now: topic -> numbers of partitions; the answer has the same form

In the answer every partition of a topic that somebody wants is with exactly one of those who want it.

`range_` is Kafka's RangeAssignor: each member gets a run of neighbours of each topic, whatever it has now.

`cooperative_sticky` balances whole loads, and moves little. When all want the same topics, loads differ by one at most,
and no more partitions move than that takes. When they don't, partitions and members are a bipartite graph whose loads
are the best possible exactly if no path leads from a member to one with two less or lower, each handing a partition on
to the next (Harvey, Ladner, Lovasz, Tamir, "Semi-matchings for bipartite graphs and load balancing", 2003). Hence:
everybody keeps what they have, what is nobody's goes to who has least, and then such paths are followed, shortest
first, until there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from heapq import heapify, heapreplace
from itertools import chain
from typing import Final

Members = Mapping[str, Collection[str]]
Counts = Mapping[str, int]
Partitions = dict[str, set[int]]
Assignor = Callable[[Members, Counts, Mapping[str, Partitions]], dict[str, Partitions]]


def range_(members: Members, counts: Counts, current: Mapping[str, Partitions]) -> dict[str, Partitions]:
    """Runs of neighbours in the order of the members' ids; the first ones are longer if it does not come out even."""
    assignment: dict[str, Partitions] = {member: {} for member in members}
    for topic, wanting in _wanting(members, counts).items():
        each, more = divmod(counts[topic], len(wanting))
        begin = 0
        for place, member in enumerate(wanting[: counts[topic]]):
            end = begin + each + (place < more)
            assignment[member][topic] = set(range(begin, end))
            begin = end
    return assignment


def cooperative_sticky(members: Members, counts: Counts, current: Mapping[str, Partitions]) -> dict[str, Partitions]:
    """Balanced over all topics together, with few moves; see the module's text."""
    shares = _Shares(members, counts)
    shares.keep(current)
    shares.hand_out()
    shares.level()
    return shares.assignment()


ASSIGNORS: Final[Mapping[str, Assignor]] = {"cooperative-sticky": cooperative_sticky, "range": range_}


def _wanting(members: Members, counts: Counts) -> dict[str, list[str]]:
    """Who wants each topic that has partitions; both in order. Members who want the same share the work, and a list."""
    alike: dict[Collection[str], list[str]] = {}
    for member in sorted(members):
        alike.setdefault(frozenset(members[member]), []).append(member)
    lists: dict[str, list[list[str]]] = {}
    for topics, group in alike.items():
        for topic in topics:
            if counts.get(topic):
                lists.setdefault(topic, []).append(group)
    return {topic: groups[0] if len(groups) == 1 else sorted(chain(*groups)) for topic, groups in sorted(lists.items())}


class _Shares:
    """An assignment in the making.

    A member's numbers of a topic are a stack: what came last goes first, so what it had at the beginning stays longest.
    """

    def __init__(self, members: Members, counts: Counts) -> None:
        self._wanting = _wanting(members, counts)
        self._free = {topic: set(range(counts[topic])) for topic in self._wanting}
        self._held: dict[str, dict[str, list[int]]] = {member: {} for member in sorted(members)}
        self._loads = dict.fromkeys(self._held, 0)
        self._members = members

    def assignment(self) -> dict[str, Partitions]:
        return {
            member: {topic: set(numbers) for topic, numbers in held.items() if numbers}
            for member, held in self._held.items()
        }

    def keep(self, current: Mapping[str, Partitions]) -> None:
        """Let everybody have what they have, as far as it is there and they still want it."""
        for member in self._held:
            for topic, numbers in current.get(member, {}).items():
                if topic in self._free and topic in self._members[member]:
                    kept = numbers & self._free[topic]
                    self._free[topic] -= kept
                    self._give(member, topic, sorted(kept))

    def hand_out(self) -> None:
        """Give what is nobody's to who has least, beginning with what few want."""
        topics = [topic for topic, free in self._free.items() if free]
        for topic in sorted(topics, key=lambda topic: len(self._wanting[topic])):
            heap = [(self._loads[member], member) for member in self._wanting[topic]]
            heapify(heap)
            for number in sorted(self._free[topic]):
                load, member = heap[0]
                self._give(member, topic, [number])
                heapreplace(heap, (load + 1, member))

    def level(self) -> None:
        """Hand on from those who have most to those who have two less or lower, as long as there are paths.

        Where there is none, all who can be reached are done: what they have can go on among themselves only, and nobody
        who has less than they is going to hand anything on to them.
        """
        left = set(self._held)
        while left:
            most = max(map(self._loads.__getitem__, left))
            came_from = self._reach(most, left)
            end = min(came_from, key=self._loads.__getitem__)
            if self._loads[end] > most - 2:
                left -= came_from.keys()
            else:
                self._hand_on(end, came_from, left)

    def _reach(self, most: int, left: set[str]) -> dict[str, tuple[str, str]]:
        """Whom those with most can reach, and by whom and by which topic: nearest first, until one with least."""
        least = min(map(self._loads.__getitem__, left))
        queue = sorted(member for member in left if self._loads[member] == most)
        came_from = dict.fromkeys(queue, ("", ""))
        seen: set[int] = set()
        for member in queue:
            for topic in sorted(self._held[member]):
                wanting = self._wanting[topic]
                if id(wanting) in seen:
                    continue
                seen.add(id(wanting))
                for other in wanting:
                    if other in left and other not in came_from:
                        came_from[other] = member, topic
                        queue.append(other)
                        if self._loads[other] == least:
                            return came_from
        return came_from

    def _hand_on(self, end: str, came_from: Mapping[str, tuple[str, str]], left: set[str]) -> None:
        giver, topic = came_from[end]
        many = 1
        if not came_from[giver][0] and len(self._wanting[topic]) == len(self._held):
            many = self._far_from_even(giver, end, left)
        while giver:
            numbers = self._held[giver][topic]
            moved = numbers[-many:]
            del numbers[-many:]
            if not numbers:
                del self._held[giver][topic]
            self._loads[giver] -= len(moved)
            self._give(end, topic, moved)
            end, (giver, topic) = giver, came_from[giver]

    def _far_from_even(self, giver: str, taker: str, left: set[str]) -> int:
        """How many may go at once if all want what goes: until one of the two has what all have in the end, or so."""
        loads = self._loads
        even, more = divmod(sum(map(loads.__getitem__, left)), len(left))
        return max(1, min(loads[giver] - even - bool(more), even - loads[taker]))

    def _give(self, member: str, topic: str, numbers: list[int]) -> None:
        self._held[member].setdefault(topic, []).extend(numbers)
        self._loads[member] += len(numbers)
