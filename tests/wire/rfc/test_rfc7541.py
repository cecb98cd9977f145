"""RFC 7541 (HPACK): its rules for a decoder, its own examples, and what our encoder promises; sections in the names."""

from __future__ import annotations

import pytest

from ride_trio.wire import ErrorCode, hpack
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import SETTINGS, frame, settings_frame
from ride_trio.wire.headers import RequestHead
from tests.wire import peers

LIST_BYTES = 65_536


def decoded(*blocks: str | bytes) -> list[tuple[bytes, bytes]]:
    """The last one's fields, after those before it on the same connection."""
    decoder = hpack.Decoder(LIST_BYTES)
    fields = None
    for block in blocks:
        fields = decoder.decode(bytes.fromhex(block) if isinstance(block, str) else block)
    assert fields is not None
    return [(name, value) for name, value, _ in fields]


def fault(*blocks: str) -> ErrorCode:
    with pytest.raises(ConnectionFault) as caught:
        decoded(*blocks)
    return caught.value.code


REQUESTS = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"www.example.com"),
]
RESPONSES = [
    (b"cache-control", b"private"),
    (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
    (b"location", b"https://www.example.com"),
]


def test_7541_2_3_2_the_dynamic_table_is_first_in_first_out() -> None:
    assert decoded("400161 0131", "400162 0132", "be bf") == [(b"b", b"2"), (b"a", b"1")]


def test_7541_2_3_2_duplicates_are_no_error() -> None:
    assert decoded("400161 0131" * 2, "be bf") == [(b"a", b"1")] * 2


def test_7541_2_3_3_an_index_beyond_both_tables_is_an_error() -> None:
    assert fault("bf") is ErrorCode.COMPRESSION_ERROR
    assert fault("400161 0131", "bf") is ErrorCode.COMPRESSION_ERROR


def test_7541_4_1_an_entry_is_32_bytes_larger_than_its_text() -> None:
    decoder = hpack.Decoder(LIST_BYTES)
    decoder.decode(bytes.fromhex("3f31") + bytes.fromhex("400161 0131") * 2)  # a table of 80 bytes: two of 34
    assert len(decoder.decode(b"\xbe\xbf") or ()) == 2
    decoder.decode(bytes.fromhex("4001620132"))
    assert [value for _, value, _ in decoder.decode(b"\xbe\xbf") or ()] == [b"2", b"1"]
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xc0")


def test_7541_4_2_a_table_may_not_be_made_larger_than_announced() -> None:
    assert decoded("3fe11f 88") == [(b":status", b"200")]  # 4,096
    assert fault("3fe21f 88") is ErrorCode.COMPRESSION_ERROR  # 4,097


def test_7541_4_2_a_change_of_size_stands_at_a_blocks_beginning() -> None:
    assert decoded("20 3f31 88") == [(b":status", b"200")]  # several there
    assert fault("88 20") is ErrorCode.COMPRESSION_ERROR


def test_7541_4_2_our_encoder_says_when_its_peer_allows_less() -> None:
    connection = peers.client()
    peers.receive(connection, settings_frame({1: 0}))
    peers.sent(connection)
    connection.open(RequestHead("/a/b", authority="test"))
    (first,) = peers.sent(connection)
    assert first.payload[:1] == b"\x20"
    connection.open(RequestHead("/a/b", authority="test"))
    (second,) = peers.sent(connection)
    assert second.payload == first.payload[1:]


def test_7541_4_2_a_table_that_was_smaller_for_a_moment_is_told_of() -> None:
    connection = peers.client()
    peers.receive(connection, frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0\0\1\0\0\x10\0"))  # 0, and 4,096 again
    peers.sent(connection)
    connection.open(RequestHead("/a/b", authority="test"))
    (first,) = peers.sent(connection)
    assert first.payload[:1] == b"\x20"


def test_7541_4_3_a_smaller_table_drops_the_oldest() -> None:
    decoder = hpack.Decoder(LIST_BYTES)
    decoder.decode(bytes.fromhex("400161 0131 400162 0132"))
    decoder.decode(bytes.fromhex("3f03"))  # 34 bytes: one
    assert [value for _, value, _ in decoder.decode(b"\xbe") or ()] == [b"2"]
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xbf")


def test_7541_4_4_an_entry_larger_than_the_table_empties_it_and_is_no_error() -> None:
    decoder = hpack.Decoder(LIST_BYTES)
    decoder.decode(bytes.fromhex("3f11 4001610131"))  # 48 bytes
    value = b"v" * 40
    fields = decoder.decode(b"\x40\x01b" + bytes((len(value),)) + value)
    assert [value for _, value, _ in fields or ()] == [value]
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xbe")


def test_7541_4_4_a_name_may_come_from_an_entry_that_has_to_make_room() -> None:
    decoder = hpack.Decoder(LIST_BYTES)
    decoder.decode(bytes.fromhex("3f04 4001610131"))  # 35 bytes: one
    fields = decoder.decode(bytes.fromhex("7e 0132"))
    assert [(name, value) for name, value, _ in fields or ()] == [(b"a", b"2")]
    assert [value for _, value, _ in decoder.decode(b"\xbe") or ()] == [b"2"]


@pytest.mark.parametrize("length", ["7f8000", "7f808000"])
def test_7541_5_1_an_integer_may_be_written_longer_than_it_has_to_be(length: str) -> None:
    assert decoded("000161" + length + "62" * 127) == [(b"a", b"b" * 127)]


def test_7541_5_1_the_examples_of_integers() -> None:
    """Appendix C.1: 10 and 1337 with a prefix of five bits, 42 with eight."""
    assert [hpack._encoded_integer(*pair).hex() for pair in ((10, 5), (1337, 5), (42, 8))] == ["0a", "1f9a0a", "2a"]
    for block, bits, value in (("0a", 5, 10), ("1f9a0a", 5, 1337), ("2a", 8, 42)):
        assert hpack._integer(bytes.fromhex(block), 0, bits) == (value, len(block) // 2)


def test_7541_5_1_integers_that_are_too_long_are_an_error() -> None:
    assert fault("ff" + "80" * 20 + "00") is ErrorCode.COMPRESSION_ERROR
    assert fault("ff" + "ff" * 20 + "00") is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("0001618118", "padding that is not the end symbol's bits"),
        ("000161821fff", "more than 7 bits of padding"),
        ("00016184ffffffff", "the end symbol itself"),
        ("00016185ffffffff00", "the end symbol, and something behind it"),
    ],
)
def test_7541_5_2_huffman_strings_that_are_errors(block: str, why: str) -> None:
    assert fault(block) is ErrorCode.COMPRESSION_ERROR, why


@pytest.mark.parametrize("block", ["000161", "00016103", "0001610361", "00016184ff", "0003", "00"])
def test_7541_5_2_a_string_that_is_longer_than_its_block_is_an_error(block: str) -> None:
    assert fault(block) is ErrorCode.COMPRESSION_ERROR


def test_7541_6_1_index_0_is_an_error() -> None:
    assert fault("80") is ErrorCode.COMPRESSION_ERROR


def test_7541_6_2_1_a_literal_with_indexing_is_a_field_and_a_new_entry() -> None:
    assert decoded("400161 0131") == [(b"a", b"1")]
    assert decoded("400161 0131", "be") == [(b"a", b"1")]


@pytest.mark.parametrize("kind", ["7e", "0f2f", "1f2f"], ids=["6.2.1", "6.2.2", "6.2.3"])
def test_7541_6_2_a_literals_name_may_be_one_of_either_table(kind: str) -> None:
    assert decoded("400161 0131", kind + "0132") == [(b"a", b"2")]
    static = {"7e": "44", "0f2f": "04", "1f2f": "14"}[kind]
    assert decoded(static + "022f61") == [(b":path", b"/a")]


@pytest.mark.parametrize("kind", ["7e", "0f2f", "1f2f"], ids=["6.2.1", "6.2.2", "6.2.3"])
def test_7541_6_2_a_literals_name_that_is_in_neither_table_is_an_error(kind: str) -> None:
    assert fault(kind + "0132") is ErrorCode.COMPRESSION_ERROR


def test_7541_6_2_2_a_literal_without_indexing_changes_no_table() -> None:
    assert fault("0001610131", "be") is ErrorCode.COMPRESSION_ERROR


def test_7541_6_2_3_a_literal_that_is_never_indexed_neither() -> None:
    assert decoded("1001610131") == [(b"a", b"1")]
    assert fault("1001610131", "be") is ErrorCode.COMPRESSION_ERROR


def test_7541_6_3_a_table_of_0_is_empty_and_may_grow_again() -> None:
    assert fault("400161 0131", "20", "be") is ErrorCode.COMPRESSION_ERROR
    assert fault("20 400161 0131", "be") is ErrorCode.COMPRESSION_ERROR
    assert decoded("400161 0131", "20 3fe11f 400162 0132", "be") == [(b"b", b"2")]


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [(b"custom-key", b"custom-header")]),
        ("040c2f73616d706c652f70617468", [(b":path", b"/sample/path")]),
        ("100870617373776f726406736563726574", [(b"password", b"secret")]),
        ("82", [(b":method", b"GET")]),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"],
)
def test_7541_c_2_each_representation(block: str, fields: list[tuple[bytes, bytes]]) -> None:
    assert decoded(block) == fields


