"""The coordinator: memberships, topics that come and go, looking at groups, deleting them, and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError, LogFailedError
from tests.eventlog.readers import Reader, Town


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.create("trips", 4)
    return town


# ------------------------------------------------------------------ members


async def test_a_group_without_members_or_offsets_is_forgotten(town: Town) -> None:
    ann = town.join("ann")
    assert [(group.state, group.member_count) for group in town.groups.list()] == [("Stable", 1)]
    ann.leave()
    assert town.groups.list() == []
    ann.leave()


async def test_a_group_with_offsets_stays_when_its_members_have_left(town: Town) -> None:
    ann = town.join("ann")
    await town.commit(ann, 5, ("trips", 0))
    ann.leave()
    assert [(group.group_id, group.state, group.member_count) for group in town.groups.list()] == [("g", "Empty", 0)]
    bob = town.join("bob")
    assert bob.has == {("trips", 0): 5, ("trips", 1): None, ("trips", 2): None, ("trips", 3): None}
    assert bob.generation > ann.generation


async def test_who_has_no_id_is_given_one(town: Town) -> None:
    ann, bob = town.join(""), town.join("")
    assert len({ann.member_id, bob.member_id, ""}) == 3
    assert ann.changes[0].member_id == ann.member_id


async def test_a_newer_stream_of_a_member_replaces_the_older_one(town: Town) -> None:
    older, bob = town.join("ann"), town.join("bob")
    had, others = dict(older.has), dict(bob.has)
    await town.commit(older, 9, *had)
    newer = town.join("ann")
    assert older.error is not None
    assert older.error.detail == "MEMBER_FENCED: a newer stream of member 'ann' has begun"
    assert newer.has == dict.fromkeys(had, 9)
    assert bob.has == others
    assert bob.generation == newer.generation > older.generation
    older.leave()  # too late: it is a member no longer
    assert [member.member_id for member in town.groups.describe("g").members] == ["ann", "bob"]
    assert newer.has == dict.fromkeys(had, 9)


async def test_who_comes_back_has_what_it_had_before_anybody_else_gets_it(town: Town) -> None:
    await town.create("stops", 3)
    cat, bob = town.join("cat", "stops"), town.join("bob", "stops")
    had = dict(cat.has)
    assert len(had) == 2
    assert town.join("cat", "stops").has == had
    assert len(bob.has) == 1


async def test_one_that_leaves_when_it_is_replaced_does_no_harm(town: Town) -> None:
    older = town.join("ann")
    older.member.fenced = lambda error: older.leave()
    newer = town.join("ann")
    assert len(newer.has) == 4


async def test_a_group_and_a_server_can_be_full() -> None:
    town = Town(max_groups=2, max_members=2)
    await town.create("trips", 1)
    town.join("ann")
    town.join("bob")
    with pytest.raises(LogError, match="group 'g' has its 2 members already") as caught:
        town.join("cat")
    assert caught.value.code == "GROUP_LIMIT"
    town.join("bob")  # needs no place
    town.join("cat", group_id="h")
    with pytest.raises(LogError, match="there are 2 groups already"):
        town.join("dan", group_id="i")
    with pytest.raises(LogError, match="there are 2 groups already"):
        await town.groups.commit("i", {("trips", 0): 1})
    assert town.groups.fetch("i", [("trips", 0)]) == {("trips", 0): None}


async def test_a_wanted_topic_that_comes_is_shared_out(town: Town) -> None:
    ann, bob, cat = town.join("ann", "trips stops"), town.join("bob", "stops"), town.join("cat", group_id="h")
    before = len(cat.changes)
    await town.create("stops", 2)
    assert bob.has == {("stops", 0): None, ("stops", 1): None}
    assert ann.generation == bob.generation
    assert len(cat.changes) == before  # nothing of its concern


async def test_a_topic_that_goes_is_revoked_with_its_offsets(town: Town) -> None:
    await town.create("stops", 1)
    ann = town.join("ann", "trips stops")
    await town.commit(ann, 5, ("stops", 0), ("trips", 0))
    await town.groups.commit("only stops", {("stops", 0): 1})
    await town.delete("stops")
    assert ann.changes[-1].revoked == [("stops", 0)]
    assert town.groups.fetch("g") == {("trips", 0): 5}
    assert [group.group_id for group in town.groups.list()] == ["g"]
    await town.create("stops", 1)
    assert ann.changes[-1].assigned == [("stops", 0, None)]
    assert town.on_disk() == {"g": {("trips", 0): 5}}


async def test_a_commit_on_its_way_when_its_topic_goes_leaves_nothing(town: Town, nursery: trio.Nursery) -> None:
    await town.create("stops", 1)
    topic = town.topics["stops"]
    await town.metadata.delete_topic(topic.topic_id)
    town.disk.close_gate()
    nursery.start_soon(town.groups.commit, "g", {("stops", 0): 1})
    await wait_all_tasks_blocked()
    del town.topics["stops"]
    town.groups.topics_changed()
    town.disk.gate.set()
    await wait_all_tasks_blocked()
    assert (town.groups.list(), town.on_disk()) == ([], {})


# ------------------------------------------------------------------ looking at groups, deleting them


async def test_a_group_describes_itself(town: Town) -> None:
    bob, ann = town.join("bob"), town.join("ann")
    await town.commit(ann, 40, *ann.has)
    found = town.groups.describe("g")
    assert (found.group_id, found.state, found.assignor) == ("g", "Stable", "cooperative-sticky")
    assert found.generation == bob.generation
    (first, second) = found.members
    assert (first.member_id, first.client_id, first.client_host) == ("ann", "client of ann", "127.0.0.1")
    assert first.assignments == [("trips", number, 40) for _, number in sorted(ann.has)]
    assert second.assignments == [("trips", number, None) for _, number in sorted(bob.has)]
    owners = {("trips", lag.partition): (lag.member_id, lag.lag) for lag in found.lags}
    assert owners == dict.fromkeys(ann.has, ("ann", 60)) | dict.fromkeys(bob.has, ("bob", 100))
    with pytest.raises(LogError, match="no group 'h'"):
        town.groups.describe("h")


async def test_groups_are_listed_in_order(town: Town) -> None:
    town.join("ann", group_id="c")
    town.join("ann", group_id="a")
    await town.groups.commit("b", {("trips", 0): 1})
    listed = [(group.group_id, group.state, group.member_count) for group in town.groups.list()]
    assert listed == [("a", "Stable", 1), ("b", "Empty", 0), ("c", "Stable", 1)]
    statistics = town.groups.statistics()
    assert (statistics.groups, statistics.members, statistics.rebalances) == (3, 2, 2)


async def test_only_an_empty_group_is_deleted(town: Town) -> None:
    ann = town.join("ann")
    await town.commit(ann, 5, *ann.has)
    with pytest.raises(LogError, match="group 'g' has 1 members: they have to leave first") as caught:
        await town.groups.delete("g")
    assert caught.value.code == "GROUP_NOT_EMPTY"
    ann.leave()
    await town.groups.delete("g")
    assert (town.groups.list(), town.on_disk()) == ([], {})
    with pytest.raises(LogError, match="no group 'g'") as caught:
        await town.groups.delete("g")
    assert caught.value.code == "UNKNOWN_GROUP"


async def test_who_joins_while_a_group_is_being_deleted_begins_anew(town: Town, nursery: trio.Nursery) -> None:
    await town.groups.commit("g", {("trips", 0): 5, ("trips", 1): 5})
    town.disk.close_gate()
    nursery.start_soon(town.groups.delete, "g")
    await wait_all_tasks_blocked()
    ann = town.join("ann")
    assert ann.has == {("trips", number): None for number in range(4)}
    nursery.start_soon(town.commit, ann, 3, ("trips", 0))
    await wait_all_tasks_blocked()
    town.disk.gate.set()
    await wait_all_tasks_blocked()
    assert town.groups.fetch("g") == town.on_disk()["g"] == {("trips", 0): 3}


async def test_a_group_that_could_not_be_deleted_is_as_it_was(town: Town, nursery: trio.Nursery) -> None:
    await town.groups.commit("g", {("trips", 0): 5, ("trips", 1): 5})
    town.disk.trouble = OSError("no space")
    with pytest.raises(LogFailedError):
        await town.groups.delete("g")
    assert town.groups.fetch("g") == town.on_disk()["g"] == {("trips", 0): 5, ("trips", 1): 5}
    town.disk.close_gate()

    async def delete() -> None:
        with pytest.raises(LogFailedError):
            await town.groups.delete("g")

    nursery.start_soon(delete)
    await wait_all_tasks_blocked()
    ann = town.join("ann")
    town.disk.gate.set()
    await wait_all_tasks_blocked()
    town.disk.trouble = None
    await town.commit(ann, 3, ("trips", 0))
    assert town.groups.fetch("g") == town.on_disk()["g"] == {("trips", 0): 3, ("trips", 1): 5}


# ------------------------------------------------------------------ a restart


async def test_offsets_outlive_the_server_and_members_do_not(tmp_path: Path) -> None:
    town = Town(tmp_path / "meta.db")
    await town.create("trips", 2)
    ann = town.join("ann")
    await town.commit(ann, 5, *ann.has)
    town.now_s += 1
    town.restart()
    assert [(group.state, group.member_count) for group in town.groups.list()] == [("Empty", 0)]
    told = await town.refusal({("trips", 0): 6}, "ann", ann.generation)
    assert told.startswith("UNKNOWN_MEMBER")
    again = town.join("ann")
    assert again.has == {("trips", 0): 5, ("trips", 1): 5}
    assert again.generation > ann.generation
    told = await town.refusal({("trips", 0): 6}, "ann", ann.generation)
    assert told.startswith("ILLEGAL_GENERATION")


async def test_generations_grow_also_over_a_group_that_was_forgotten(town: Town) -> None:
    generations = []
    for _ in range(5):
        ann = town.join("ann")
        generations.append(ann.generation)
        ann.leave()
        assert town.groups.list() == []
    assert generations == sorted(set(generations))


async def test_offsets_of_a_topic_that_was_not_opened_are_left_alone(town: Town) -> None:
    await town.create("stops", 1)
    await town.groups.commit("g", {("trips", 0): 5, ("stops", 0): 6})
    stops = town.topics.pop("stops")
    town.restart()
    assert town.groups.fetch("g") == {("trips", 0): 5}
    town.topics["stops"] = stops
    assert town.on_disk() == {"g": {("trips", 0): 5, ("stops", 0): 6}}


async def test_two_owners_would_be_seen(town: Town) -> None:
    """The check that is made at every change."""
    for _ in range(2):
        reader = Reader(town)
        reader.has["trips", 0] = None
        town.readers.append(reader)
    with pytest.raises(AssertionError):
        town.check()
