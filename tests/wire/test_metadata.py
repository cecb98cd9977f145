"""Metadata, timeouts and status messages as header values."""

from __future__ import annotations

import string
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire.errors import LocalError
from ride_trio.wire.fields import check_fields
from ride_trio.wire.hpack_static import field
from ride_trio.wire.metadata import (
    Metadata,
    cut_message,
    decode_field,
    decode_message,
    decode_timeout,
    encode_message,
    encode_metadata,
    encode_timeout,
)

name_text = st.text(string.ascii_lowercase + string.digits + "_-.", min_size=1, max_size=20)
names = name_text.filter(lambda name: not name.endswith("-bin")).map("x".__add__)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=50)
metadata = st.lists(
    st.tuples(names, printable.map(str.strip)) | st.tuples(name_text.map("x{}-bin".format), st.binary(max_size=50))
).map(tuple)


def received(encoded: list[tuple[bytes, bytes]]) -> Metadata:
    return tuple(row for name, value in encoded for row in decode_field(name, value))


@given(metadata)
def test_metadata_round_trips(rows: Metadata) -> None:
    encoded = encode_metadata(rows)
    assert received(encoded) == rows
    check_fields(1, [field(*row) for row in encoded], frozenset())


def test_binary_values_are_base64_without_padding() -> None:
    assert encode_metadata([("trace-bin", b"\xfb\xff")]) == [(b"trace-bin", b"+/8")]
    assert encode_metadata([("trace-bin", "text")]) == [(b"trace-bin", b"dGV4dA")]


@pytest.mark.parametrize("value", [b"+/8", b"+/8="])
def test_binary_values_are_read_with_and_without_padding(value: bytes) -> None:
    assert decode_field(b"trace-bin", value) == (("trace-bin", b"\xfb\xff"),)


def test_one_field_may_hold_several_binary_values() -> None:
    joined = b",".join(b64encode(part) for part in (b"a", b"", b"bc"))
    assert [value for _, value in decode_field(b"x-bin", joined)] == [b"a", b"", b"bc"]


@pytest.mark.parametrize("value", [b"?", b"AAAAA", b"A\x00==", b"AA=A", "é".encode()])
def test_what_is_not_base64_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"'x-bin' is not base64"):
        decode_field(b"x-bin", value)


@pytest.mark.parametrize("value", [b"caf\xe9", "\u2603".encode(), b"a\tb", b""])
def test_whatever_http_allows_is_received_as_it_is_and_may_be_sent_back(value: bytes) -> None:
    rows = decode_field(b"x", value)
    assert rows == (("x", value.decode("latin-1")),)
    assert encode_metadata(rows) == [(b"x", value)]


@pytest.mark.parametrize(
    ("name", "value"), [(b"x!y", b"v"), (b"x~-bin", b"AA"), (b"x", b"a\x01b"), (b"x", b"\x7f"), (b"x", b"\x1f")]
)
def test_what_could_not_be_sent_back_is_no_metadata(name: bytes, value: bytes) -> None:
    assert decode_field(name, value) == ()


@pytest.mark.parametrize("name", ["", "Upper", "two words", "x:y", ":path", "é", "grpc-status", "grpc-custom"])
def test_names_that_grpc_does_not_allow(name: str) -> None:
    with pytest.raises(LocalError, match="not allowed"):
        encode_metadata([(name, "value")])


@pytest.mark.parametrize("name", ["te", "content-type", "connection", "transfer-encoding", "host"])
def test_names_that_http_needs_itself(name: str) -> None:
    with pytest.raises(LocalError, match="use it themselves"):
        encode_metadata([(name, "value")])


@pytest.mark.parametrize("value", ["line\nbreak", "\x7f", "\u2603", "nul\0", b"\x01"])
def test_text_that_a_header_cannot_hold(value: str | bytes) -> None:
    with pytest.raises(LocalError, match="-bin"):
        encode_metadata([("x", value)])


def test_text_may_be_given_as_bytes_and_loses_its_outer_spaces() -> None:
    assert encode_metadata([("x", b" two words ")]) == [(b"x", b"two words")]


# ---------------------------------------------------------------- grpc-timeout


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"4m", 0.004),
        (b"5u", 5e-6),
        (b"6n", 6e-9),
        (b"99999999S", 99_999_999.0),
    ],
)
def test_timeouts_are_read(value: bytes, seconds: float) -> None:
    assert decode_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"-1S", b"1.5S", b"123456789S", b"1s", b"1S ", b"\xb2S"])
def test_what_is_no_timeout_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        decode_timeout(value)


@given(st.floats(1e-9, 1e11))
def test_timeouts_round_trip_and_are_never_longer(seconds: float) -> None:
    encoded = encode_timeout(seconds)
    assert len(encoded) <= 9
    assert decode_timeout(encoded) <= seconds * (1 + 1e-12)
    assert decode_timeout(encoded) == pytest.approx(seconds, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "encoded"),
    [(0.0, b"1n"), (-5.0, b"1n"), (1e-12, b"1n"), (float("inf"), b"99999999H"), (1e300, b"99999999H")],
)
def test_the_ends_of_what_a_timeout_can_say(seconds: float, encoded: bytes) -> None:
    assert encode_timeout(seconds) == encoded


# ---------------------------------------------------------------- grpc-message


@given(st.text())
def test_messages_round_trip(text: str) -> None:
    encoded = encode_message(text)
    assert decode_message(encoded) == text.encode("utf-8", "replace").decode()
    check_fields(1, [field(b"grpc-message", encoded)], frozenset())


def test_messages_are_percent_encoded() -> None:
    assert encode_message("50% of\tπ") == b"50%25 of%09%CF%80"


def test_spaces_at_the_ends_are_encoded_because_a_field_may_not_have_them() -> None:
    assert encode_message("  a b ") == b"%20%20a b%20"
    assert encode_message("  ") == b"%20%20"


@pytest.mark.parametrize(("value", "text"), [(b"%", "%"), (b"%zz", "%zz"), (b"%ff", "\ufffd"), (b"\xff", "\ufffd")])
def test_a_message_that_is_wrong_is_shown_as_well_as_possible(value: bytes, text: str) -> None:
    assert decode_message(value) == text


@given(st.text(), st.integers(-1, 60))
def test_a_cut_message_is_the_beginning_of_its_text(text: str, size: int) -> None:
    whole = encode_message(text)
    cut = cut_message(whole, size)
    assert len(cut) <= max(size, 0)
    assert decode_message(whole).startswith(decode_message(cut))
    check_fields(1, [field(b"grpc-message", cut)], frozenset())


def test_a_message_is_cut_between_characters() -> None:
    whole = encode_message("ab \u00fc\u20ac")
    assert whole == b"ab %C3%BC%E2%82%AC"
    cuts = [cut_message(whole, size) for size in range(len(whole) + 1)]
    assert cuts == [b"", b"a"] + [b"ab"] * 7 + [b"ab %C3%BC"] * 9 + [whole]


def test_user_agent_is_not_metadata() -> None:
    """It has a field of its own in `RequestHead`; two would go out."""
    with pytest.raises(LocalError, match="user-agent"):
        encode_metadata((("user-agent", "mine"),))
