"""Header lists that are malformed, whatever they mean."""

from __future__ import annotations

import pytest

from ride_trio.wire.errors import StreamFault
from ride_trio.wire.fields import check_fields, content_length
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.hpack_static import field

PSEUDO = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"), (b":authority", b"test"))
Pair = tuple[bytes, bytes]


def check(*pairs: Pair) -> dict[bytes, bytes]:
    return check_fields(1, [field(*pair) for pair in pairs], frozenset(name for name, _ in PSEUDO))


def refused(*pairs: Pair) -> str:
    with pytest.raises(StreamFault, match="malformed") as caught:
        check(*pairs)
    assert (caught.value.stream_id, caught.value.code) == (1, ErrorCode.PROTOCOL_ERROR)
    return caught.value.message


def test_a_list_that_is_well_formed() -> None:
    assert check(*PSEUDO, (b"te", b"trailers"), (b"x", b"two words\t!"), (b"x", b"")) == dict(PSEUDO)


@pytest.mark.parametrize(
    "wrong",
    [
        (b"Upper", b"v"),
        (b"", b"v"),
        (b"two words", b"v"),
        (b"x\x00", b"v"),
        (b"x:y", b"v"),
        (b"caf\xe9", b"v"),
        (b"x\x7f", b"v"),
        (b"x", b"line\r\nbreak"),
        (b"x", b"nul\0"),
        (b"x", b" v"),
        (b"x", b"v\t"),
        (b"connection", b"close"),
        (b"proxy-connection", b"close"),
        (b"keep-alive", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"te", b"trailers, deflate"),
        (b":method", b"POST"),
        (b":status", b"200"),
        (b":unknown", b"v"),
    ],
)
def test_a_malformed_field(wrong: Pair) -> None:
    refused(*PSEUDO, wrong)


@pytest.mark.parametrize("name", [name for name, _ in PSEUDO])
@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\0", b" a", b"a ", b"a b"])
def test_a_malformed_value_of_a_pseudo_header(name: bytes, value: bytes) -> None:
    assert refused(*((n, value if n == name else v) for n, v in PSEUDO)).endswith(f"value of field {name!r}")


@pytest.mark.parametrize("doubled", PSEUDO)
def test_a_doubled_pseudo_header(doubled: Pair) -> None:
    assert "doubled" in refused(doubled, *PSEUDO)


def test_a_pseudo_header_behind_a_regular_one() -> None:
    assert "late" in refused((b"x", b"v"), *PSEUDO)


# ---------------------------------------------------------------- Host


@pytest.mark.parametrize("host", [b"test", b"Test"])
def test_host_may_say_what_the_authority_says(host: bytes) -> None:
    assert check(*PSEUDO, (b"host", host)) == dict(PSEUDO)


def test_host_takes_the_place_of_the_authority() -> None:
    assert check(*PSEUDO[:3], (b"host", b"other"))[b":authority"] == b"other"


@pytest.mark.parametrize("pairs", [(*PSEUDO, (b"host", b"other")), (*PSEUDO[:3], (b"host", b"a"), (b"host", b"b"))])
def test_host_may_not_say_anything_else(pairs: tuple[Pair, ...]) -> None:
    assert "differ" in refused(*pairs)


# ---------------------------------------------------------------- content-length


@pytest.mark.parametrize(("values", "size"), [([], None), ([b"0"], 0), ([b"17"], 17), ([b"5", b"5"], 5)])
def test_a_content_length(values: list[bytes], size: int | None) -> None:
    assert content_length(1, [field(b"content-length", value) for value in values]) == size


@pytest.mark.parametrize("values", [[b""], [b"-1"], [b"1.0"], [b"1, 2"], [b"9" * 19], [b"1", b"2"], [b"\xb2"]])
def test_a_content_length_that_is_none(values: list[bytes]) -> None:
    with pytest.raises(StreamFault, match="content-length"):
        content_length(1, [field(b"content-length", value) for value in values])
