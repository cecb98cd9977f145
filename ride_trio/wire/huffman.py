"""The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B), decoded a byte at a time.

The code is canonical: the codes of one length are consecutive numbers in the order of their symbols, and each length
goes on where the shorter one stopped. So the table below, the symbols by length, is the whole of appendix B.

Decoding is an automaton. A state is an inner node of the code's tree (256 of them); a byte leads to another one, and
at most two symbols come out on the way. A state's row of steps is worked out when it is first needed, and then a
byte costs one look-up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_SYMBOLS_BY_BITS: Final = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf"
    b"\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
    b"\xdc\xf9",
    30: b"\n\r\x16",  # and, as the last code of all, the end-of-string symbol, which no string may contain
}
# Padding is the first bits of the end-of-string symbol, all ones, and less than a byte.
_MAX_PADDING_BITS: Final = 7
# Names and short values repeat; longer strings (tokens, ids) do not, and would fill the cache.
_CACHED_STRINGS: Final = 1024
_LONGEST_CACHED_BYTES: Final = 64

# A node of the tree: how many bits lead to it, and which.
_Node = tuple[int, int]
_ROOT: Final = (0, 0)


def _leaves() -> dict[_Node, bytes | None]:
    """The symbol of every complete code; None for end-of-string."""
    leaves: dict[_Node, bytes | None] = {}
    code, length = 0, 0
    for bits, symbols in _SYMBOLS_BY_BITS.items():
        code <<= bits - length
        length = bits
        for symbol in symbols:
            leaves[bits, code] = bytes((symbol,))
            code += 1
    leaves[length, code] = None
    return leaves


# For each byte, the next state's row and the symbols on the way; empty until the state first occurs.
_Row = list["tuple[_Row, bytes]"]


class _Automaton:
    """A row for each inner node, and one for strings that are wrong already."""

    def __init__(self) -> None:
        self._leaves = _leaves()
        self._rows: dict[_Node, _Row] = {
            (bits - up, code >> up): [] for bits, code in self._leaves for up in range(1, bits + 1)
        }
        self._dead: _Row = []
        self._dead += [(self._dead, b"")] * 256
        self.start = self._rows[_ROOT]
        self.ends = frozenset(id(self._rows[bits, (1 << bits) - 1]) for bits in range(_MAX_PADDING_BITS + 1))

    def fill(self, row: _Row) -> None:
        """Work out the steps of an empty row."""
        node = next(node for node, known in self._rows.items() if known is row)
        row += [self._walk(node, byte) for byte in range(256)]

    def _walk(self, node: _Node, byte: int) -> tuple[_Row, bytes]:
        out = b""
        for shift in range(7, -1, -1):
            node = (node[0] + 1, node[1] << 1 | (byte >> shift) & 1)
            if node in self._leaves:
                symbol = self._leaves[node]
                if symbol is None:
                    return self._dead, b""
                out, node = out + symbol, _ROOT
        return self._rows[node], out


_AUTOMATON: Final = _Automaton()


def decode(data: bytes) -> bytes:
    """A string from its Huffman code.

    Raises:
        ValueError: It contains the end-of-string symbol, or its padding is not up to seven ones.
    """
    return _decode_cached(data) if len(data) <= _LONGEST_CACHED_BYTES else _decode(data)


def _decode(data: bytes) -> bytes:
    row, out = _AUTOMATON.start, []
    for byte in data:
        if not row:
            _AUTOMATON.fill(row)
        row, symbols = row[byte]
        out.append(symbols)
    if id(row) not in _AUTOMATON.ends:
        raise ValueError("a string whose Huffman code does not end in up to seven ones")
    return b"".join(out)


_decode_cached = lru_cache(_CACHED_STRINGS)(_decode)
