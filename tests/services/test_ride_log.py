"""Rides and sessions with a journal: what of them is written, and what happens when the log can't keep up."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.matching import run_matching
from ride_trio.services import ride_journal
from tests.services.desk import Desk, events, stored
from tests.services.fake_call import FakeCall
from tests.services.house import House, acks, at, bodies, code, heartbeat, status

BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.fixture
async def desk(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    return await Desk(nursery, tmp_path).start()


@pytest.fixture
def few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than ten are kept."""
    monkeypatch.setattr(ride_journal, "SLOW_EVENTS", 8)
    monkeypatch.setattr(ride_journal, "MAX_EVENTS", 10)


@pytest.fixture
async def stuck(nursery: trio.Nursery, tmp_path: Path, few_events: None) -> Desk:
    """Its disk works when the test says so."""
    return await Desk(nursery, tmp_path, stuck=True).start()


async def told(desk: Desk, topic: str, *fields: str) -> list[tuple[Any, ...]]:
    await wait_all_tasks_blocked()
    return [tuple(event[field] for field in fields) for event in await events(desk.log, topic)]


# -------------------------------------------------------------------- what is written


async def test_a_short_ride(desk: Desk, nursery: trio.Nursery) -> None:
    house = House(nursery, desk.journal)
    ann = await house.connect("ann", at(), status("LOOKING", "r"))
    dan = await house.connect("dan", at(37.771), status("AVAILABLE"))
    await house.window()
    dan.say(status("ON_TRIP", "r"), status("AVAILABLE", "r"))
    ann.half_close()
    dan.half_close()
    await wait_all_tasks_blocked()
    (matched, ended) = await events(desk.log, "ride.matches")
    assert matched == {"event": "matched", "ride_id": "r", "rider_id": "ann", "driver_id": "dan", "eta_s": 18}
    assert ended == {"event": "ended", "ride_id": "r", "rider_id": "ann", "driver_id": "dan"}
    assert {record.key for record in await stored(desk.log, "ride.matches")} == {b"ann"}
    for name in ("ann", "dan"):
        mine = [event for event in await events(desk.log, "ride.sessions") if event["user_id"] == name]
        assert [event["event"] for event in mine] == ["opened", "ended"]
        assert mine[0]["session_id"] == mine[1]["session_id"]
        assert mine[1]["reason"] == "completed"


