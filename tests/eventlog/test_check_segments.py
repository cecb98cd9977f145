"""Checking segment files: each kind of damage is found, with file, bytes and offsets."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from ride_trio.eventlog.batches import pack
from ride_trio.eventlog.check_segments import SegmentCheck
from ride_trio.eventlog.entries import prefix
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.reindex import Rows
from ride_trio.eventlog.segments import Head, Segment, new_segment
from ride_trio.pb.takhin.v1.takhin_pb2 import Record


def entry(offset: int, timestamp: int = 5) -> bytes:
    data: bytes = Record(value=b"value", offset=offset, timestamp=timestamp).SerializeToString()
    return prefix(len(data)) + data


def batch(base: int, count: int = 2, *, partition: int = 0, payload: bytes | None = None, **fields: int) -> bytes:
    """A batch as it stands in a file; `fields` for a header that does not fit what is in it."""
    payload = b"".join(entry(base + n) for n in range(count)) if payload is None else payload
    known = {"partition": partition, "base_offset": base, "count": count, "span": count - 1, "max_timestamp": 5}
    return pack(payload, **(known | fields)) + payload


def segment(folder: Path, number: int, bases: list[int], *batches: bytes) -> Segment:
    made = new_segment(folder, Head(1, number, 0, array("q", bases), b""))
    made.path.write_bytes(made.head.pack() + b"".join(batches))
    made.size = made.written = made.synced = made.path.stat().st_size
    return made


def index(made: Segment) -> None:
    Rows.of(made)
    write_index(made)


def check(made: Segment, following: Segment | None = None) -> list[str]:
    found = SegmentCheck(made.path.name, made, following).findings
    return [*map(str, found.damages), *(f"left over: {line}" for line in found.left_over)]


ONE = "00000000000000000001.log"
START = 48 + 16
SIZE = len(batch(10))


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("at", [START + 20, START + 80])
def test_damage_between_others(tmp_path: Path, at: int, indexed: bool) -> None:
    """In a header, that tells nothing any more, and in a payload."""
    made = segment(tmp_path, 1, [10, 17], batch(10), batch(12), batch(17, partition=1), batch(14))
    if indexed:
        index(made)
    data = bytearray(made.path.read_bytes())
    data[at + SIZE] ^= 1
    made.path.write_bytes(data)
    following = segment(tmp_path, 2, [16, 19])
    assert check(made, following) == [
        f"{ONE}, bytes {START + SIZE} to {START + 2 * SIZE}: damaged; lost: 12 to 13 of partition 0"
    ]


def test_an_end_that_is_missing(tmp_path: Path) -> None:
    made = segment(tmp_path, 1, [10, 10], batch(10), batch(12))
    index(made)
    made.path.write_bytes(made.path.read_bytes()[: START + SIZE])
    made.size = START + SIZE
    following = segment(tmp_path, 2, [14, 10])
    line = f"{ONE}, bytes {START + SIZE} to {START + 2 * SIZE}: cut off; its index knows of more"
    assert check(made, following) == [f"{line}; lost: 12 to 13 of partition 0"]
    assert check(made) == [line]
    made.index_path.unlink()
    assert (
        check(made, following)
        == [f"{ONE}: records are missing; lost: 12 to 13 of partition 0"]
        + ["left over: " + made.index_path.name + ": not there; it is made anew when it is needed"] * 0
    )
    assert check(made) == []  # nobody can tell


def test_files_that_are_missing(tmp_path: Path) -> None:
    made, following = segment(tmp_path, 1, [10, 10], batch(10)), segment(tmp_path, 5, [16, 19])
    index(made)
    assert check(made, following) == [
        f"{ONE}: what follows is missing, numbers 2 to 4; lost: 12 to 15 of partition 0, 10 to 18 of partition 1"
    ]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (batch(11), "a batch that has offset 11 of partition 0 once more"),
        (batch(12, partition=2), "a batch of partition 2: the topic has 2"),
        (batch(12, span=4), "a batch of 2 records that covers 5 offsets"),
        (batch(12, payload=entry(12)), "a batch that has not 2 records"),
        (batch(12, payload=entry(12) + entry(13) + entry(14)), "a batch that has not 2 records"),
        (batch(12, payload=entry(12) + b"\x22\xff"), "a batch that has not 2 records"),
        (batch(12, payload=entry(12) + entry(14)), "the record at offset 13 of partition 0 says 14"),
        (batch(12, payload=entry(12) + entry(13, 6)), "the record at offset 13 of partition 0 is later than its batch"),
    ],
    ids=range(8),
)
def test_batches_whose_checksums_are_right(tmp_path: Path, broken: bytes, problem: str) -> None:
    made = segment(tmp_path, 1, [10, 10], batch(10), broken)
    assert check(made) == [f"{ONE}, bytes {START + SIZE} to {START + SIZE + len(broken)}: {problem}"]


def test_offsets_without_damage_beside_them(tmp_path: Path) -> None:
    made = segment(tmp_path, 1, [10, 10], batch(10), batch(15))
    assert check(made) == [f"{ONE}: records are missing; lost: 12 to 14 of partition 0"]


def test_a_next_file_that_begins_too_early(tmp_path: Path) -> None:
    made, following = segment(tmp_path, 1, [10, 10], batch(10), batch(12)), segment(tmp_path, 2, [13, 10])
    assert check(made, following) == [f"{ONE}: partition 0 ends at 14, and goes on at 13 in the next file"]


def test_a_head_of_another_file(tmp_path: Path) -> None:
    made = segment(tmp_path, 1, [10, 10], batch(10))
    index(made)
    made.path = made.path.rename(tmp_path / "00000000000000000004.log")
    assert check(made) == [f"{made.path.name}, bytes 0 to {START}: the head is of number 1"]


def test_an_index_that_is_not_right(tmp_path: Path) -> None:
    made, following = segment(tmp_path, 1, [10, 10], batch(10), batch(12)), segment(tmp_path, 2, [14, 10])
    index(made)
    assert check(made, following) == []
    data = bytearray(made.index_path.read_bytes())
    for position in range(len(data)):
        data[position] ^= 1
        made.index_path.write_bytes(data)
        data[position] ^= 1
        (line,) = check(made, following)
        assert line.endswith("its index knows of more") or line.startswith(f"{made.index_path.name}: not what the")


def test_a_write_that_was_not_finished_is_no_damage(tmp_path: Path) -> None:
    made = segment(tmp_path, 1, [10, 10], batch(10), batch(12, synced=START + SIZE), batch(14)[:-3])
    (line,) = check(made)
    assert line.startswith(f"left over: {ONE}, bytes {START + 2 * SIZE} to {made.size}: being written")
    torn = batch(12)[:-1] + b"?"
    made = segment(tmp_path, 1, [10, 10], batch(10), torn, batch(14, synced=START + 2 * SIZE))
    (line,) = check(made)
    assert line == f"{ONE}, bytes {START + SIZE} to {START + 2 * SIZE}: damaged; lost: 12 to 13 of partition 0"
