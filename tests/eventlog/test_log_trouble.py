"""The log as a whole, when something is in the way: full disks, old copies, two processes, topics that come and go."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import DataDirError, LogFullError, UnknownTopicError
from ride_trio.eventlog import EventLog, LogOptions
from ride_trio.eventlog.commit import Level
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import StuckWriter, append, in_place, read, read_all, records
from tests.eventlog.whole import WholeLog

ROOT = Path(__file__).parents[2]


@pytest.fixture
def whole(nursery: trio.Nursery, tmp_path: Path) -> WholeLog:
    return WholeLog(nursery, tmp_path / "data", in_place)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def refusal(path: Path) -> str:
    """Why a log on this directory does not start."""
    with pytest.RaisesGroup(DataDirError) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(EventLog(path, LogMetrics(), run_sync=in_place).run)
    return str(caught.value.exceptions[0])


# ------------------------------------------------------------------ a full disk


async def test_a_topic_whose_file_has_no_room_gets_it_with_its_first_record(
    whole: WholeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await whole.start()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        topic = await log.create_topic("t", 2)
        with pytest.raises(LogFullError):
            await whole.produce(topic.partition(0), [(b"", b"lost")])
    assert not topic.folder.exists()
    await whole.produce(topic.partition(0), [(b"", b"a")])
    await whole.stop()
    partition = (await whole.start()).topic("t").partition(0)
    assert await whole.read(partition) == [(0, b"a")]


async def test_a_full_disk_keeps_no_server_from_starting(whole: WholeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await whole.start()
    row_only = await log.metadata.create_topic("t", 1, {}, 0)  # and then it died
    await whole.stop()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        log = await whole.start()
    topic = log.topic("t")
    assert topic.topic_id == row_only
    await whole.produce(topic.partition(0), [(b"", b"a")])
    assert await whole.read(topic.partition(0)) == [(0, b"a")]


# ------------------------------------------------------------------ what else lies there


async def test_what_is_no_topics_folder_is_left_alone(whole: WholeLog) -> None:
    await whole.start()
    await whole.stop()
    for name in ("README", "0", "12x"):
        (whole.path / "topics" / name).write_text("mine")
    (whole.path / "topics" / "lost+found").mkdir()
    await whole.start()
    assert len(list((whole.path / "topics").iterdir())) == 4


async def test_an_older_copy_of_the_metadata_deletes_no_topic(whole: WholeLog) -> None:
    log = await whole.start()
    await log.create_topic("old", 1)
    await whole.stop()
    copy = (whole.path / "meta.db").read_bytes()
    log = await whole.start()
    topic = await log.create_topic("new", 1)
    await whole.produce(topic.partition(0), [(b"", b"precious")])
    await whole.stop()
    for file in whole.path.glob("meta.db*"):
        file.unlink()
    (whole.path / "meta.db").write_bytes(copy)
    assert "topics/2 is of a topic that meta.db has never had: it is a new one, or an older copy" in await refusal(
        whole.path
    )
    assert topic.active.path.exists()


_SERVE = """
import sys, trio
from pathlib import Path
from ride_trio.eventlog import EventLog
from ride_trio.metrics import LogMetrics
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(EventLog(Path(sys.argv[1]), LogMetrics()).run)
        print("serves", flush=True)
