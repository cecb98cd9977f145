"""The journal's promises: what is written when the log keeps up, when it does not, and when it has failed."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.errors import LogFailedError, LogFullError
from ride_trio.eventlog.partitioner import key_hash
from ride_trio.eventlog.topic import Topic
from ride_trio.matching import Phase, User
from ride_trio.pb.ride.v1.ride_pb2 import LocationUpdate
from ride_trio.services import ride_journal
from ride_trio.services.ride_journal import PARTITIONS, RETRY_S, SLICE_EVENTS
from tests.eventlog.logs import NOW_MS
from tests.services.desk import Desk, events, ride_of, stored

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.fixture
async def desk(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    """A log that keeps up."""
    return await Desk(nursery, tmp_path).start()


@pytest.fixture
async def stuck(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    """A log whose disk works when the test says so."""
    return await Desk(nursery, tmp_path, stuck=True).start()


@pytest.fixture
async def narrow(nursery: trio.Nursery, tmp_path: Path) -> Desk:
    """The same, and it is full after three events."""
    return await Desk(nursery, tmp_path, stuck=True, buffer_bytes=250).start()


# -------------------------------------------------------------------- a log that keeps up


async def test_a_record_is_in_its_users_partition(desk: Desk) -> None:
    names = [f"rider {number}" for number in range(40)]
    for name in names:
        desk.journal.ride("matched", ride_of(name, "r", "dan"))
    assert desk.kept == 40
    await wait_all_tasks_blocked()
    assert desk.kept == 0
    found = await stored(desk.log, "ride.matches")
    assert {record.key.decode() for record in found} == set(names)
    assert {record.timestamp for record in found} == {NOW_MS}
    for record in found:
        assert record.partition == key_hash(record.key) % PARTITIONS
        assert f'"rider_id":"{record.key.decode()}"'.encode() in record.value


@pytest.mark.parametrize("locations", [True, False])
async def test_topics_are_made_if_nobody_has(nursery: trio.Nursery, tmp_path: Path, locations: bool) -> None:
    desk = await Desk(nursery, tmp_path, locations=locations).open()
    await desk.log.create_topic("ride.sessions", 3, configs={"retention.ms": "1"})
    await nursery.start(desk.journal.run)
    found = {name: len(topic.partitions) for name, topic in desk.log.topics.items()}
    expected = {"ride.matches": PARTITIONS, "ride.sessions": 3}
    assert found == expected | ({"ride.locations": PARTITIONS} if locations else {})
    assert desk.log.topic("ride.sessions").config.given == {"retention.ms": "1"}


async def test_what_happens_before_there_are_topics_waits(nursery: trio.Nursery, tmp_path: Path) -> None:
    desk = await Desk(nursery, tmp_path).open()
    desk.tell(1, 2)
    await nursery.start(desk.journal.run)
    desk.tell(3)
    await wait_all_tasks_blocked()
    assert await desk.told() == [1, 2, 3]


async def test_a_topic_that_is_deleted_is_made_anew(desk: Desk) -> None:
    desk.tell(1)
    await wait_all_tasks_blocked()
    await desk.log.delete_topic("ride.matches")
    desk.tell(2, 3)
    await wait_all_tasks_blocked()
    assert await desk.told() == [2, 3]


@pytest.mark.parametrize("phase", Phase)
async def test_positions_are_those_of_drivers_at_work(desk: Desk, phase: Phase) -> None:
    user = User("dan")
    user.phase = phase
    desk.journal.position(user, LocationUpdate())
    await wait_all_tasks_blocked()
    at_work = phase not in {Phase.IDLE, Phase.OFFLINE, Phase.WAITING, Phase.RIDING}
    assert len(await events(desk.log, "ride.locations")) == at_work
    assert desk.dropped("ride.locations") == 0


# -------------------------------------------------------------------- a log that does not


async def test_without_room_positions_are_dropped_and_events_wait_in_order(
    narrow: Desk, autojump_clock: MockClock
) -> None:
    narrow.drive(1)
    narrow.tell(1, 2, 3, 4, 5)
    assert narrow.log.commits.is_full
    narrow.drive(2, 3)
    assert narrow.kept == 5
    assert await narrow.told() == []
    await narrow.to_disk()
    assert await narrow.told() == [1, 2, 3, 4, 5]
    assert await narrow.driven() == [1]
    assert narrow.dropped("ride.locations") == 2
    assert narrow.kept == 0
    narrow.drive(4)
    await narrow.to_disk()
    assert await narrow.driven() == [1, 4]


async def test_what_comes_while_others_wait_waits_behind_them(narrow: Desk, autojump_clock: MockClock) -> None:
    narrow.tell(1, 2, 3, 4)
    await wait_all_tasks_blocked()
    narrow.house.writer.write()
    narrow.house.writer.sync()  # there is room, and nobody has used it yet
    assert not narrow.log.commits.is_full
    narrow.tell(5)
    narrow.drive(1)
    await narrow.to_disk()
    assert await narrow.told() == [1, 2, 3, 4, 5]
    assert narrow.dropped("ride.locations") == 1


async def test_much_that_waits_is_appended_in_slices(nursery: trio.Nursery, tmp_path: Path) -> None:
    desk = await Desk(nursery, tmp_path).open()
    numbers = list(range(3 * SLICE_EVENTS))
    desk.tell(*numbers)
    await nursery.start(desk.journal.run)
    topic, most, before = desk.log.topic("ride.matches"), 0, 0
    while desk.kept:
        appended = sum(partition.next_offset for partition in topic.partitions)
        most, before = max(most, appended - before), appended
        await trio.lowlevel.checkpoint()
    assert 0 < most <= 2 * SLICE_EVENTS  # another task may have its turn before or after us
    assert await desk.told() == numbers


async def test_a_full_disk_loses_no_event_and_no_order(stuck: Desk, autojump_clock: MockClock) -> None:
    stuck.tell(1)
    stuck.drive(1)
    await wait_all_tasks_blocked()  # on its way
    stuck.tell(2)  # in the next commit
    stuck.drive(2)
    stuck.house.writer.trouble = FULL
    stuck.house.writer.write()
    stuck.tell(3)
    stuck.drive(3)
    await trio.lowlevel.checkpoint()
    assert stuck.kept == 3
    stuck.house.writer.trouble = None
    await trio.sleep(RETRY_S / 2)
    assert not stuck.house.writer.given  # a full disk is not asked all the time
    await trio.sleep(RETRY_S)
    await stuck.to_disk()
    assert await stuck.told() == [1, 2, 3]
    assert await stuck.driven() == []
    assert stuck.dropped("ride.locations") == 3
    assert (stuck.dropped("ride.matches"), stuck.kept) == (0, 0)


async def test_a_disk_that_stays_full_is_tried_again_and_again(desk: Desk, autojump_clock: MockClock) -> None:
    with desk.house.failing(FULL):
        for number in range(5):
            desk.tell(number)
            await trio.sleep(3 * RETRY_S)
        assert await desk.told() == []
        assert 5 <= desk.metrics.commit_failures.n <= 20
    await trio.sleep(2 * RETRY_S)
    assert await desk.told() == [0, 1, 2, 3, 4]


async def test_a_commit_before_the_one_that_fails_is_none_of_its_business(
    stuck: Desk, autojump_clock: MockClock
) -> None:
    stuck.tell(1)
    await wait_all_tasks_blocked()
    writer = stuck.house.writer
    writer.write()
    stuck.tell(2)
    stuck.log.commits.hurry()
    await wait_all_tasks_blocked()
    writer.trouble = FULL
    writer.write()
    writer.trouble = None
    writer.sync()
    assert await stuck.told() == [1]
    assert stuck.kept == 1


# -------------------------------------------------------------------- a log that has failed


async def test_a_log_that_has_failed_holds_up_no_ride(
    stuck: Desk, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    stuck.tell(1, 2)
    stuck.drive(1)
    await wait_all_tasks_blocked()
    stuck.tell(3)
    stuck.house.writer.write()
    stuck.house.writer.trouble = BROKEN
    stuck.house.writer.sync()
    for number in range(4, 8):
        stuck.tell(number)
        stuck.drive(number)
        await wait_all_tasks_blocked()
    assert stuck.log.commits.failed is not None
    assert stuck.dropped("ride.matches") == 7
    assert stuck.dropped("ride.locations") == 5
    assert stuck.kept == 0
    assert not stuck.journal.is_slow
    await stuck.journal.admit()
    ours = [record.getMessage() for record in caplog.records if record.name == ride_journal.__name__]
    assert len(ours) == 1
    assert "rides go on" in ours[0]
    assert "Input/output error" in ours[0]


async def test_a_write_that_fails_takes_its_events_along_and_no_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 3):
        with desk.house.failing(BROKEN):
            desk.tell(number, number)
            await wait_all_tasks_blocked()
        desk.tell(number + 1)
        await wait_all_tasks_blocked()
    assert await desk.told() == [2, 4]
    assert desk.dropped("ride.matches") == 4
    assert caplog.text.count("rides go on") == 2  # each trouble is told once


@pytest.mark.parametrize("error", [LogFullError, LogFailedError])
async def test_a_topic_that_cannot_be_made_now(
    nursery: trio.Nursery, tmp_path: Path, autojump_clock: MockClock, error: type[LogFullError | LogFailedError]
) -> None:
    """The server starts all the same. A full disk loses nothing, a broken one holds up nobody."""
    desk = await Desk(nursery, tmp_path).open()
    create, tries = desk.log.create_topic, 0

    async def create_topic(name: str, partitions: int) -> Topic:
        nonlocal tries
        tries += 1
        if tries < 8:
            raise error("no")
        return await create(name, partitions)

    desk.log.create_topic = create_topic  # type: ignore[assignment,method-assign]
    desk.tell(1)
    await nursery.start(desk.journal.run)
    assert desk.log.topics == {}
    await trio.sleep(20 * RETRY_S)
    desk.tell(2)
    await wait_all_tasks_blocked()
    lost = error is LogFailedError
    assert await desk.told() == ([2] if lost else [1, 2])
    assert desk.dropped("ride.matches") == lost
