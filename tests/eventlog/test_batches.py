"""A batch's header: its layout, and that no flipped bit goes unseen."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.eventlog.batches import HEADER_BYTES, SPARSE, BatchHeader, is_whole, offsets, pack, unpack

PAYLOAD = b"\x22\x03abc" * 3


PLACE = {"partition": 3, "count": 3, "base_offset": 7, "span": 2}
FULL = PLACE | {
    "flags": SPARSE,
    "max_timestamp": 11,
    "producer_id": -12,
    "producer_epoch": 13,
    "base_sequence": 14,
    "synced": 15,
}


def header(**fields: int) -> BatchHeader:
    return BatchHeader(**(dict.fromkeys(BatchHeader._fields, 0) | PLACE | fields))


def test_the_layout_is_as_documented() -> None:
    raw = pack(PAYLOAD, **FULL)
    assert len(raw) == HEADER_BYTES == 72
    values = struct.unpack("<III2sBBIIqIqqiqQ", raw)
    assert values == (crc32c(raw[4:]), crc32c(PAYLOAD), 15, b"Rt", 1, 1, 3, 3, 7, 2, 11, -12, 13, 14, 15)


def test_a_header_is_read_as_it_was_written() -> None:
    data = b"before" + pack(PAYLOAD, **FULL) + PAYLOAD
    found = unpack(data, 6)
    assert found is not None
    assert found[4:] == header(**FULL)[4:]
    assert is_whole(found, PAYLOAD)


def test_offsets_and_entries() -> None:
    assert header(base_offset=7, span=2).end_offset == 10
    assert (header(count=3).entries_at, list(offsets(header(), b""))) == (0, [7, 8, 9])
    sparse = header(count=2, flags=SPARSE, span=9)
    assert (sparse.entries_at, list(offsets(sparse, struct.pack("<II", 0, 5) + PAYLOAD))) == (8, [7, 12])


@given(st.integers(0, HEADER_BYTES * 8 - 1))
def test_no_flipped_bit_in_a_header_goes_unseen(bit: int) -> None:
    raw = bytearray(pack(PAYLOAD, **FULL))
    raw[bit // 8] ^= 1 << bit % 8
    assert unpack(bytes(raw)) is None


@given(st.integers(0, len(PAYLOAD) * 8 - 1))
def test_no_flipped_bit_in_a_payload_goes_unseen(bit: int) -> None:
    found = unpack(pack(PAYLOAD, **FULL))
    payload = bytearray(PAYLOAD)
    payload[bit // 8] ^= 1 << bit % 8
    assert found is not None
    assert not is_whole(found, bytes(payload))


@pytest.mark.parametrize("size", range(len(PAYLOAD)))
def test_a_payload_that_is_cut_is_not_whole(size: int) -> None:
    found = unpack(pack(PAYLOAD, **FULL))
    assert found is not None
    assert not is_whole(found, PAYLOAD[:size])


@pytest.mark.parametrize("data", [b"", pack(PAYLOAD, **FULL)[:-1], bytes(HEADER_BYTES), b"\xff" * HEADER_BYTES])
def test_what_is_no_header(data: bytes) -> None:
    assert unpack(data) is None


def test_only_a_sparse_batch_may_be_empty() -> None:
    assert unpack(pack(b"", **(PLACE | {"count": 0}))) is None
    assert unpack(pack(b"", **(PLACE | {"count": 0, "flags": SPARSE}))) is not None
