"""Header compression (RFC 7541): a decoder, and an encoder that keeps no state.

The decoder is ours because no library's would do: a panic in a native one is no exception that a server could catch
(`jh2` panics on a block that ends where a value should begin: one frame from anybody ends the process), and the pure
Python ones are slower than this and allow slow-decode attacks. A request like the one before is ten table look-ups,
2.5 us, what the native decoder takes. Integers are cut off after five bytes, strings cost the same a byte whatever is
in them, and entries of the tables are shared, never copied.

For sending, every field is a "literal without indexing" (section 6.2.2) or one of a few static-table entries, so a
block means the same wherever and whenever it is sent: it can be built once, cached and shared between connections.
That costs some bytes a call and saves all encoder state; a long-lived stream sends two blocks in its life.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ride_trio.wire import huffman
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.hpack_static import STATIC_ENTRIES, STATIC_TABLE, Field, field

Header = tuple[bytes, bytes]

# SETTINGS_HEADER_TABLE_SIZE, which we leave at its default.
TABLE_BYTES: Final = 4_096
# The byte of an indexed field for the last entry of the static table; the dynamic table begins behind it.
_LAST_STATIC: Final = 0x80 | STATIC_ENTRIES
# Five bytes hold 2^35: more than anything that fits into a frame.
_LARGEST_SHIFT: Final = 28

# RFC 7541, appendix A: the indexed entries that gRPC uses whole.
_STATIC: Final[dict[Header, bytes]] = {
    (b":method", b"POST"): b"\x83",
    (b":scheme", b"http"): b"\x86",
    (b":scheme", b"https"): b"\x87",
    (b":status", b"200"): b"\x88",
}
# A process talks to few methods, peers and statuses; what varies (user ids) is not worth remembering beyond this.
_CACHED_FIELDS: Final = 1024
# Longer values are tokens and status details: each its own, and too large to keep a thousand of.
_LONGEST_CACHED_BYTES: Final = 256

# "Dynamic table size update" to 0 (section 6.3): has to start our next block when the peer makes its table smaller.
TABLE_SIZE_0: Final = b"\x20"
# A list so many times larger than allowed is made of references to large entries: a bomb. Up to there the decoder goes
# on, because the table has to stay in step; this bounds what that costs: 25,000 fields, 2 ms, with the usual 64 KiB.
_BOMB_LISTS: Final = 16
# Of blocks made of references alone, so many short ones are remembered whole: a client's calls mostly begin alike.
_KNOWN_BLOCKS: Final = 16
_LONGEST_KNOWN_BYTES: Final = 32


class FieldList(list[Field]):
    """A decoded header list.

    Attributes:
        read: What somebody has made of it; the same list comes again when the same block does.
    """

    __slots__ = ("read",)

    def __init__(self) -> None:
        super().__init__()
        self.read: object = None


class Decoder:
    """Decodes the header blocks of one connection, in order.

    Args:
        max_list_bytes: Largest decoded header list (sum of name + value + 32 a field, RFC 9113 section 6.5.2).
    """

    __slots__ = ("_known", "_limit", "_max_list_bytes", "_size", "_table")

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._table: list[Field] = []  # the dynamic table, its newest entry last
        self._size = 0
        self._limit = TABLE_BYTES
        self._known: dict[bytes, FieldList] = {}  # by block; they mean the same until the table changes

    def decode(self, block: bytes) -> FieldList | None:
        """The fields of a block, in order; None if the list is larger than allowed.

        Raises:
            ConnectionFault: The block is malformed or a bomb; the table is lost with it.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            return self._decode(block)
        except IndexError:
            raise _broken("a header block that ends inside a field, or an index of nothing") from None
        except ValueError as error:
            raise _broken(str(error)) from None

    def _decode(self, block: bytes) -> FieldList | None:
        fields, constant = FieldList(), len(block) <= _LONGEST_KNOWN_BYTES
        position, end, room, table = 0, len(block), self._max_list_bytes, self._table
        most = room - room * _BOMB_LISTS
        while position < end:
            byte = block[position]
            if 0x80 < byte < 0xFF:  # most fields: an entry whose index fits into the byte
                position += 1
                entry = STATIC_TABLE[byte & 0x7F] if byte <= _LAST_STATIC else table[_LAST_STATIC - byte]
            elif byte & 0x80:
                index, position = _integer(block, position, 7)
                entry = self._entry(index)
            elif byte & 0x40:
                entry, position = self._literal(block, position, 6)
                self._insert(entry)
                constant = False
            elif byte & 0x20:
                if room < self._max_list_bytes:
                    raise ValueError("a table size update after the first field of a header block")
                position = self._resize(block, position)
                constant = False
                continue
            else:
                entry, position = self._literal(block, position, 4)
            room -= entry[2]
            if room >= 0:
                fields.append(entry)
            elif room < most:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list far too large")
        if constant and room >= 0 and len(self._known) < _KNOWN_BLOCKS:
            self._known[block] = fields
        return fields if room >= 0 else None

    def _entry(self, index: int) -> Field:
        place = index - STATIC_ENTRIES
        if place > len(self._table) or index == 0:
            raise ValueError(f"header table index {index}, where nothing is")
        return STATIC_TABLE[index] if place <= 0 else self._table[-place]

    def _literal(self, block: bytes, position: int, index_bits: int) -> tuple[Field, int]:
        index, position = _integer(block, position, index_bits)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return field(name, value), position

    def _insert(self, entry: Field) -> None:
        """Add to the dynamic table; an entry larger than the table empties it (section 4.4)."""
        self._known.clear()
        self._table.append(entry)
        self._size += entry[2]
        self._evict()

    def _resize(self, block: bytes, position: int) -> int:
        self._limit, position = _integer(block, position, 5)
        if self._limit > TABLE_BYTES:
            raise ValueError(f"a header table of {self._limit} bytes: {TABLE_BYTES} are allowed")
        self._known.clear()
        self._evict()
        return position

    def _evict(self) -> None:
        gone = 0
        while self._size > self._limit:
            self._size -= self._table[gone][2]
            gone += 1
        if gone:
            del self._table[:gone]


def _broken(what: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, what)


def _integer(block: bytes, position: int, prefix_bits: int) -> tuple[int, int]:
    """An integer (section 5.1) and the position behind it."""
    largest = (1 << prefix_bits) - 1
    value = block[position] & largest
    position += 1
    if value < largest:
        return value, position
    for shift in range(0, _LARGEST_SHIFT + 1, 7):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("an integer of more than five bytes")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """A string (section 5.2) and the position behind it."""
    compressed = block[position] & 0x80
    length, start = _integer(block, position, 7)
    stop = start + length
    if stop > len(block):
        raise IndexError
    data = block[start:stop]
    return (huffman.decode(data) if compressed else data), stop


def _encoded_integer(value: int, prefix_bits: int) -> bytes:
    """RFC 7541, section 5.1; the bits above the prefix stay 0."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((value,))
    out = bytearray((limit,))
    value -= limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(name: bytes, value: bytes) -> bytes:
    known = _STATIC.get((name, value))
    if known is not None:
        return known
    return b"\x00" + _encoded_integer(len(name), 7) + name + _encoded_integer(len(value), 7) + value


_cached_field = lru_cache(_CACHED_FIELDS)(_field)


def encode(headers: Iterable[Header]) -> bytes:
    """A header block that no earlier block changes the meaning of."""
    return b"".join(
        [
            _cached_field(name, value) if len(value) <= _LONGEST_CACHED_BYTES else _field(name, value)
            for name, value in headers
        ]
    )
