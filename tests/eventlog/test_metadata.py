"""Changes: what is on disk when one returns, which share a transaction, and what a full disk does to them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError, LogFailedError, LogFullError
from ride_trio.eventlog.metadata import Metadata
from ride_trio.eventlog.tables import TopicRow
from tests.eventlog.stores import Disk, open_metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.db"


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def metadata(path: Path, disk: Disk) -> Iterator[Metadata]:
    with closing(open_metadata(path, disk)) as metadata:
        yield metadata


def on_disk(path: Path) -> dict[str, dict[tuple[int, int], int]]:
    """What another connection reads."""
    other = Metadata(path)
    other.open()
    with closing(other):
        return other.offsets()


async def test_what_has_returned_is_on_disk(metadata: Metadata, path: Path) -> None:
    topic_id = await metadata.create_topic("trips", 3, {"retention.ms": "5"}, 17)
    assert metadata.topics() == [TopicRow(topic_id, "trips", 3, {"retention.ms": "5"}, 17)]
    await metadata.commit_offsets("readers", {(topic_id, 0): 5, (topic_id, 2): 7})
    assert on_disk(path) == {"readers": {(topic_id, 0): 5, (topic_id, 2): 7}}
    await metadata.commit_offsets("readers", {(topic_id, 2): 6})
    assert on_disk(path) == {"readers": {(topic_id, 0): 5, (topic_id, 2): 6}}
    await metadata.delete_group("readers")
    assert on_disk(path) == {}
    await metadata.delete_topic(topic_id)
    assert metadata.topics() == []


async def test_it_runs_in_a_thread_of_its_own(path: Path) -> None:
    metadata = Metadata(path)
    assert metadata.open()
    threads = set()
    with closing(metadata):
        metadata._tables.db.set_trace_callback(lambda _: threads.add(threading.get_ident()))
        topic_id = await metadata.create_topic("trips", 1, {}, 0)
        await metadata.commit_offsets("readers", {(topic_id, 0): 5})
        assert threads
        assert threading.get_ident() not in threads


async def commit_all(metadata: Metadata, topic_id: int, numbers: range) -> None:
    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(metadata.commit_offsets, f"group-{number}", {(topic_id, 0): number})


async def test_who_comes_in_the_same_pass_shares_a_transaction(metadata: Metadata, disk: Disk, path: Path) -> None:
    topic_id = await metadata.create_topic("trips", 1, {}, 0)
    disk.runs = 0
    await commit_all(metadata, topic_id, range(100))
    assert disk.runs == 1
    assert on_disk(path) == {f"group-{n}": {(topic_id, 0): n} for n in range(100)}
    statistics = metadata.statistics()
    assert (statistics.transactions, statistics.changes, statistics.waiting) == (2, 101, 0)


async def test_who_comes_during_a_transaction_shares_the_next(
    metadata: Metadata, disk: Disk, nursery: trio.Nursery
) -> None:
    topic_id = await metadata.create_topic("trips", 1, {}, 0)
    disk.close_gate()
    disk.runs = 0
    nursery.start_soon(metadata.commit_offsets, "first", {(topic_id, 0): 1})
    await wait_all_tasks_blocked()
    for number in range(50):
        nursery.start_soon(metadata.commit_offsets, f"group-{number}", {(topic_id, 0): number})
        await wait_all_tasks_blocked()
    disk.gate.set()
    await wait_all_tasks_blocked()
    assert disk.runs == 2
    assert len(metadata.offsets()) == 51


async def test_changes_of_one_transaction_are_made_and_settled_in_their_order(
    metadata: Metadata, disk: Disk, nursery: trio.Nursery
) -> None:
    topic_id = await metadata.create_topic("trips", 1, {}, 0)
    settled: list[tuple[int, LogError | None]] = []

    async def commit(offset: int) -> None:
        await metadata.commit_offsets("g", {(topic_id, 0): offset}, lambda error: settled.append((offset, error)))

    disk.close_gate()
    for offset in (5, 9, 3, 8, 4):
        nursery.start_soon(commit, offset)
        await wait_all_tasks_blocked()
    disk.gate.set()
    await wait_all_tasks_blocked()
    assert settled == [(offset, None) for offset in (5, 9, 3, 8, 4)]
    assert metadata.offsets() == {"g": {(topic_id, 0): 4}}


# ------------------------------------------------------------------ cancellation


async def test_a_change_that_is_cancelled_before_it_begins_does_not_happen(metadata: Metadata, disk: Disk) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await metadata.create_topic("trips", 1, {}, 0)
    assert scope.cancelled_caught
    assert (metadata.topics(), disk.runs) == ([], 0)


async def test_a_change_that_has_begun_is_carried_out_though_its_caller_is_cancelled(
    metadata: Metadata, disk: Disk, nursery: trio.Nursery
) -> None:
    topic_id = await metadata.create_topic("trips", 1, {}, 0)
    disk.close_gate()
    scopes = [trio.CancelScope(), trio.CancelScope()]
    returned: list[str] = []

    async def commit(group_id: str, scope: trio.CancelScope) -> None:
        with scope:
            await metadata.commit_offsets(group_id, {(topic_id, 0): 1})
            returned.append(group_id)
            await trio.lowlevel.checkpoint()
            returned.append(f"{group_id} was not cancelled")

    for group_id, scope in zip(("leads", "waits"), scopes, strict=True):
        nursery.start_soon(commit, group_id, scope)
        await wait_all_tasks_blocked()
    for scope in scopes:
        scope.cancel()
    await wait_all_tasks_blocked()
    assert returned == []
    disk.gate.set()
    await wait_all_tasks_blocked()
    assert sorted(returned) == ["leads", "waits"]
    assert sorted(metadata.offsets()) == ["leads", "waits"]


# ------------------------------------------------------------------ trouble


async def test_a_full_disk_fails_all_of_a_transaction_and_is_got_over(metadata: Metadata, disk: Disk) -> None:
    topic_id = await metadata.create_topic("trips", 1, {}, 0)
    await metadata.commit_offsets("old", {(topic_id, 0): 3})
    db = metadata._tables.db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    failed: list[LogError] = []

    async def commit(group_id: str) -> None:
        try:
            await metadata.commit_offsets(group_id, {(topic_id, 0): 1})
        except LogFullError as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit, "old")
        for number in range(500):
            nursery.start_soon(commit, f"group-{number}")
    assert len(set(map(id, failed))) == 501  # an error each, for a traceback each
    assert metadata.offsets() == {"old": {(topic_id, 0): 3}}
    db.execute("PRAGMA max_page_count = 100000")
    await commit_all(metadata, topic_id, range(500))
    assert len(metadata.offsets()) == 501


async def test_other_trouble_is_named_and_settled_too(metadata: Metadata, disk: Disk, path: Path) -> None:
    disk.trouble = OSError("can't start new thread")
    settled: list[LogError | None] = []
    with pytest.raises(LogFailedError, match="can't start new thread") as caught:
        await metadata.commit_offsets("g", {(1, 0): 1}, settled.append)
    assert str(path) in caught.value.message
    assert settled == [caught.value]
    disk.trouble = None
    await metadata.delete_group("g", settled.append)
    assert settled == [caught.value, None]


# ------------------------------------------------------------------ a death

# Commits 1, 2, 3, ... for two partitions at once, and tells each that has returned.
CHILD = """
import sys, trio
from pathlib import Path
from ride_trio.eventlog.metadata import Metadata

async def commit(metadata, group_id):
    for offset in range(1, 1_000_000):
        await metadata.commit_offsets(group_id, {(1, 0): offset, (1, 1): offset})
        print(group_id, offset, flush=True)

async def main():
    metadata = Metadata(Path(sys.argv[1]))
    metadata.open()
    await metadata.create_topic("trips", 2, {}, 0)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(commit, metadata, f"group-{number}")

trio.run(main)
"""


def test_a_killed_process_has_lost_nothing_that_returned_and_torn_nothing(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(200)]
    child.kill()
    rest = child.stdout.read()
    child.wait()
    lines += rest[: rest.rfind("\n") + 1].splitlines()
    told = {group_id: int(offset) for group_id, offset in map(str.split, lines)}
    assert len(told) == 8
    for group_id, offsets in on_disk(path).items():
        assert offsets[1, 0] == offsets[1, 1]
        assert offsets[1, 0] - told[group_id] in (0, 1)