trio.run(main)
"""


async def test_two_processes_on_one_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SERVE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as served:  # noqa: ASYNC220
        assert served.stdout is not None
        served.stdout.readline()
        try:
            assert f"in use by process {served.pid}: stop it, or set DATA_DIR" in await refusal(tmp_path)
        finally:
            served.kill()
    log = EventLog(tmp_path, LogMetrics(), run_sync=in_place)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------ topics that come and go


@pytest.mark.parametrize("written", [False, True])
async def test_a_topic_is_deleted_while_its_records_are_on_their_way_and_made_anew(
    nursery: trio.Nursery, tmp_path: Path, written: bool
) -> None:
    log = EventLog(tmp_path, LogMetrics(), run_sync=in_place, writer=StuckWriter)
    await nursery.start(log.run)
    writer: StuckWriter = log.commits.writer  # type: ignore[assignment]
    old = await log.create_topic("t", 1)
    other = await log.create_topic("other", 1)
    in_flight = gather_in(log, old, other, b"in flight")
    log.commits.hand_over_if_due()
    if written:
        writer.write()
    gathered = gather_in(log, old, other, b"gathered")
    cursor = log.cursor(old.partition(0), 0)
    woken: list[int] = []
    old.partition(0).watchers[lambda: woken.append(old.partition(0).end_offset)] = None
    deleted = trio.Event()

    async def delete() -> None:
        await log.delete_topic("t")
        deleted.set()

    nursery.start_soon(delete)
    await wait_all_tasks_blocked()
    assert woken == [0]  # a consumer is told at once
    with pytest.raises(UnknownTopicError):
        cursor.read(1)
    with pytest.raises(UnknownTopicError):
        log.topic("t")
    new = await log.create_topic("t", 1)
    third = gather_in(log, new, other, b"new")
    assert third is gathered
    assert not deleted.is_set()
    while not third.level >= Level.SYNCED:
        if writer.given:
            writer.write()
        if writer.unsynced:
            writer.sync()
        await wait_all_tasks_blocked()
    assert (in_flight.level, third.level) == (Level.SYNCED, Level.SYNCED)
    assert deleted.is_set()
    assert not old.folder.exists()
    assert await read_all(log.cursor(new.partition(0), 0)) == [(0, b"new")]
    assert await read_all(log.cursor(other.partition(0), 0)) == [(0, b"in flight"), (1, b"gathered"), (2, b"new")]
    nursery.cancel_scope.cancel()


def gather_in(log: EventLog, one: object, other: object, value: bytes) -> object:
    for topic in (one, other):
        append(topic.partition(0), value)  # type: ignore[attr-defined]
    return log.commits.gathering


async def test_topics_are_made_and_deleted_under_producers(tmp_path: Path) -> None:
    """With real threads, and segments that are full all the time."""
    log = EventLog(tmp_path, LogMetrics(), LogOptions(segment_bytes=3_000))
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        kept = await log.create_topic("kept", 2, configs={"retention.ms": "-1"})
        done = trio.Event()

        async def produce() -> None:
            number = 0
            while not done.is_set():
                for topic in list(log.topics.values()):
                    append(topic.partition(0), b"%d" % number)
                number += topic is kept
                await log.commits.gathering.wait(Level.SYNCED)

        nursery.start_soon(produce)
        for _ in range(15):
            topic = await log.create_topic("comes-and-goes", 3)
            while topic.partition(0).end_offset < 3:
                await log.commits.gathering.wait(Level.WRITTEN)
            assert [r.value for r in records(await read(log.cursor(topic.partition(0), 0)))]
            await log.delete_topic("comes-and-goes")
            assert not topic.folder.exists()
        done.set()
        await log.commits.settled()
        found = await read_all(log.cursor(kept.partition(0), 0))
        assert [offset for offset, _ in found] == list(range(kept.partition(0).next_offset))
        nursery.cancel_scope.cancel()
    assert not [name for name in open_below(tmp_path) if name.endswith(".log")]


def open_below(folder: Path) -> list[str]:
    names = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return [os.readlink(name) for name in names if os.path.lexists(name) and str(folder) in os.readlink(name)]


async def test_ten_thousand_partitions(whole: WholeLog) -> None:
    log = await whole.start()
    topic = await log.create_topic("t", 10_000)
    before = len(os.listdir("/proc/self/fd"))
    for partition in topic.partitions[::7]:
        gather_value(partition)
    await log.commits.gathering.wait(Level.SYNCED)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    await whole.stop()
    log = await whole.start()
    ends = [partition.end_offset for partition in log.topic("t").partitions]
    assert ends == [1 if not number % 7 else 0 for number in range(10_000)]
    assert await whole.read(log.topic("t").partition(9_996)) == [(0, b"value")]


def gather_value(partition: object) -> None:
    append(partition, b"value")  # type: ignore[arg-type]


async def test_a_segment_is_not_closed_before_there_is_one_behind_it(nursery: trio.Nursery, tmp_path: Path) -> None:
    """The roll may fail: then it grows again."""
    log = EventLog(tmp_path, LogMetrics(), LogOptions(segment_bytes=1_000), run_sync=in_place, writer=StuckWriter)
    await nursery.start(log.run)
    writer: StuckWriter = log.commits.writer  # type: ignore[assignment]
    topic = await log.create_topic("t", 1, configs={"retention.ms": "-1"})
    for value in (b"first", b"x" * 1_000):
        append(topic.partition(0), value)
        log.commits.hand_over_if_due()
        if value == b"first":
            writer.write()
            writer.sync()
    assert len(topic.segments) == 2
    await log.keeper.keep(topic)
    writer.trouble = OSError(errno.ENOSPC, "No space left on device")
    writer.write()
    writer.trouble = None
    assert len(topic.segments) == 1
    append(topic.partition(0), b"second")
    log.commits.hand_over_if_due()
    writer.write()
    writer.sync()
    assert await read_all(log.cursor(topic.partition(0), 0)) == [(0, b"first"), (1, b"second")]
    nursery.cancel_scope.cancel()
