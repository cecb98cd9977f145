"""Entries are what a client reads as a response's records, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.eventlog import entries
from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesResponse, Record, RecordHeader

int64s = st.integers(0, 2**63 - 1)
record_values = st.builds(
    Record,
    key=st.binary(max_size=300),
    value=st.binary(max_size=300),
    headers=st.lists(st.builds(RecordHeader, key=st.text(max_size=9), value=st.binary(max_size=9)), max_size=3),
    timestamp=int64s,
    offset=int64s,
    partition=st.integers(0, 10_000),
)
several = st.lists(record_values, min_size=1, max_size=8)


def entry(record: Record) -> bytes:
    data = record.SerializeToString()
    return entries.prefix(len(data)) + data


@given(several)
def test_entries_are_a_responses_records(records: list[Record]) -> None:
    data = b"".join(map(entry, records))
    assert data == ConsumeMessagesResponse(records=records).SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 10_485_760])
def test_a_prefix_is_the_tag_and_the_size(size: int) -> None:
    head = entries.prefix(size)
    assert head[0] == entries.TAG
    assert entries.read_varint(head, 1) == (size, len(head))
    assert entries.end_of(head + bytes(8), 0) == len(head) + size


@given(int64s)
def test_a_varint_is_read_as_it_was_written(number: int) -> None:
    data = entries.varint(number)
    assert entries.read_varint(b"x" + data + b"y", 1) == (number, 1 + len(data))


def test_a_varint_without_an_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        entries.read_varint(b"\x80\x80", 0)


@given(several)
def test_fields_are_picked_out_without_parsing(records: list[Record]) -> None:
    data = b"".join(map(entry, records))
    ranges = list(entries.split(data))
    assert [data[begin:end] for begin, end in ranges] == [entry(record) for record in records]
    for (begin, _), record in zip(ranges, records, strict=True):
        assert entries.key_of(data, begin) == record.key
        assert entries.timestamp_of(data, begin) == record.timestamp
        assert entries.offset_of(data, begin) == record.offset


def test_fields_of_later_clients_are_skipped() -> None:
    unknown = bytes.fromhex("a106 0102030405060708 a506 01020304 aa06 03 616263 a006 8001")  # 100: fixed64, 32, ...
    data = unknown + Record(key=b"k", timestamp=7, offset=9).SerializeToString() + unknown
    data = entries.prefix(len(data)) + data
    assert (entries.key_of(data, 0), entries.timestamp_of(data, 0), entries.offset_of(data, 0)) == (b"k", 7, 9)


@given(several, st.data())
def test_skip_and_fit_stop_at_entries_ends(records: list[Record], data: st.DataObject) -> None:
    sizes = [len(entry(record)) for record in records]
    stored = b"".join(map(entry, records))
    first = data.draw(st.integers(0, len(records) - 1))
    begin = entries.skip(stored, 0, first)
    assert begin == sum(sizes[:first])
    room = data.draw(st.integers(0, len(stored)))
    count, end = entries.fit(stored, begin, room)
    assert end == begin + sum(sizes[first : first + count])
    assert count == 1 or end - begin <= room
    assert first + count == len(records) or end - begin + sizes[first + count] > room