C_3 = ("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865")
C_4 = ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf")


@pytest.mark.parametrize("blocks", [C_3, C_4], ids=["C.3", "C.4"])
def test_7541_c_3_c_4_requests(blocks: tuple[str, str]) -> None:
    assert decoded(blocks[0]) == REQUESTS
    assert decoded(*blocks) == [*REQUESTS, (b"cache-control", b"no-cache")]


C_5 = (
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768"
    "747470733a2f2f7777772e6578616d706c652e636f6d"
)
C_6 = "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3"


@pytest.mark.parametrize(
    ("first", "second"), [(C_5, "4803333037c1c0bf"), (C_6, "4883640effc1c0bf")], ids=["C.5", "C.6"]
)
def test_7541_c_5_c_6_responses(first: str, second: str) -> None:
    assert decoded("3fe101" + first) == [(b":status", b"302"), *RESPONSES]  # a table of 256 bytes
    assert decoded("3fe101" + first, second) == [(b":status", b"307"), *RESPONSES]


def test_7541_7_1_3_what_we_send_is_never_put_into_a_table() -> None:
    """So nobody can guess what a header is from how long a block became."""
    block = hpack.encode([(b"authorization", b"Bearer x"), (b"authorization", b"Bearer x")])
    assert decoded(block) == [(b"authorization", b"Bearer x")] * 2
    assert block[: len(block) // 2] == block[len(block) // 2 :]
