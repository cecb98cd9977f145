"""Whoever comes and goes, or commits late, whatever the disk does: one owner, and no offset is lost or moved back.

A plain list of commits, in the order in which they were accepted, says what must be true at any moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError
from ride_trio.eventlog.group import Change
from tests.eventlog.readers import Reader, Town

NAMES = ["ann", "bob", "cat", "dan"]
Place = tuple[str, int]


async def answer(asked: Awaitable[None]) -> str:
    """The code of the error that it raises; empty for none."""
    try:
        await asked
    except LogError as error:
        return error.code
    return ""


@dataclass
class Commit:
    """One that was accepted. `outcome` is None while it is on its way."""

    offsets: dict[Place, int]
    outcome: bool | None = None


class Crowd(Town):
    """A group "g" whose members do what they are told, or not."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__()
        self.nursery = nursery
        self.live: dict[str, Reader] = {}
        self.commits: list[Commit] = []

    # ------------------------------------------------------------------ what happens

    async def come(self, name: str, topics: str, assignor: str) -> None:
        if any(other != name for other in self.live):
            assignor = self.groups.describe("g").assignor
        self.live[name] = self.join(name, topics, assignor=assignor)

    async def go(self, name: str) -> None:
        if name in self.live:
            self.live.pop(name).leave()

    async def commit(self, number: int, offset: int, age: int) -> None:
        """One member what it has, with the generation of `age` changes ago, where 0 is the current one."""
        readers = [reader for reader in self.live.values() if reader.has]
        if readers:
            reader = readers[number % len(readers)]
            commit = Commit(dict.fromkeys(reader.has, offset))
            await self._begin(commit, reader.member_id, reader.generation - age, age == 0)

    async def commit_anothers(self, number: int, offset: int) -> None:
        """One member what another has."""
        readers = [reader for reader in self.live.values() if reader.has]
        if len(readers) > 1:
            thief, owner = (readers[n % len(readers)] for n in (number, number + 1))
            await self._begin(Commit(dict.fromkeys(owner.has, offset)), thief.member_id, thief.generation, False)

    async def commit_without_being_a_member(self, number: int, offset: int) -> None:
        await self._begin(Commit({("trips", number): offset}), "", 0, not self.live and "trips" in self.topics)

    async def delete_group(self) -> None:
        await self.work_again()
        refusal = await answer(self.groups.delete("g"))
        assert refusal == ("GROUP_NOT_EMPTY" if self.live else "" if self.expected(True) else "UNKNOWN_GROUP")
        if not refusal:
            self.commits.clear()

    async def make_or_delete(self, name: str) -> None:
        await self.work_again()
        if name not in self.topics:
            await self.create(name, 3)
            return
        await self.delete(name)
        for commit in self.commits:
            commit.offsets = {place: offset for place, offset in commit.offsets.items() if place[0] != name}

    async def stall(self) -> None:
        if self.disk.gate.is_set():
            self.disk.close_gate()

    async def fail(self) -> None:
        """All that waits and all that comes."""
        self.disk.trouble = OSError("no space")
        self.disk.gate.set()
        await wait_all_tasks_blocked()

    async def work_again(self) -> None:
        self.disk.trouble = None
        self.disk.gate.set()
        await wait_all_tasks_blocked()

    async def start_anew(self) -> None:
        await self.work_again()
        self.live.clear()
        self.now_s += 60
        self.restart()

    async def _begin(self, commit: Commit, member_id: str, generation: int, welcome: bool) -> None:
        self.nursery.start_soon(self._carry_out, commit, member_id, generation, welcome)
        await wait_all_tasks_blocked()

    async def _carry_out(self, commit: Commit, member_id: str, generation: int, welcome: bool) -> None:
        if welcome:
            self.commits.append(commit)
        refusal = await answer(self.groups.commit("g", commit.offsets, member_id, generation))
        assert (refusal in ("", "LOG_FAILED")) == welcome
        commit.outcome = not refusal

    # ------------------------------------------------------------------ what must be true

    def told(self, change: Change) -> None:
        """Who is given a partition begins at the newest commit that has not failed."""
        newest = self.expected(None, True)
        assert all(offset == newest.get((topic, number)) for topic, number, offset in change.assigned)

    def expected(self, *outcomes: bool | None) -> dict[Place, int]:
        """What commits with these outcomes come to."""
        chosen = [commit.offsets for commit in self.commits if commit.outcome in outcomes]
        return {place: offset for offsets in chosen for place, offset in offsets.items()}

    def check_all(self) -> None:
        self.check()
        durable = self.expected(True)
        assert self.groups.fetch("g") == durable
        assert self.on_disk().get("g", {}) == durable
        assert len({reader.generation for reader in self.live.values()}) <= 1
        wanted = {topic for reader in self.live.values() for topic in reader.member.topics if topic in self.topics}
        owned = {place for reader in self.live.values() for place in reader.has}
        assert owned == {(topic, number) for topic in wanted for number in range(3)}
        assert self.groups.statistics().groups == bool(self.live or self.expected(None, True))


Operation = Callable[[Crowd], Awaitable[None]]
names = st.sampled_from(NAMES)
offsets = st.integers(0, 100)


def does(method: Callable[..., Awaitable[None]], *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Operation]:
    return st.tuples(*arguments).map(lambda chosen: lambda crowd: method(crowd, *chosen))


numbers = st.integers(0, 3)
wants = st.sampled_from(["trips", "trips stops", "stops"])
OPERATIONS = st.one_of(
    # What happens often; `one_of` takes the same strategy only once.
    *(does(Crowd.come, names, wants, st.sampled_from(["", "range"])) for _ in range(4)),
    *(does(Crowd.commit, numbers, offsets, st.sampled_from([0, 0, 0, 1, 2])) for _ in range(6)),
    does(Crowd.go, names),
    does(Crowd.commit_anothers, numbers, offsets),
    does(Crowd.commit_without_being_a_member, st.integers(0, 2), offsets),
    does(Crowd.delete_group),
    does(Crowd.make_or_delete, st.sampled_from(["stops", "stops", "trips"])),
    does(Crowd.stall),
    does(Crowd.fail),
    does(Crowd.work_again),
    does(Crowd.start_anew),
)


async def live_through(operations: list[Operation]) -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery)
        try:
            await crowd.create("trips", 3)
            for operation in operations:
                await operation(crowd)
                crowd.check_all()
            await crowd.work_again()
            crowd.check_all()
        finally:
            crowd.disk.gate.set()
            crowd.metadata.close()


# Without a least size most lists have five elements or fewer, and nothing happens.
@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATIONS, min_size=30, max_size=60))
def test_one_owner_and_no_offset_lost_or_moved_back(operations: list[Operation]) -> None:
    trio.run(live_through, operations)
