"""A segment's name, head and index."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.eventlog.segments import (
    HEAD_START_BYTES,
    Head,
    Name,
    PartitionIndex,
    Segment,
    file_name,
    new_segment,
    segment_paths,
)

HEAD = Head(3, 7, 1_700_000_000_000, array("q", [5, 0, 9]), b"producers")


def test_a_heads_layout_is_as_documented() -> None:
    raw = HEAD.pack()
    fixed = (b"RTLOG\x00\x01\n", crc32c(raw[12:]), len(raw), 3, 7, 1_700_000_000_000, 3, 9)
    assert struct.unpack("<8sIIqqqII", raw[:48]) == fixed
    assert raw[48:] == struct.pack("<qqq", 5, 0, 9) + b"producers"
    assert HEAD.size == len(raw)


def test_a_head_is_read_as_it_was_written() -> None:
    raw = HEAD.pack()
    assert Head.size_in(raw[:HEAD_START_BYTES]) == len(raw)
    assert Head.unpack(raw) == HEAD


@pytest.mark.parametrize("raw", [b"", HEAD.pack()[:-1], HEAD.pack() + b"x", bytes(100), b"RTLOG\x00\x02\n" + bytes(90)])
def test_what_is_no_head(raw: bytes) -> None:
    assert Head.unpack(raw) is None


def test_what_is_known_of_many_producers_makes_a_head_long() -> None:
    start = bytearray(HEAD.pack()[:HEAD_START_BYTES])
    start[12:16] = (1 << 29).to_bytes(4, "little")
    assert Head.size_in(bytes(start)) == 1 << 29


def test_a_head_that_is_made_up_has_the_place_of_the_first_batch() -> None:
    assert Head(3, 7, 0, array("q", [5, 0, 9]), b"", start=1_234).size == 1_234


def test_names(tmp_path: Path) -> None:
    first = tmp_path / file_name(12)
    assert first.name == "00000000000000000012.log"
    assert Name.of(first) == (12, 12, 0)
    assert str(Name.of(first)) == first.name
    compacted = tmp_path / "00000000000000000012-00000000000000000015-3.log"
    assert Name.of(compacted) == (12, 15, 3)
    assert str(Name.of(compacted)) == compacted.name
    with pytest.raises(ValueError, match=r"12\.log is no segment's name"):
        Name.of(tmp_path / "12.log")


def test_what_a_compacted_file_has_taken_the_place_of_is_left_over(tmp_path: Path) -> None:
    def named(*names: tuple[int, int, int]) -> list[Path]:
        return [tmp_path / str(Name(*name)) for name in names]

    current = named((1, 3, 2), (4, 4, 1), (5, 5, 0), (6, 6, 0))
    replaced = named((1, 2, 1), (1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 4, 0))
    for path in (*current, *replaced, tmp_path / "other.log"):
        path.touch()
    found, left_over = segment_paths(tmp_path)
    assert found == current
    assert sorted(left_over) == sorted(replaced)


def test_a_new_segment_has_a_head_and_no_file(tmp_path: Path) -> None:
    segment = new_segment(tmp_path, HEAD)
    assert (segment.size, segment.written, segment.exists, segment.has_batches) == (HEAD.size, HEAD.size, False, False)
    assert segment.path == tmp_path / file_name(7)
    assert segment.index_path.name == "00000000000000000007.index"


def test_batches_that_are_on_disk_can_be_found(tmp_path: Path) -> None:
    segment: Segment = new_segment(tmp_path, HEAD)
    segment.add(1, 0, 100, 10, 50)
    segment.add(2, 9, 200, 10, 70)
    segment.add(1, 4, 300, 10, 30)
    assert segment.max_timestamp == 70
    assert segment.index is not None
    rows = segment.index[1]
    assert (list(rows.bases), list(rows.positions), list(rows.sizes)) == ([0, 4], [100, 300], [10, 10])
    assert list(rows.times) == [50, 50]  # can be searched


steps = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 2**32 - 1), st.integers(0, 2**50)))


@given(steps)
def test_rows_are_found_and_kept(batches: list[tuple[int, int, int, int]]) -> None:
    rows, base = PartitionIndex(), 0
    bases: list[int] = []
    for count, position, size, time in batches:
        rows.add(base, position, size, time)
        bases += [len(rows) - 1] * count
        base += count
    assert [rows.row_of(offset) for offset in range(base)] == bases
    assert rows.row_of(-1) == -1
    assert list(rows.times) == sorted(rows.times)
    data = rows.tobytes()
    assert len(data) == len(rows) * PartitionIndex.ROW_BYTES
    again = PartitionIndex.frombytes(data)
    assert (again.bases, again.positions, again.sizes, again.times) == (
        rows.bases, rows.positions, rows.sizes, rows.times
    )  # fmt: skip
