"""Killed between any two steps of retention, rolling and compaction: the next start finds all that was acknowledged.

Before each call that changes a file for good, the whole directory is copied: that is what a server that is killed there
leaves. Each copy is checked, started and checked again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from ride_trio.eventlog.check import check_data_dir
from ride_trio.eventlog.topic import Topic
from tests.eventlog.logs import in_place
from tests.eventlog.whole import DAY_MS, WholeLog, compacted_topic, files

CALLS = ("fsync", "fdatasync", "rename", "unlink", "ftruncate")
Records = list[tuple[int, bytes]]


@dataclass
class Killed:
    """What a server leaves, and what it had promised: end offsets, by partition."""

    path: Path
    before: str
    ends: list[int]


@contextmanager
def killing(topic: Topic, aside: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Killed]]:
    """Copies a topic's data directory before each call, from here to the end of the block, and at its end."""
    found: list[Killed] = []
    source = topic.folder.parent.parent

    def copy(name: str) -> None:
        path = aside / f"{len(found):03d}-{name}"
        shutil.copytree(source, path)
        found.append(Killed(path, name, [partition.end_offset for partition in topic.partitions]))

    def before(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            copy(name)
            return function(*args, **kwargs)

        return run

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, before(name, getattr(os, name)))
        yield found
    copy("end")


async def restarted(nursery: trio.Nursery, killed: Killed) -> tuple[WholeLog, list[Records]]:
    """Check, start and check what is left; the log, stopped, and what it serves of each partition."""
    assert check_data_dir(killed.path).damages == []
    whole = WholeLog(nursery, killed.path, in_place)
    topic = (await whole.start()).topic("t")
    ends = [partition.end_offset for partition in topic.partitions]
    assert all(end >= promised for end, promised in zip(ends, killed.ends, strict=True))
    served = [await whole.read(partition) for partition in topic.partitions]
    assert [name for name in files(topic) if not name.endswith((".log", ".index"))] == []
    await whole.stop()
    report = check_data_dir(killed.path)
    assert (report.damages, report.left_over) == ([], [])
    return whole, served


async def test_killed_in_compaction(
    small_segments: WholeLog,
    nursery: trio.Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments, 2)
    for number in range(5):
        for partition in topic.partitions:
            await small_segments.produce(
                partition,
                [
                    (b"k%d" % (n % 3 + number), b"%d.%d" % (number, n) + bytes(300 if number == 2 else 20))
                    for n in range(5)
                ],
            )
        await small_segments.roll(topic)
    before = [await small_segments.read(partition) for partition in topic.partitions]
    with killing(topic, tmp_path / "killed", monkeypatch) as left:
        await small_segments.keeper.compact(topic)
    after = [await small_segments.read(partition) for partition in topic.partitions]
    assert [segment.name for segment in topic.segments] == [(1, 2, 1), (3, 4, 1), (5, 5, 1), (6, 6, 0)]
    assert {killed.before for killed in left} >= {"fsync", "rename", "unlink"}
    assert len(after[0]) == 7 < len(before[0])
    seen = set()
    for killed in left:
        _, served = await restarted(nursery, killed)
        for number in range(2):
            assert set(after[number]) <= set(served[number]) <= set(before[number])
            assert sorted(served[number]) == served[number]
        seen.add(len(served[0]))
    assert {len(before[0]), len(after[0])} < seen  # both ends, and something between


async def test_killed_in_a_second_pass(
    small_segments: WholeLog,
    nursery: trio.Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Old and new are compacted files of the same numbers; and a tombstone goes, whose key must not come back."""
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"gone", b"1"), (b"kept", b"2")])
    await small_segments.roll(topic)
    await small_segments.produce(partition, [(b"gone", b"")])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    small_segments.now_ms += 2 * DAY_MS
    await small_segments.produce(partition, [(b"kept", bytes(4_000))])
    await small_segments.roll(topic)
    with killing(topic, tmp_path / "killed", monkeypatch) as left:
        await small_segments.keeper.compact(topic)
    assert [segment.name for segment in topic.segments] == [(1, 2, 2), (3, 3, 1), (4, 4, 0)]
    for killed in left:
        _, (served,) = await restarted(nursery, killed)
        assert served in (
            [(1, b"2"), (2, b""), (3, bytes(4_000))],
            [(3, bytes(4_000))],
        )
    assert await small_segments.read(partition) == [(3, bytes(4_000))]


async def test_a_pass_that_was_killed_is_made_up_for(
    small_segments: WholeLog,
    nursery: trio.Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    for number in range(3):
        await small_segments.produce(topic.partition(0), [(b"%d" % (n % 4), b"%d" % n + bytes(300)) for n in range(8)])
        await small_segments.produce(topic.partition(0), [(b"%d" % (10 + number), b"once")])
        await small_segments.roll(topic)
    with killing(topic, tmp_path / "killed", monkeypatch) as left:
        await small_segments.keeper.compact(topic)
    expected = await small_segments.read(topic.partition(0))
    assert 20 < len(left) < 50
    for killed in left:
        whole = WholeLog(nursery, killed.path, in_place, segment_bytes=4_096)
        topic = (await whole.start()).topic("t")
        await whole.produce(topic.partition(0), [(b"last", bytes(20_000))])  # so that it is worth it
        await whole.roll(topic)
        await whole.keeper.compact(topic)
        served = await whole.read(topic.partition(0))
        assert [record for record in served if record[1] != bytes(20_000)] == expected
        await whole.stop()


async def test_killed_in_retention(
    small_segments: WholeLog,
    nursery: trio.Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """While records come, are rolled away and expire."""
    log = await small_segments.start()
    topic = await log.create_topic("t", 2, configs={"retention.ms": str(DAY_MS)})
    with killing(topic, tmp_path / "killed", monkeypatch) as left:
        for number in range(4):
            for partition in topic.partitions:
                await small_segments.produce(partition, [(b"key", b"%d" % number + bytes(1_500))])
            await small_segments.keeper.keep(topic)
        small_segments.now_ms += 2 * DAY_MS
        await small_segments.keeper.keep(topic)
        await small_segments.produce(topic.partition(0), [(b"key", b"new")])
    assert [partition.begin_offset for partition in topic.partitions] == [4, 4]
    assert len(left) > 20
    begins = set()
    for killed in left:
        _, served = await restarted(nursery, killed)
        for number in range(2):
            offsets = [offset for offset, _ in served[number]]
            first = offsets[0] if offsets else 0
            assert offsets == list(range(first, first + len(offsets)))
            begins.add(first)
    assert {0, 1, 2, 4} <= begins