async def test_how_long_a_session_was_open(desk: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    call = await House(nursery, desk.journal).connect("ann")
    await call.over.wait()
    await wait_all_tasks_blocked()
    (_, ended) = await events(desk.log, "ride.sessions")
    assert (ended["reason"], ended["seconds"]) == ("no_heartbeat", pytest.approx(15))


async def test_a_takeover(desk: Desk, nursery: trio.Nursery) -> None:
    house = House(nursery, desk.journal)
    older = await house.connect("ann")
    await house.connect("ann")
    await older.over.wait()
    found = await told(desk, "ride.sessions", "event", "session_id")
    first, second = found[0][1], found[1][1]
    assert first != second
    assert found == [("opened", first), ("opened", second), ("ended", first)]
    assert (await events(desk.log, "ride.sessions"))[2]["reason"] == "session_taken_over"


@pytest.mark.parametrize("locked", [False, True])
async def test_a_session_that_gets_its_name_late(desk: Desk, nursery: trio.Nursery, locked: bool) -> None:
    house = House(nursery, desk.journal)
    call = await house.connect()
    if locked:
        for shard in house.context.broker._shards:
            await shard.lock.acquire()
    call.say(heartbeat(user_id="ann"), heartbeat(user_id="ann"))
    if locked:
        for shard in house.context.broker._shards:
            shard.lock.release()
    await wait_all_tasks_blocked()
    by_event = {event["event"]: event for event in await events(desk.log, "ride.sessions")}
    opened, named = by_event["opened"], by_event["named"]
    assert named == {**opened, "event": "named", "user_id": "ann", "was": opened["user_id"]}
    assert len(await events(desk.log, "ride.sessions")) == 2


async def test_a_session_that_is_refused_was_never_open(desk: Desk, nursery: trio.Nursery) -> None:
    house = House(nursery, desk.journal, max_sessions=1)
    await house.connect("ann")
    assert code(await house.connect("bob")) == "RESOURCE_EXHAUSTED CONNECTION_LIMIT"
    assert await told(desk, "ride.sessions", "event", "user_id") == [("opened", "ann")]


@pytest.mark.parametrize("locations", [True, False])
async def test_positions_are_written_if_wanted(nursery: trio.Nursery, tmp_path: Path, locations: bool) -> None:
    desk = await Desk(nursery, tmp_path, locations=locations).start()
    call = await House(nursery, desk.journal).connect("dan", status("AVAILABLE"), at(37.77, -122.41, 1, bearing=90.0))
    call.say(at(137.0), at(37.78, -122.42, 2, speed_mps=8.5))  # the first one is off the globe
    await wait_all_tasks_blocked()
    if not locations:
        assert "ride.locations" not in desk.log.topics
        return
    found = await told(desk, "ride.locations", "event", "user_id", "latitude", "longitude", "bearing", "speed_mps")
    assert found == [("position", "dan", 37.77, -122.41, 90.0, 0.0), ("position", "dan", 37.78, -122.42, 0.0, 8.5)]


# -------------------------------------------------------------------- a log that can't keep up


async def meet(house: House, pairs: int) -> list[FakeCall]:
    """Riders and drivers of whom nobody is matched yet; the riders' calls."""
    riders = []
    for number in range(pairs):
        riders.append(await house.connect(f"rider {number}", at(), status("LOOKING", f"r{number}")))
        await house.connect(f"driver {number}", at(), status("AVAILABLE"))
    return riders


def have_heard(riders: list[FakeCall]) -> int:
    """How many have heard of a match since the last time."""
    return sum("match_event" in bodies(rider.read()) for rider in riders)


async def test_matches_slow_down_and_nothing_is_lost(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The disk writes once in three windows, and in between there is room for eight."""
    stuck = await Desk(nursery, tmp_path, stuck=True).start()
    house = House(nursery, stuck.journal)
    riders = await meet(house, 20)
    await stuck.to_disk()
    monkeypatch.setattr("ride_trio.matching.loop.SLICE_REQUESTS", 1)
    monkeypatch.setattr(ride_journal, "SLOW_EVENTS", 8)
    nursery.start_soon(run_matching, house.context.dispatcher, house.metrics, 1.0, lambda: not stuck.journal.is_slow)
    for expected in (8, 8, 4, 0):
        await trio.sleep(3)
        assert (have_heard(riders), stuck.kept) == (expected, expected)
        await stuck.to_disk()
    found = await events(stuck.log, "ride.matches")
    assert {event["ride_id"] for event in found} == {f"r{number}" for number in range(20)}
    assert {event["event"] for event in found} == {"matched"}
    assert stuck.dropped("ride.matches") == 0


async def test_positions_are_dropped_and_events_are_not(
    nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock
) -> None:
    stuck = await Desk(nursery, tmp_path, stuck=True, buffer_bytes=1_000).start()
    house = House(nursery, stuck.journal)
    dan = await house.connect("dan", at(), status("AVAILABLE"))
    dan.say(*(at(37.77, -122.41, number) for number in range(50)))
    ann = await house.connect("ann", at(), status("LOOKING", "r"))
    await house.window()
    ann.say(status("CANCELLED", "r"))
    assert stuck.log.commits.is_full
    assert len(acks(dan.read())) == 52  # nobody has waited
    await stuck.to_disk()
    written = len(await events(stuck.log, "ride.locations"))
    assert 0 < written < 10
    assert written + stuck.dropped("ride.locations") == 50
    assert await told(stuck, "ride.matches", "event") == [("matched",), ("cancelled",)]
    assert sorted(await told(stuck, "ride.sessions", "event", "user_id")) == [("opened", "ann"), ("opened", "dan")]


async def test_new_sessions_wait_at_the_door(stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = House(nursery, stuck.journal)
    for number in range(8):
        await house.connect(f"user {number}")
    late = await house.connect("late", heartbeat())
    assert (house.active, late.started, late.read()) == (8, False, [])
    await stuck.to_disk()
    assert (house.active, bodies(late.read())) == (9, ["ack"])


async def test_a_session_that_would_wait_for_ever_is_sent_away(
    stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House(nursery, stuck.journal, heartbeat_timeout_s=60.0)
    for number in range(8):
        await house.connect(f"user {number}")
    late = await house.connect("late")
    await late.over.wait()
    assert code(late) == "RESOURCE_EXHAUSTED RESOURCE_EXHAUSTED"
    assert house.context.broker.session_of("late") is None


async def test_new_requests_are_refused_when_nothing_more_can_be_kept(
    stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House(nursery, stuck.journal)
    ann = await house.connect("ann", at(), status("LOOKING", "r"))
    bob = await house.connect("bob", at())
    others = [await house.connect(f"other {number}") for number in range(4)]
    for call in others:
        await house.vanish(call)
    assert stuck.kept == 10
    ann.say(status("LOOKING", "r"))  # the same request once more
    bob.say(status("LOOKING", "s"))
    assert [ack.success for ack in acks(ann.read())] == [True, True, True]
    refused = acks(bob.read())[-1]
    assert not refused.success
    assert refused.detail.startswith("RESOURCE_EXHAUSTED: ")
    ann.say(status("CANCELLED"))  # what is under way may end
    await stuck.to_disk()
    bob.say(status("LOOKING", "s"))
    assert [ack.success for ack in acks(bob.read())] == [True]


async def test_rides_go_on_when_the_disk_dies(stuck: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    stuck.tell(0)
    await wait_all_tasks_blocked()
    stuck.house.writer.write()
    stuck.house.writer.trouble = BROKEN
    stuck.house.writer.sync()
    house = House(nursery, stuck.journal)
    riders = await meet(house, 20)
    await house.window()
    assert (have_heard(riders), house.active) == (20, 40)
    assert stuck.dropped("ride.sessions") == 40


async def test_rides_go_on_when_no_write_succeeds(desk: Desk, nursery: trio.Nursery, few_events: None) -> None:
    house = House(nursery, desk.journal)
    with desk.house.failing(BROKEN):
        riders = await meet(house, 20)
        await house.window()
        assert (have_heard(riders), house.active) == (20, 40)
    assert desk.dropped("ride.sessions") == 40
