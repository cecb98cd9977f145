"""The log as a whole: topics come and go, and what it finds when it starts."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from ride_trio.errors import (
    DataDirError,
    InvalidConfigError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    LogError,
    LogFullError,
    LogStoppedError,
    TopicExistsError,
    UnknownTopicError,
)
from ride_trio.eventlog import log as log_module
from ride_trio.eventlog.log import EventLog
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import in_place
from tests.eventlog.whole import WholeLog


@pytest.fixture
def whole(nursery: trio.Nursery, tmp_path: Path) -> WholeLog:
    return WholeLog(nursery, tmp_path / "data", in_place)


async def test_what_was_made_is_there_after_a_restart(whole: WholeLog) -> None:
    log = await whole.start()
    topic = await log.create_topic("t", 3, 1, {"retention.ms": "-1"})
    await whole.produce(topic.partition(1), [(b"k", b"a"), (b"k", b"b")])
    await whole.stop()
    again = (await whole.start()).topic("t")
    assert (again.config.retention_ms, len(again.partitions)) == (-1, 3)
    assert [(p.begin_offset, p.end_offset) for p in again.partitions] == [(0, 0), (0, 2), (0, 0)]
    assert await whole.read(again.partition(1)) == [(0, b"a"), (1, b"b")]


async def test_a_deleted_topic_is_gone_and_its_name_free(whole: WholeLog) -> None:
    log = await whole.start()
    first = await log.create_topic("t", 1)
    await whole.produce(first.partition(0), [(b"", b"old")])
    await log.delete_topic("t")
    assert not first.folder.exists()
    second = await log.create_topic("t", 2)
    assert second.folder != first.folder
    assert second.partition(0).end_offset == 0
    await whole.stop()
    assert len((await whole.start()).topic("t").partitions) == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", 1), InvalidTopicError),
        (("a/b", 1), InvalidTopicError),
        (("..", 1), InvalidTopicError),
        (("x" * 250, 1), InvalidTopicError),
        (("x", 0), InvalidPartitionsError),
        (("x", 10_001), InvalidPartitionsError),
        (("x", 1, 2), InvalidReplicationFactorError),
        (("x", 1, 1, {"no.such": "1"}), InvalidConfigError),
        (("there", 1), TopicExistsError),
    ],
)
async def test_what_cannot_be_made(whole: WholeLog, arguments: tuple[object, ...], error: type[LogError]) -> None:
    log = await whole.start()
    await log.create_topic("there", 1)
    with pytest.raises(error):
        await log.create_topic(*arguments)  # type: ignore[arg-type]
    assert list(log.topics) == ["there"]
    with pytest.raises(UnknownTopicError):
        await log.delete_topic("none")


async def test_two_who_make_the_same_topic_at_once(whole: WholeLog) -> None:
    log = await whole.start()
    refused: list[LogError] = []

    async def create() -> None:
        try:
            await log.create_topic("t", 1)
        except TopicExistsError as error:
            refused.append(error)

    async with trio.open_nursery() as makers:
        makers.start_soon(create)
        makers.start_soon(create)
    assert len(refused) == 1


async def test_nothing_is_accepted_when_it_stops(whole: WholeLog) -> None:
    log = await whole.start()
    await log.create_topic("t", 1)
    await whole.stop()
    with pytest.raises(LogStoppedError):
        log.commits.check()


async def test_without_its_metadata_no_topic_is_touched(whole: WholeLog) -> None:
    log = await whole.start()
    topic = await log.create_topic("t", 1)
    await whole.produce(topic.partition(0), [(b"", b"precious")])
    await whole.stop()
    for file in whole.path.glob("meta.db*"):
        file.unlink()
    before = sorted(path.name for path in topic.folder.iterdir())
    with pytest.RaisesGroup(pytest.RaisesExc(DataDirError, match="put it back")):
        async with trio.open_nursery() as nursery:
            await nursery.start(EventLog(whole.path, LogMetrics(), run_sync=in_place).run)
    assert sorted(path.name for path in topic.folder.iterdir()) == before


async def test_what_was_being_deleted_is_removed_at_the_next_start(whole: WholeLog) -> None:
    log = await whole.start()
    topic = await log.create_topic("t", 1)
    await log.metadata.delete_topic(topic.topic_id)  # and then it died
    await whole.stop()
    assert topic.folder.exists()
    log = await whole.start()
    assert log.topics == {}
    assert not topic.folder.exists()


async def test_a_topic_that_finds_no_room_is_not_there(whole: WholeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await whole.start()

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log_module, "recover", no_room)
        with pytest.raises(LogFullError, match="disk is full"):
            await log.create_topic("t", 1)
    assert log.topics == {}
    await log.create_topic("t", 1)
    await whole.stop()
    assert list((await whole.start()).topics) == ["t"]
