"""Rebalances: who is told what, and in which order; and how far behind a group is."""

from __future__ import annotations

import pytest

from tests.eventlog.readers import Reader, Town


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.create("trips", 4)
    return town


def numbers(reader: Reader, topic: str = "trips") -> list[int]:
    return sorted(number for name, number in reader.has if name == topic)


async def test_the_first_member_gets_all_from_where_nothing_is_committed(town: Town) -> None:
    ann = town.join("ann")
    (change,) = ann.changes
    assert change.assigned == [("trips", number, None) for number in range(4)]
    assert (change.member_id, change.revoked) == ("ann", [])


async def test_what_goes_to_a_second_member_is_revoked_first(town: Town) -> None:
    ann = town.join("ann")
    order: list[str] = []
    inform = ann.member.changed
    ann.member.changed = lambda change: (order.append("revoked" if change.revoked else "?"), inform(change))
    bob = Reader(town)
    town.readers.append(bob)
    bob.member = town.groups.join(
        "g", topics=["trips"], changed=lambda change: (order.append("assigned"), bob.changed(change)), fenced=bob.fenced
    )
    assert order == ["revoked", "assigned"]
    assert (len(numbers(ann)), len(numbers(bob))) == (2, 2)
    assert sorted(numbers(ann) + numbers(bob)) == [0, 1, 2, 3]


async def test_everybody_hears_of_every_generation(town: Town) -> None:
    readers = [town.join(name) for name in ("ann", "bob", "cat", "dan", "eve", "fay")]
    assert {reader.generation for reader in readers} == {readers[0].generation}
    assert [len(numbers(reader)) for reader in readers] == [1, 1, 1, 1, 0, 0]
    idle = readers[4].changes[-1]
    assert (idle.assigned, idle.revoked) == ([], [])
    generations = [change.generation for change in readers[0].changes]
    assert generations == list(range(generations[0], generations[0] + 6))


async def test_one_that_loses_and_gets_hears_the_loss_before_anybody_gets_anything(town: Town) -> None:
    """Ranges move all the runs: cat takes the first place, and ann's run moves on."""
    ann = town.join("b-ann", assignor="range")
    bob = town.join("c-bob", assignor="range")
    assert (numbers(ann), numbers(bob)) == ([0, 1], [2, 3])
    town.join("a-cat", assignor="range")
    assert (numbers(ann), numbers(bob)) == ([2], [3])
    lost, got = ann.changes[-2:]
    assert (lost.revoked, lost.assigned) == ([("trips", 0), ("trips", 1)], [])
    assert (got.revoked, got.assigned) == ([], [("trips", 2, None)])
    assert lost.generation == got.generation


async def test_who_leaves_is_replaced(town: Town) -> None:
    ann, bob = town.join("ann"), town.join("bob")
    kept = numbers(ann)
    bob.leave()
    assert numbers(ann) == [0, 1, 2, 3]
    assert [number for _, number, _ in ann.changes[-1].assigned] == [n for n in range(4) if n not in kept]


async def test_each_gets_only_of_what_it_wants(town: Town) -> None:
    await town.create("stops", 2)
    ann, bob = town.join("ann", "trips stops"), town.join("bob", "stops")
    assert (numbers(ann, "trips"), numbers(ann, "stops")) == ([0, 1, 2, 3], [])
    assert (numbers(bob, "trips"), numbers(bob, "stops")) == ([], [0, 1])


# ------------------------------------------------------------------ lag


async def test_lag_is_what_has_not_been_read(town: Town) -> None:
    partitions = town.topics["trips"].partitions
    partitions[1].begin_offset = 30
    partitions[2].begin_offset = 30
    partitions[3].end_offset = 7
    await town.groups.commit("g", {("trips", 0): 90, ("trips", 1): 20, ("trips", 3): 7})
    partitions[3].end_offset = 5  # the disk has lost what was committed
    town.join("ann")
    lags = town.groups.describe("g").lags
    assert [(lag.partition, lag.committed, lag.end_offset, lag.lag, lag.member_id) for lag in lags] == [
        (0, 90, 100, 10, "ann"),
        (1, 20, 100, 70, "ann"),
        (2, None, 100, 70, "ann"),
        (3, 7, 5, 0, "ann"),
    ]
    assert sorted(town.groups.lags()) == [("g", "trips", n, lag) for n, lag in enumerate((10, 70, 70, 0))]


async def test_what_is_nobodys_has_a_lag_if_something_is_committed(town: Town) -> None:
    await town.create("stops", 1)
    await town.groups.commit("g", {("stops", 0): 60, ("trips", 3): 1})
    lags = [(lag.topic, lag.partition, lag.lag, lag.member_id) for lag in town.groups.describe("g").lags]
    assert lags == [("stops", 0, 40, ""), ("trips", 3, 99, "")]
    town.join("ann", "stops")
    lags = [(lag.topic, lag.partition, lag.lag, lag.member_id) for lag in town.groups.describe("g").lags]
    assert lags == [("stops", 0, 40, "ann"), ("trips", 3, 99, "")]
