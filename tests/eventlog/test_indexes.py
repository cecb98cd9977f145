"""Index files: read as they were written, or not at all."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ride_trio.eventlog import indexes
from ride_trio.eventlog.files import make_segment
from ride_trio.eventlog.indexes import read_index_head, read_partition_index, replace_file, write_index
from ride_trio.eventlog.segments import Segment
from tests.eventlog.logs import Core


@pytest.fixture
async def segment(tmp_path: Path) -> Segment:
    segment = Core(tmp_path).topic(10).active
    make_segment(segment)
    for number in (3, 1, 3, 9):
        segment.add(number, len(segment.index or ()), 100 * number, 7, 1_000 + number)
    write_index(segment)
    return segment


async def test_an_index_says_of_each_partition_where_its_batches_are(segment: Segment) -> None:
    head = read_index_head(segment.index_path)
    assert head is not None
    assert (head.log_size, head.max_timestamp) == (segment.size, 1_009)
    assert [(number, count) for number, count, _ in head.rows] == [(1, 1), (3, 2), (9, 1)]
    for number in range(10):
        rows = read_partition_index(segment.index_path, number)
        assert rows is not None
        assert segment.index is not None
        known = segment.index.get(number)
        assert rows.tobytes() == (known.tobytes() if known else b"")


async def test_an_index_of_nothing(tmp_path: Path) -> None:
    segment = Core(tmp_path).topic().active
    make_segment(segment)
    write_index(segment)
    rows = read_partition_index(segment.index_path, 0)
    assert rows is not None
    assert len(rows) == 0


async def test_no_flipped_bit_goes_unseen(segment: Segment) -> None:
    path = segment.index_path
    whole = path.read_bytes()
    right = [read_partition_index(path, number) for number in range(10)]
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        for number in (1, 3, 5, 9):
            found = read_partition_index(path, number)
            assert found is None or found.tobytes() == right[number].tobytes()  # type: ignore[union-attr]


async def test_a_file_that_is_cut_is_none(segment: Segment) -> None:
    whole = segment.index_path.read_bytes()
    for size in range(len(whole)):
        segment.index_path.write_bytes(whole[:size])
        assert read_partition_index(segment.index_path, 9) is None


async def test_a_count_that_is_damaged_asks_for_no_memory(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    pread = indexes.os.pread
    monkeypatch.setattr(indexes.os, "pread", lambda fd, size, at: (asked.append(size), pread(fd, size, at))[1])
    data = bytearray(segment.index_path.read_bytes())
    data[12:16] = struct.pack("<I", 0xFFFFFFFF)
    segment.index_path.write_bytes(data)
    assert read_index_head(segment.index_path) is None
    assert max(asked, default=0) <= len(data)


async def test_no_file(tmp_path: Path) -> None:
    assert read_index_head(tmp_path / "none.index") is None
    assert read_partition_index(tmp_path / "none.index", 0) is None


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexes.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"newer")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
