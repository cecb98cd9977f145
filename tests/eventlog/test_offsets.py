"""What counts of a commit while it is on its way, and after."""

from __future__ import annotations

from ride_trio.eventlog.offsets import Offsets
from tests.eventlog.readers import Topic

TRIPS, STOPS = Topic(1, "trips", 4), Topic(2, "stops", 4)


def test_a_commit_on_its_way_is_not_on_disk() -> None:
    offsets = Offsets()
    assert not offsets
    offsets.accept({(TRIPS, 0): 5, (STOPS, 1): 6})
    assert offsets
    assert (offsets.get(TRIPS, 0), list(offsets)) == (None, [])
    assert offsets.accepted() == {(TRIPS, 0): 5, (STOPS, 1): 6}
    offsets.settle(True)
    assert list(offsets) == [(TRIPS, 0, 5), (STOPS, 1, 6)]
    assert (offsets.get(TRIPS, 0), offsets.accepted()) == (5, {})


def test_the_newest_on_its_way_counts_and_each_comes_to_the_disk() -> None:
    offsets = Offsets()
    offsets.accept({(TRIPS, 0): 5})
    offsets.accept({(TRIPS, 0): 3, (TRIPS, 1): 9})
    assert offsets.accepted() == {(TRIPS, 0): 3, (TRIPS, 1): 9}
    offsets.settle(True)
    assert (offsets.get(TRIPS, 0), offsets.accepted()[TRIPS, 0]) == (5, 3)
    offsets.settle(False)
    assert list(offsets) == [(TRIPS, 0, 5)]


def test_a_commit_that_fails_leaves_nothing() -> None:
    offsets = Offsets()
    offsets.accept({(TRIPS, 0): 5})
    offsets.settle(False)
    assert not offsets


def test_a_topic_that_is_gone_is_forgotten_on_disk_and_on_its_way() -> None:
    offsets = Offsets()
    offsets.put(TRIPS, 0, 1)
    offsets.put(STOPS, 0, 2)
    offsets.accept({(TRIPS, 1): 5, (STOPS, 1): 6})
    offsets.forget(TRIPS)
    assert offsets.accepted() == {(STOPS, 1): 6}
    offsets.settle(True)
    assert list(offsets) == [(STOPS, 0, 2), (STOPS, 1, 6)]


def test_what_could_not_be_deleted_comes_back_beneath_what_is_newer() -> None:
    older, newer = Offsets(), Offsets()
    for topic, number, offset in ((TRIPS, 0, 1), (TRIPS, 1, 2), (STOPS, 0, 3)):
        older.put(topic, number, offset)
    newer.put(TRIPS, 1, 7)
    newer.restore(older, {"trips": TRIPS, "stops": Topic(3, "stops", 4)})
    assert sorted((number, offset) for _, number, offset in newer) == [(0, 1), (1, 7)]
