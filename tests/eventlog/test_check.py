"""Checking a data directory: what is told of a whole one, what is left over, and what is damage."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from ride_trio.errors import DataDirError
from ride_trio.eventlog.check import PartitionReport, Report, check_data_dir
from ride_trio.eventlog.datadir import DataDir
from tests.eventlog.damage import flip
from tests.eventlog.whole import WholeLog, compacted_topic

ONE = "topics/1/00000000000000000001.log"
TWO = "topics/1/00000000000000000002.log"
NEWEST = "topics/1/00000000000000000003.log"


@pytest.fixture
async def stopped(small_segments: WholeLog) -> Path:
    """A log with a topic "t" of two partitions and three segments, two records of each partition in each."""
    log = await small_segments.start()
    topic = await log.create_topic("t", 2)
    for number in range(3):
        if number:
            await small_segments.roll(topic)
        for partition in topic.partitions:
            await small_segments.produce(partition, [(b"key", b"value-%d" % number)] * 2)
    await log.metadata.commit_offsets("readers", {(1, 0): 6, (1, 1): 1})
    await small_segments.stop()
    return small_segments.path


def contents(path: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


def lines(report: Report) -> list[str]:
    return [str(damage) for damage in report.damages]


async def test_a_whole_one(stopped: Path) -> None:
    before = contents(stopped)
    report = check_data_dir(stopped)
    assert (report.damages, report.left_over) == ([], [])
    (topic,) = report.topics
    assert (topic.name, topic.topic_id, topic.segments, topic.records) == ("t", 1, 3, 12)
    assert topic.size_bytes == sum(len(data) for path, data in before.items() if path.suffix == ".log")
    assert topic.partitions == [PartitionReport(0, 0, 6), PartitionReport(1, 0, 6)]
    assert contents(stopped) == before


async def test_one_whose_server_was_killed(stopped: Path) -> None:
    (stopped / NEWEST).with_suffix(".index").unlink()
    assert (check_data_dir(stopped).damages, check_data_dir(stopped).left_over) == ([], [])


async def test_a_compacted_one(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    await small_segments.produce(topic.partition(0), [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    await small_segments.stop()
    report = check_data_dir(small_segments.path)
    assert (report.damages, report.left_over) == ([], [])
    assert report.topics[0].records == 2
    assert report.topics[0].partitions == [PartitionReport(0, 0, 3)]
    (path,) = small_segments.path.glob("topics/1/*-1.log")
    flip(path, b"2")
    (line,) = lines(check_data_dir(small_segments.path))
    assert line.endswith(f"bytes 56 to {path.stat().st_size}: damaged; lost: 0 to 2 of partition 0")


async def test_a_server_that_uses_it_is_named(stopped: Path) -> None:
    with DataDir(stopped):
        with pytest.raises(DataDirError, match="is in use by process"):
            check_data_dir(stopped)
        assert check_data_dir(stopped, read_only=True).damages == []


async def test_read_only_writes_nothing_at_all(stopped: Path) -> None:
    (stopped / "lock").unlink()
    check_data_dir(stopped, read_only=True)
    assert not (stopped / "lock").exists()


def test_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match=r"nothing is no data directory: it has neither meta\.db nor topics"):
        check_data_dir(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


# ------------------------------------------------------------------ what a crash leaves


async def test_what_is_left_over_is_no_damage(stopped: Path) -> None:
    folder = stopped / "topics" / "1"
    (folder / "00000000000000000001.index").unlink()
    (folder / "00000000000000000001.log.new").write_bytes(b"half")
    (folder / "00000000000000000009.index").write_bytes(b"alone")
    (folder / "00000000000000000003.log.cut-900").write_bytes(b"cut off")
    (folder / "notes.txt").write_text("mine")
    with sqlite3.connect(stopped / "meta.db") as db:
        db.execute("UPDATE sqlite_sequence SET seq = 7")
    db.close()
    (stopped / "topics" / "7").mkdir()
    report = check_data_dir(stopped)
    assert report.damages == []
    assert report.left_over == [
        "topics/7: of a topic that was deleted; the next start removes it",
        "topics/1/00000000000000000001.log.new: half done when the server died; the next start removes it",
        "topics/1/00000000000000000003.log.cut-900: cut off at a start after a crash; remove it if you like",
        "topics/1/00000000000000000009.index: half done when the server died; the next start removes it",
        "topics/1/notes.txt: not a file of the log",
        "topics/1/00000000000000000001.index: not there; it is made anew when it is needed",
    ]


async def test_a_write_that_was_not_finished(stopped: Path) -> None:
    newest = stopped / NEWEST
    newest.with_suffix(".index").unlink()
    size = newest.stat().st_size
    newest.write_bytes(newest.read_bytes() + newest.read_bytes()[-100:-10])
    report = check_data_dir(stopped)
    assert report.damages == []
    (line,) = report.left_over
    assert line.startswith(f"{NEWEST}, bytes {size} to {size + 90}: being written when the server died")
    assert report.topics[0].records == 12


async def test_a_segment_that_was_being_made(stopped: Path) -> None:
    (stopped / "topics/1/00000000000000000004.log").write_bytes((stopped / NEWEST).read_bytes()[:40])
    report = check_data_dir(stopped)
    assert report.damages == []
    assert report.left_over == [
        "topics/1/00000000000000000004.log: being made when the server died; the next start puts it aside"
    ]


async def test_a_topic_that_was_being_made(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    await log.create_topic("new", 3)
    await small_segments.stop()
    shutil.rmtree(small_segments.path / "topics" / "1")
    report = check_data_dir(small_segments.path)
    assert report.damages == []
    assert report.left_over == ["topics/1: topic 'new' has no files yet; the next start makes them"]
    assert report.topics[0].partitions[2] == PartitionReport(2, 0, 0)


# ------------------------------------------------------------------ damage


async def test_files_of_a_topic_that_are_gone(stopped: Path) -> None:
    shutil.rmtree(stopped / "topics" / "1")
    assert lines(check_data_dir(stopped)) == ["topics/1: topic 't' has no files, and groups have read it"]


async def test_offsets_that_groups_have_committed_must_be_there(stopped: Path) -> None:
    (stopped / NEWEST).unlink()
    (stopped / NEWEST).with_suffix(".index").unlink()
    assert lines(check_data_dir(stopped)) == ["meta.db: group 'readers' has committed offset 6 of t/0, which ends at 4"]


async def test_metadata_that_is_older_than_the_files(stopped: Path) -> None:
    (stopped / "topics" / "2").mkdir()
    assert lines(check_data_dir(stopped)) == ["topics/2: of a topic that meta.db has never had: that is an older copy"]


async def test_without_metadata_the_files_are_checked_all_the_same(stopped: Path) -> None:
    (stopped / "meta.db").unlink()
    (stopped / "topics" / "2").mkdir()
    report = check_data_dir(stopped)
    assert report.left_over == ["topics/2: nothing tells what topic that is"]
    assert lines(report) == ["meta.db: meta.db is missing; put a copy of the file in its place"]
    assert [(topic.name, topic.records) for topic in report.topics] == [("topics/1", 12)]


async def test_damaged_metadata(stopped: Path) -> None:
    with sqlite3.connect(stopped / "meta.db") as db:
        db.execute("UPDATE topics SET num_partitions = 3")
    db.close()
    flip(stopped / ONE, b"value-0")
    first, second = lines(check_data_dir(stopped))
    assert first.startswith("meta.db: meta.db is damaged, in table topics the row (1, 't', 3")
    assert second.startswith(f"{ONE}, bytes ")
