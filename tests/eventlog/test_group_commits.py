"""Commits: whose are accepted, and what counts while they are on their way to the disk."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError, LogFailedError
from tests.eventlog.readers import Town


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.create("trips", 4)
    return town


async def test_a_commit_is_on_disk_when_it_returns(town: Town) -> None:
    await town.groups.commit("g", {("trips", 3): 7, ("trips", 1): 100, ("trips", 0): 0})
    assert town.on_disk() == {"g": {("trips", 0): 0, ("trips", 1): 100, ("trips", 3): 7}}
    assert list(town.groups.fetch("g").items()) == [(("trips", 0), 0), (("trips", 1), 100), (("trips", 3), 7)]
    assert town.groups.fetch("g", [("trips", 3), ("trips", 2)]) == {("trips", 3): 7, ("trips", 2): None}
    assert town.groups.fetch("other") == {}
    for of, expected in ((("stops", 0), "UNKNOWN_TOPIC"), (("trips", 4), "UNKNOWN_PARTITION")):
        with pytest.raises(LogError) as caught:
            town.groups.fetch("other", [of])
        assert caught.value.code == expected


@pytest.mark.parametrize(
    ("place", "offset", "complaint"),
    [
        (("stops", 1), 1, "UNKNOWN_TOPIC: no topic 'stops'"),
        (("trips", 4), 1, "UNKNOWN_PARTITION: "),
        (("trips", -1), 1, "UNKNOWN_PARTITION: "),
        (("trips", 1), -1, "INVALID_OFFSET: offset -1 of topic 'trips', partition 1: allowed is 0 to 100"),
        (("trips", 1), 101, "INVALID_OFFSET: offset 101 of topic 'trips', partition 1: allowed is 0 to 100"),
    ],
)
async def test_one_bad_place_spoils_the_list(town: Town, place: tuple[str, int], offset: int, complaint: str) -> None:
    assert (await town.refusal({("trips", 0): 5, place: offset})).startswith(complaint)
    assert (town.groups.list(), town.on_disk()) == ([], {})


async def test_a_member_commits_what_is_its_own_in_its_generation(town: Town) -> None:
    ann, bob = town.join("ann"), town.join("bob")
    mine, others = min(ann.has), min(bob.has)
    await town.commit(ann, 5, mine)
    assert town.groups.fetch("g") == {mine: 5}
    place = f"topic 'trips', partition {others[1]} is not member 'ann's"
    assert await town.refusal({mine: 6, others: 6}, "ann", ann.generation) == f"NOT_OWNER: {place}"
    for stale in (ann.generation - 1, ann.generation + 1, 0):
        assert (await town.refusal({mine: 6}, "ann", stale)).startswith(f"ILLEGAL_GENERATION: generation {stale}:")
    told = await town.refusal({mine: 6}, "cat", ann.generation)
    assert told == "UNKNOWN_MEMBER: 'cat' is no member of group 'g' now"
    assert town.groups.fetch("g") == {mine: 5}


async def test_who_has_left_commits_nothing_more(town: Town) -> None:
    ann = town.join("ann")
    ann.leave()
    told = await town.refusal({("trips", 0): 6}, "ann", ann.generation)
    assert told == "UNKNOWN_MEMBER: no group 'g', so no member 'ann' of it"
    bob = town.join("bob")
    told = await town.refusal({("trips", 0): 6}, "ann", bob.generation)
    assert told == "UNKNOWN_MEMBER: 'ann' is no member of group 'g' now"


async def test_nobody_commits_past_the_members(town: Town) -> None:
    ann = town.join("ann")
    told = await town.refusal({("trips", 0): 6})
    assert told.startswith("UNKNOWN_MEMBER: group 'g' has 1 members: a commit has to give the member_id and")
    ann.leave()
    await town.groups.commit("g", {("trips", 0): 6})
    assert town.groups.fetch("g") == {("trips", 0): 6}


async def test_a_commit_of_nothing_makes_no_group(town: Town) -> None:
    await town.groups.commit("g", {})
    assert town.groups.list() == []
    assert (await town.refusal({}, "ann", 1)).startswith("UNKNOWN_MEMBER")


@pytest.mark.parametrize("group_id", ["", "x" * 250, "\n"])
async def test_a_group_has_to_have_a_name(town: Town, group_id: str) -> None:
    with pytest.raises(LogError) as caught:
        await town.groups.commit(group_id, {("trips", 0): 1})
    assert caught.value.code == "INVALID_GROUP"


# ------------------------------------------------------------------ commits on their way


async def test_the_next_owner_begins_at_a_commit_that_is_still_on_its_way(town: Town, nursery: trio.Nursery) -> None:
    ann = town.join("ann")
    await town.commit(ann, 5, *ann.has)
    town.disk.close_gate()
    nursery.start_soon(town.commit, ann, 9, *ann.has)
    await wait_all_tasks_blocked()
    bob = town.join("bob")
    assert set(bob.has.values()) == {9}
    assert set(town.groups.fetch("g").values()) == {5}  # what is not on disk is not told
    nursery.start_soon(town.commit, bob, 7, *bob.has)
    await wait_all_tasks_blocked()
    town.disk.gate.set()
    await wait_all_tasks_blocked()
    expected = dict.fromkeys(ann.has, 9) | dict.fromkeys(bob.has, 7)
    assert town.groups.fetch("g") == town.on_disk()["g"] == expected


async def test_the_commit_of_an_old_generation_is_refused_also_for_what_one_has_kept(town: Town) -> None:
    ann = town.join("ann")
    before = ann.generation
    town.join("bob")
    for place in [("trips", number) for number in range(4)]:
        assert (await town.refusal({place: 1}, "ann", before)).startswith("ILLEGAL_GENERATION")


async def test_a_commit_that_fails_counts_for_nothing(town: Town, nursery: trio.Nursery) -> None:
    ann = town.join("ann")
    await town.commit(ann, 5, *ann.has)
    town.disk.trouble = OSError("no space")
    with pytest.raises(LogFailedError, match="no space"):
        await town.commit(ann, 9, *ann.has)
    with pytest.raises(LogFailedError):
        await town.groups.commit("new", {("trips", 0): 9})
    town.disk.trouble = None
    assert set(town.groups.fetch("g").values()) == {5}
    assert [group.group_id for group in town.groups.list()] == ["g"]
    ann.leave()
    assert set(town.join("bob").has.values()) == {5}


async def test_a_commit_that_was_accepted_is_carried_out_though_its_caller_has_gone(
    town: Town, nursery: trio.Nursery
) -> None:
    town.disk.close_gate()
    scope = trio.CancelScope()

    async def commit() -> None:
        with scope:
            await town.groups.commit("g", {("trips", 0): 9})

    nursery.start_soon(commit)
    await wait_all_tasks_blocked()
    scope.cancel()
    town.disk.gate.set()
    await wait_all_tasks_blocked()
    assert town.groups.fetch("g") == {("trips", 0): 9}


async def test_a_commit_whose_caller_has_gone_before_it_is_none(town: Town) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await town.groups.commit("g", {("trips", 0): 9})
    assert scope.cancelled_caught
    assert town.groups.list() == []
