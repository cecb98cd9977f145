"""What is found in a segment's file, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.eventlog import scan as scan_module
from ride_trio.eventlog.batches import HEADER_BYTES, pack
from ride_trio.eventlog.scan import Found, Gap, read_head, scan
from ride_trio.eventlog.segments import HEAD_START_BYTES
from tests.eventlog.logs import Core, append

HEAD = b"a head, or whatever stands before"


def batch(payload: bytes, base_offset: int = 0) -> bytes:
    return pack(payload, partition=0, count=1, base_offset=base_offset, span=0) + payload


BATCHES = [batch(b"first", 0), batch(b"", 1), batch(b"the third", 2)]
STARTS = [len(HEAD), len(HEAD) + len(BATCHES[0]), len(HEAD) + len(BATCHES[0] + BATCHES[1])]
WHOLE = HEAD + b"".join(BATCHES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def items(path: Path, data: bytes) -> list[Found | Gap]:
    path.write_bytes(data)
    return list(scan(path, len(HEAD)))


def gaps(found: list[Found | Gap]) -> list[tuple[int, int]]:
    return [(item.position, item.end) for item in found if isinstance(item, Gap)]


def bases(found: list[Found | Gap]) -> list[int]:
    return [item.header.base_offset for item in found if isinstance(item, Found)]


def test_all_batches_of_a_whole_file(path: Path) -> None:
    found = items(path, WHOLE)
    assert [item.payload for item in found if isinstance(item, Found)] == [b"first", b"", b"the third"]
    assert [item.position for item in found] == STARTS
    assert found[-1].end == len(WHOLE)


@pytest.mark.parametrize("data", [b"", HEAD[:5], HEAD])
def test_nothing_behind_the_head(path: Path, data: bytes) -> None:
    assert items(path, data) == []


def test_a_file_that_is_cut_has_one_gap_at_its_end(path: Path) -> None:
    for end in range(len(HEAD) + 1, len(WHOLE)):
        found = items(path, WHOLE[:end])
        whole = [start for start, data in zip(STARTS, BATCHES, strict=True) if start + len(data) <= end]
        assert bases(found) == list(range(len(whole)))
        assert gaps(found) == [(start, end) for start in STARTS if start < end and start not in whole]


@given(position=st.integers(len(HEAD), len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_batch_and_no_other(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int):
    data = bytearray(WHOLE)
    data[position] ^= 1 << bit
    found = items(tmp_path_factory.mktemp("scan") / "file", bytes(data))
    number = max(n for n, start in enumerate(STARTS) if start <= position)
    assert bases(found) == [n for n in range(3) if n != number]
    assert gaps(found) == [(STARTS[number], STARTS[number] + len(BATCHES[number]))]


def test_a_damaged_payload_tells_whose_it_was(path: Path) -> None:
    data = bytearray(WHOLE)
    data[-1] ^= 1
    gap = items(path, bytes(data))[-1]
    assert isinstance(gap, Gap)
    assert gap.header is not None
    assert gap.header.base_offset == 2


def test_a_batch_that_a_client_has_put_into_a_record_is_none(path: Path) -> None:
    outer = bytearray(batch(b"a file of segments: " + batch(b"not ours", 77) + b".", 0))
    outer[HEADER_BYTES] ^= 1
    assert bases(items(path, HEAD + bytes(outer) + batch(b"ours", 1))) == [1]
    torn = bytes(outer[:-1])
    assert bases(items(path, HEAD + torn)) == []


@pytest.mark.parametrize("window", [1, 7, HEADER_BYTES, 100])
def test_the_next_batch_is_found_at_any_place_of_a_window(
    path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "_WINDOW_BYTES", window)
    for size in range(120, 140):
        junk = (b"Rt\x01" * size)[:size]
        found = items(path, HEAD + junk + BATCHES[0] + junk)
        assert bases(found) == [0]
        assert gaps(found) == [
            (STARTS[0], len(HEAD) + size),
            (len(HEAD + junk + BATCHES[0]), len(HEAD) + size * 2 + 77),
        ]


async def test_a_head_is_read_or_it_is_none(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    append(topic.partition(1), b"value")
    core.flush()
    path = topic.active.path
    data = path.read_bytes()
    assert read_head(path) == topic.active.head
    path.write_bytes(data[: topic.active.head.size])
    assert read_head(path) == topic.active.head
    for size in (0, 8, HEAD_START_BYTES, topic.active.head.size - 1):
        path.write_bytes(data[:size])
        assert read_head(path) is None


async def test_no_flipped_bit_in_a_head_goes_unseen(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    append(topic.partition(1), b"value")
    core.flush()
    path = topic.active.path
    whole = path.read_bytes()
    for bit in range(topic.active.head.size * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert read_head(path) is None
