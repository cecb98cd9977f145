"""What gets into files, and how a failed write is taken back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ride_trio.errors import LogFailedError
from ride_trio.eventlog.batches import HEADER_BYTES, unpack
from ride_trio.eventlog.files import MAX_OPEN_FILES
from tests.eventlog.damage import fill, rolled, values
from tests.eventlog.logs import NOW_MS, Core, append, append_from, read_all
from tests.eventlog.open_files import largest_file, open_files


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ files


async def test_batches_are_written_as_documented(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(4)
    fill(core, topic.partition(0), 0)
    synced = topic.active.size
    append_from(topic.partition(3), 7, 2, 5, b"a")
    append_from(topic.partition(3), 7, 2, 6, b"b")
    core.write()
    append(topic.partition(3), b"c", timestamp=NOW_MS + 1)
    core.write()
    data = topic.active.path.read_bytes()
    assert data.startswith(topic.active.head.pack())
    header = unpack(data, synced)
    assert header is not None
    assert header[5:] == (3, 2, 0, 1, NOW_MS, 7, 2, 5, synced)
    second = unpack(data, synced + HEADER_BYTES + header.size)
    assert second is not None
    assert second[5:] == (3, 1, 2, 0, NOW_MS + 1, 0, 0, 0, synced)  # the one before is not synced


async def test_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=1 << 24)
    topic = core.topic(1_500)
    for partition in topic.partitions:
        append(partition, b"value-0")
    core.flush()
    core = Core(tmp_path)
    for partition in core.topic(1_500).partitions[::100]:
        assert await read_all(core.cursor(partition)) == values(0)


async def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)

    def pwritev(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        return os.pwrite(fd, b"".join(buffers)[:5], position)

    pwrite = os.pwrite
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", pwritev)
        patched.setattr(os, "pwrite", lambda fd, data, position: pwrite(fd, bytes(data)[:7], position))
        for partition in topic.partitions:
            append(partition, b"value-0", b"value-1")
        core.flush()
    core = Core(tmp_path)
    for partition in core.topic(3).partitions:
        assert await read_all(core.cursor(partition)) == values(0, 1)
    assert core.notes == []


async def test_a_disk_that_is_full_in_the_middle_of_a_commit_leaves_files_as_they_were(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=3_000)
    topics = [core.topic(2, topic_id=number) for number in range(1, 4)]
    for topic in topics:
        append(topic.partition(0), b"x" * 500)
    append(topics[2].partition(1), b"y" * 500)
    core.flush()
    before = contents(tmp_path)
    for topic in topics:  # to the first, one more batch; of the second two more segments; the third has no room
        append(topic.partition(0), b"z" * 1_000)
        topic.partition(0).close_batch()
    for _ in range(2):
        append(topics[1].partition(1), b"z" * 2_300)
        topics[1].partition(1).close_batch()
    append(topics[2].partition(1), b"z" * 500)
    with largest_file(2_600):
        core.write()
    assert core.commits.in_flight == []
    assert contents(tmp_path) == before
    append(topics[2].partition(0), b"again")
    core.flush()
    core = Core(tmp_path)
    assert await read_all(core.cursor(core.topic(2, topic_id=3).partition(0))) == [(0, b"x" * 500), (1, b"again")]
    assert core.notes == []


async def test_a_new_segment_goes_before_the_one_that_it_follows_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, the server would find a head that says there was more before it."""
    core = Core(tmp_path, segment_bytes=2_000)
    topic = core.topic()
    append(topic.partition(0), b"x" * 1_000)
    core.flush()
    for _ in range(2):
        append(topic.partition(0), b"z" * 700)
        topic.partition(0).close_batch()
    second = topic.folder / "00000000000000000002.log"
    there: list[bool] = []
    synced: list[str] = []
    ftruncate, fsync = os.ftruncate, os.fsync

    def cut(fd: int, size: int) -> None:
        there.append(second.exists())
        assert synced[-1] == str(topic.folder)
        ftruncate(fd, size)

    monkeypatch.setattr(os, "ftruncate", cut)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    pwritev = os.pwritev
    left = iter([True, True, False])  # the first segment's batch, the second's head, its batch

    def fill_up(fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        if not next(left):
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwritev(fd, buffers, position)

    monkeypatch.setattr(os, "pwritev", fill_up)
    core.write()
    assert there == [False]


async def test_more_new_segments_than_files_may_be_open_are_taken_back(tmp_path: Path) -> None:
    core = Core(tmp_path, bound_bytes=1 << 24)
    topics = [core.topic(topic_id=number) for number in range(1, MAX_OPEN_FILES + 5)]
    for topic in topics:
        append(topic.partition(0), b"x")
    append(topics[-1].partition(0), b"x" * 4_000)
    with largest_file(2_000):
        core.write()
    assert core.commits.in_flight == []
    assert contents(tmp_path) == {}
    for topic in topics:
        append(topic.partition(0), b"value-0")
    core.flush()
    assert len([name for name in open_files(tmp_path) if "(deleted)" not in name]) == MAX_OPEN_FILES


async def test_what_cannot_be_taken_back_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    append(topic.partition(0), b"x" * 4_000)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", fail)
    with largest_file(2_000):
        core.write()
    with pytest.raises(LogFailedError, match="start the server anew"):
        core.commits.check()


async def test_of_a_topic_only_the_newest_file_is_open(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    for number in range(3):
        fill(core, topic.partition(0), number)
        rolled(core, topic)
    fill(core, topic.partition(0), 3)
    assert open_files(tmp_path) == [str(topic.active.path)]


async def test_the_segment_before_is_synced_before_a_new_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    second = topic.folder / "00000000000000000002.log"
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        os, "fdatasync", lambda fd: synced.append((os.readlink(f"/proc/self/fd/{fd}"), second.exists()))
    )
    rolled(core, topic)
    assert synced == [(str(topic.segments[0].path), False)]


async def test_ten_thousand_partitions_need_one_open_file(tmp_path: Path) -> None:
    core = Core(tmp_path, segment_bytes=1 << 24, bound_bytes=1 << 24)
    topic = core.topic(10_000)
    for partition in topic.partitions:
        append(partition, b"value-0")
    core.flush()
    assert len(open_files(tmp_path)) == 1
    assert topic.partition(9_999).end_offset == 1
