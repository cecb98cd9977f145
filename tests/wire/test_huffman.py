"""HPACK's Huffman code, against another implementation and against strings that are wrong."""

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire import huffman

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=200))
def test_what_another_encoder_writes_is_read(text: bytes) -> None:
    assert huffman.decode(ENCODER.encode(text)) == text


@pytest.mark.parametrize("symbol", range(256))
def test_every_symbol_at_every_bit_offset(symbol: int) -> None:
    for before in range(8):  # each "0" moves what follows by five bits
        text = b"0" * before + bytes((symbol,)) * 2 + b"0"
        assert huffman.decode(ENCODER.encode(text)) == text


def test_the_empty_string() -> None:
    assert huffman.decode(b"") == b""


@pytest.mark.parametrize(
    "wrong",
    [
        b"\xff",  # eight bits of padding: a byte too many
        ENCODER.encode(b"0000 0") + b"\xff",
        b"\x18",  # "a" and three zeros of padding
        b"\xff\xff\xff\xff",  # the end-of-string symbol
        b"\xff\xff\xff\xfc\x1f\xff",  # in the middle of a string
        b"\xfe",  # half a symbol
    ],
)
def test_wrong_padding_and_the_end_symbol_are_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="Huffman"):
        huffman.decode(wrong)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_string_or_refused(garbage: bytes) -> None:
    try:
        text = huffman.decode(garbage)
    except ValueError:
        return
    assert ENCODER.encode(text) == garbage


def test_a_long_string_is_not_cached() -> None:
    before = huffman._decode_cached.cache_info().currsize
    assert huffman.decode(ENCODER.encode(b"Z" * 1000)) == b"Z" * 1000
    assert huffman._decode_cached.cache_info().currsize == before
