"""HPACK: the examples of RFC 7541, another implementation as the judge, and blocks that want to hurt."""

from __future__ import annotations

import pytest
from hpack import Decoder as OtherDecoder
from hpack import Encoder as OtherEncoder
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire import hpack
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode

LIST_BYTES = 65_536
FIRST_DYNAMIC, SECOND_DYNAMIC = b"\xbe", b"\xbf"


def literal(name: bytes, value: bytes, *, keep: bool = False) -> bytes:
    """A field in full; with `keep` one that enters the dynamic table."""
    kind = b"\x40" if keep else b"\x00"
    return kind + b"".join(hpack._encoded_integer(len(text), 7) + text for text in (name, value))


LARGE_ENTRY = literal(b"a", b"v" * 4_000, keep=True)

names = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=40).map(str.encode)
header_lists = st.lists(st.tuples(names, st.binary(max_size=300)), max_size=20)


def decoder() -> hpack.Decoder:
    return hpack.Decoder(LIST_BYTES)


def pairs(fields: list[tuple[bytes, bytes, int]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value, _ in fields]


def fault_of(one: hpack.Decoder, block: bytes) -> ErrorCode | None:
    """Which fault a block is; None if it is none. Nothing else ever comes out of a decoder."""
    try:
        one.decode(block)
    except ConnectionFault as fault:
        return fault.code
    return None


def code_of(block: bytes, *before: bytes) -> ErrorCode | None:
    """Which fault a block is, after other blocks on the same connection."""
    one = decoder()
    for block_before in before:
        one.decode(block_before)
    return fault_of(one, block)


# ---------------------------------------------------------------- RFC 7541, appendix C


def test_c_2_each_kind_of_field() -> None:
    assert pairs(decoder().decode(bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572"))) == [
        (b"custom-key", b"custom-header")
    ]
    assert pairs(decoder().decode(bytes.fromhex("040c2f73616d706c652f70617468"))) == [(b":path", b"/sample/path")]
    assert pairs(decoder().decode(bytes.fromhex("100870617373776f726406736563726574"))) == [(b"password", b"secret")]
    assert pairs(decoder().decode(b"\x82")) == [(b":method", b"GET")]


@pytest.mark.parametrize(
    "blocks",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
    ids=["C.3", "C.4 with Huffman"],
)
def test_c_3_and_c_4_requests_on_one_connection(blocks: tuple[str, ...]) -> None:
    one = decoder()
    get = [(b":method", b"GET")]
    example = [(b":authority", b"www.example.com")]
    http, root = [(b":scheme", b"http")], [(b":path", b"/")]
    expected = [
        get + http + root + example,
        get + http + root + example + [(b"cache-control", b"no-cache")],
        [*get, (b":scheme", b"https"), (b":path", b"/index.html"), *example, (b"custom-key", b"custom-value")],
    ]
    assert [pairs(one.decode(bytes.fromhex(block))) for block in blocks] == expected


# ---------------------------------------------------------------- against another implementation


@given(st.lists(header_lists, max_size=4), st.booleans())
def test_what_another_encoder_writes_is_read(lists: list[list[tuple[bytes, bytes]]], huffman: bool) -> None:
    theirs, ours = OtherEncoder(), decoder()
    for fields in lists:
        assert pairs(ours.decode(theirs.encode(fields, huffman=huffman))) == fields


@given(header_lists, st.sampled_from([0, 60, 200, 4_096]), header_lists)
def test_a_smaller_table_is_followed(
    before: list[tuple[bytes, bytes]], size: int, after: list[tuple[bytes, bytes]]
) -> None:
    theirs, ours = OtherEncoder(), decoder()
    ours.decode(theirs.encode(before))
    theirs.header_table_size = size
    assert pairs(ours.decode(theirs.encode(after))) == after


@given(st.lists(header_lists, max_size=3))
def test_another_decoder_reads_what_we_write(lists: list[list[tuple[bytes, bytes]]]) -> None:
    theirs = OtherDecoder()
    for fields in lists:
        assert [tuple(field) for field in theirs.decode(hpack.encode(fields), raw=True)] == fields


@given(header_lists)
def test_a_block_means_the_same_to_everybody(fields: list[tuple[bytes, bytes]]) -> None:
    block = hpack.encode(fields)
    busy = decoder()
    busy.decode(LARGE_ENTRY)
    assert pairs(busy.decode(block)) == pairs(decoder().decode(block)) == fields


def test_the_fields_of_every_call_are_one_byte() -> None:
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":scheme", b"https"), (b":status", b"200")]
    assert hpack.encode(fields) == b"\x83\x86\x87\x88"


