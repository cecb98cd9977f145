"""Entries: records in the form in which they are stored and served.

An entry is the wire form of one element of `takhin.v1.ConsumeMessagesResponse.records`, offset and partition included:

    22 | varint size | serialized takhin.v1.Record

So a response is its head and a slice of what is stored. Nothing here parses a record; what compaction and a look-up by
time need of one (key, timestamp) is picked out by its tags (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

TAG: Final = 0x22  # field 4, length-delimited
_KEY_TAG: Final = 0x0A  # Record.key: field 1, length-delimited
_VALUE_TAG: Final = 0x12  # Record.value: field 2, length-delimited
_TIMESTAMP_TAG: Final = 0x20  # Record.timestamp: field 4, varint
_OFFSET_TAG: Final = 0x28  # Record.offset: field 5, varint
# Wire types, the lowest three bits of a tag.
_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
# Sizes whose prefixes are made once: records are mostly small, and often of one size.
_KNOWN_SIZES: Final = 16_384


def varint(number: int) -> bytes:
    """A number from 0 up, seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_PREFIXES: Final = [bytes((TAG,)) + varint(size) for size in range(_KNOWN_SIZES)]


def prefix(size: int) -> bytes:
    """What stands before a serialized record of this size."""
    return _PREFIXES[size] if size < _KNOWN_SIZES else bytes((TAG,)) + varint(size)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position behind it.

    Raises:
        IndexError: The data ends before the number does.
    """
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7


def end_of(data: bytes, position: int) -> int:
    """The position behind the entry that begins at a position."""
    size = data[position + 1]
    if size < 0x80:
        return position + 2 + size
    size, position = read_varint(data, position + 1)
    return position + size


def skip(data: bytes, position: int, count: int) -> int:
    """The position behind `count` entries."""
    for _ in range(count):
        position = end_of(data, position)
    return position


def fit(data: bytes, position: int, room: int) -> tuple[int, int]:
    """How many whole entries fit into `room` bytes, and the position behind them; at least one."""
    total, count = len(data), 0
    limit = position + room
    while position < total:
        end = end_of(data, position)
        if end > limit and count:
            break
        position = end
        count += 1
    return count, position


def split(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each entry begins and ends."""
    position, total = 0, len(data)
    while position < total:
        end = end_of(data, position)
        yield position, end
        position = end


def key_of(data: bytes, position: int) -> bytes:
    """The key of the record whose entry begins at a position; empty without one."""
    size, start = data[position + 1], position + 2
    if size >= 0x80:
        size, start = read_varint(data, position + 1)
    if size > 1 and data[start] == _KEY_TAG:  # the usual place: fields are serialized in their order
        end = start + 2 + data[start + 1]
        if data[start + 1] < 0x80 and end <= start + size:
            return data[start + 2 : end]
    for tag, start, end in _fields(data, position):
        if tag == _KEY_TAG:
            return data[start:end]
    return b""


def has_value(data: bytes, position: int) -> bool:
    """Whether it has a value, and not an empty one."""
    return any(tag == _VALUE_TAG and end > start for tag, start, end in _fields(data, position))


def timestamp_of(data: bytes, position: int) -> int:
    """Its timestamp, Unix ms."""
    return _number(data, position, _TIMESTAMP_TAG)


def offset_of(data: bytes, position: int) -> int:
    """Its offset."""
    return _number(data, position, _OFFSET_TAG)


def _number(data: bytes, position: int, wanted: int) -> int:
    value = 0
    for tag, start, _ in _fields(data, position):
        if tag == wanted:
            value = read_varint(data, start)[0]
    return value


def _fields(data: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Tag, begin and end of each field of the record whose entry begins at a position."""
    size, position = read_varint(data, position + 1)
    end = position + size
    while position < end:
        tag, position = read_varint(data, position)
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            length, position = read_varint(data, position)
            behind = position + length
        elif kind == _VARINT:
            behind = read_varint(data, position)[1]
        else:  # a group's begin and end have no value of their own
            behind = position + _FIXED_BYTES.get(kind, 0)
        yield tag, position, behind
        position = behind