def test_long_values_are_not_cached() -> None:
    before = hpack._cached_field.cache_info().currsize
    hpack.encode([(b"authorization", b"x" * 5_000)])
    assert hpack._cached_field.cache_info().currsize == before


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # the first dynamic entry, where none is
        b"\xff\x80\x01",  # index 255
        b"\x7e\x01v",  # the name of an entry that is not there
        b"\x40\x01a",  # a name, and no value: what panics elsewhere
        b"\x40",
        b"\x00\x05ab",  # half a string
        b"\x00\x01a\x7f",  # half an integer
        b"\xff",
        b"\x00\x01a\x81\x18",  # Huffman padding of zeros
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x88\x20",  # a table size update behind a field
        hpack.encode([(b"k", bytes(70_000))]) + b"\x20",  # and behind one that is too large for the list
    ],
)
def test_a_malformed_block_is_a_compression_error(block: bytes) -> None:
    assert code_of(block) is ErrorCode.COMPRESSION_ERROR


def test_every_cut_of_a_block_is_whole_fields_or_refused() -> None:
    fields = [literal(b"a", b"b" * 200), literal(b"name", b"value", keep=True), b"\x83"]
    block = b"".join(fields)
    whole = {sum(map(len, fields[:count])) for count in range(3)}
    for stop in range(len(block)):
        assert code_of(block[:stop]) is (None if stop in whole else ErrorCode.COMPRESSION_ERROR)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_a_header_list_or_a_fault(blocks: list[bytes]) -> None:
    one = decoder()
    assert {fault_of(one, block) for block in blocks} <= {None, ErrorCode.COMPRESSION_ERROR}


def test_table_size_updates_may_start_a_block() -> None:
    one = decoder()
    one.decode(LARGE_ENTRY)
    assert pairs(one.decode(b"\x20\x3f\xe1\x1f\x88")) == [(b":status", b"200")]
    with pytest.raises(ConnectionFault):
        one.decode(FIRST_DYNAMIC)  # emptied by the first update


def test_an_entry_larger_than_the_table_empties_it() -> None:
    one = decoder()
    one.decode(LARGE_ENTRY)
    assert len(one.decode(FIRST_DYNAMIC)) == 1
    one.decode(literal(b"b", b"v" * 4_096, keep=True))
    with pytest.raises(ConnectionFault):
        one.decode(FIRST_DYNAMIC)


def test_the_oldest_entries_make_room() -> None:
    one = decoder()
    for value in (b"1", b"2", b"3"):
        one.decode(literal(b"x", value * 1_500, keep=True))
    assert [field[1][:1] for field in one.decode(FIRST_DYNAMIC + SECOND_DYNAMIC)] == [b"3", b"2"]
    with pytest.raises(ConnectionFault):
        one.decode(b"\xc0")


# ---------------------------------------------------------------- bombs


def test_a_list_that_is_too_large_keeps_the_table_in_step() -> None:
    one = decoder()
    large = [literal(b"a", b"v" * LIST_BYTES), literal(b"key", b"value", keep=True), b"\x80"]
    assert one.decode(b"".join(large[:2])) is None
    assert pairs(one.decode(FIRST_DYNAMIC)) == [(b"key", b"value")]
    assert fault_of(one, b"".join(large)) is ErrorCode.COMPRESSION_ERROR


def test_a_bomb_of_indexed_fields_is_stopped_at_the_list_limit() -> None:
    assert code_of(FIRST_DYNAMIC * 16_000, LARGE_ENTRY) is ErrorCode.ENHANCE_YOUR_CALM


def test_empty_fields_count_too() -> None:
    assert decoder().decode(b"\x00\x00\x00" * (LIST_BYTES // 32 + 1)) is None
    assert code_of(b"\x00\x00\x00" * (16 * LIST_BYTES // 32 + 1)) is ErrorCode.ENHANCE_YOUR_CALM
    assert len(decoder().decode(b"\x00\x00\x00" * (LIST_BYTES // 32))) == LIST_BYTES // 32


def test_the_limit_is_exact() -> None:
    value = LIST_BYTES - 33
    assert len(decoder().decode(literal(b"a", b"v" * value))) == 1
    assert decoder().decode(literal(b"a", b"v" * (value + 1))) is None


@pytest.mark.parametrize("start", [b"\xff", b"\x7f", b"\x3f", b"\x0f", b"\x00\x7f"])
@pytest.mark.parametrize("more", [b"\xff", b"\x80"])
def test_integers_without_end_are_cut_off(start: bytes, more: bytes) -> None:
    assert code_of(start + more * 60_000 + b"\x00") is ErrorCode.COMPRESSION_ERROR


@given(st.integers(0, 2**35), st.integers(1, 8))
def test_integers_round_trip(value: int, bits: int) -> None:
    assert hpack._integer(hpack._encoded_integer(value, bits), 0, bits)[0] == value
