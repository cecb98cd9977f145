"""Header lists as requests, responses and trailers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ride_trio.wire import headers, statuses
from ride_trio.wire.errors import StreamFault
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.headers import NotGrpc, RequestHead, ResponseHead, Trailers
from ride_trio.wire.hpack import Decoder
from ride_trio.wire.hpack_static import Field, field
from tests.wire.peers import REQUEST, RESPONSE

Pairs = tuple[tuple[bytes, bytes], ...]


def fields(*pairs: tuple[bytes, bytes]) -> list[Field]:
    return [field(*pair) for pair in pairs]


def without(name: bytes, pairs: Pairs = REQUEST) -> Pairs:
    return tuple(pair for pair in pairs if pair[0] != name)


def replaced(name: bytes, value: bytes) -> Pairs:
    return tuple((n, value if n == name else v) for n, v in REQUEST)


def request(*pairs: tuple[bytes, bytes]) -> RequestHead:
    return headers.parse_request(1, fields(*pairs))


def decoded(block: bytes) -> list[Field]:
    return Decoder(65_536).decode(block)


# ---------------------------------------------------------------- requests


def test_a_request() -> None:
    head = request(
        *replaced(b"content-type", b"application/grpc+proto"),
        (b"user-agent", b"me/1"),
        (b"grpc-timeout", b"10S"),
        (b"grpc-encoding", b"gzip"),
        (b"grpc-accept-encoding", b"identity,gzip"),
        (b"grpc-message-type", b"a.B"),
        (b"user-id", b"u1"),
        (b"trace-bin", b"AQI"),
        (b"user-id", b"u2"),
    )
    assert head == RequestHead(
        path="/test.Echo/Bidi",
        scheme="http",
        authority="test",
        content_type="application/grpc+proto",
        timeout_s=10.0,
        encoding="gzip",
        accept_encoding="identity,gzip",
        user_agent="me/1",
        message_type="a.B",
        metadata=(("user-id", "u1"), ("trace-bin", b"\x01\x02"), ("user-id", "u2")),
    )


def test_our_request_is_what_a_server_reads() -> None:
    head = RequestHead(
        "/a/B", authority="host:1", timeout_s=1.5, user_agent="agent", metadata=(("k", "v"), ("k-bin", b"\0\xff"))
    )
    read = headers.parse_request(1, decoded(headers.request_block(head)))
    assert read == replace(head, accept_encoding="identity,gzip")


def test_a_request_without_an_authority() -> None:
    assert request(*without(b":authority")).authority is None
    assert b":authority" not in [name for name, _, _ in decoded(headers.request_block(RequestHead("/a/B")))]


def test_host_is_the_authority_of_a_request_that_names_none_and_no_metadata() -> None:
    head = request(*without(b":authority"), (b"host", b"other"))
    assert (head.authority, head.metadata) == ("other", ())
    head = request(*REQUEST, (b"host", b"TEST"))
    assert (head.authority, head.metadata) == ("test", ())


def test_an_authority_names_no_user() -> None:
    with pytest.raises(StreamFault, match="names a user"):
        request(*replaced(b":authority", b"me@test"))


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
def test_a_request_needs_its_pseudo_headers(missing: bytes) -> None:
    for pairs in (without(missing), replaced(missing, b"")):
        with pytest.raises(StreamFault, match="malformed") as caught:
            request(*pairs)
        assert caught.value.code is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [(b"grpc-timeout", b"soon", "grpc-timeout 'soon'"), (b"x-bin", b"?", "'x-bin' is not base64")],
)
def test_a_header_that_grpc_cannot_read(name: bytes, value: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        request(*REQUEST, (name, value))


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (b"application/grpc", "proto"),
        (b"application/grpc+proto", "proto"),
        (b"application/grpc;v=1", "proto"),
        (b"application/grpc ; v=1", "proto"),
        (b"application/grpc+proto; charset=utf-8", "proto"),
        (b"Application/gRPC+Proto", "proto"),
        (b"application/grpc+json", "json"),
        (b"application/grpc+", ""),
    ],
)
def test_content_types_of_grpc(content_type: bytes, form: str) -> None:
    head = request(*replaced(b"content-type", content_type))
    assert head.content_type == content_type.decode()
    assert headers.message_format(head.content_type) == form


@pytest.mark.parametrize("content_type", [b"", b"text/html", b"application/grpc-web", b"application/grpcx"])
def test_other_content_types_are_415(content_type: bytes) -> None:
    with pytest.raises(NotGrpc, match="application/grpc") as caught:
        request(*replaced(b"content-type", content_type))
    assert caught.value.status == 415


def test_no_content_type_is_415() -> None:
    with pytest.raises(NotGrpc):
        request(*without(b"content-type"))


def test_other_methods_are_405() -> None:
    with pytest.raises(NotGrpc, match="GET is not for here") as caught:
        request(*replaced(b":method", b"GET"))
    assert caught.value.status == 405


def test_the_answer_to_head_has_no_text() -> None:
    with pytest.raises(NotGrpc) as caught:
        request(*replaced(b":method", b"HEAD"))
    assert (caught.value.status, caught.value.text) == (405, "")


# ---------------------------------------------------------------- responses and trailers


def test_a_response() -> None:
    head = headers.parse_response(1, fields(*RESPONSE, (b"grpc-encoding", b"gzip"), (b"k", b"v"), (b"k-bin", b"AQI")))
    assert head == ResponseHead(200, "application/grpc", "gzip", (("k", "v"), ("k-bin", b"\x01\x02")))


def test_our_response_is_what_a_client_reads() -> None:
    head = headers.parse_response(1, decoded(headers.response_block((("k", "v"),))))
    assert head == ResponseHead(200, "application/grpc+proto", "identity", (("k", "v"),))
    assert headers.parse_response(1, decoded(headers.response_block())).metadata == ()


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"abc", b"\xb2\xb2\xb2"])
def test_a_response_needs_a_status_of_three_digits(status: bytes) -> None:
    with pytest.raises(StreamFault, match=":status"):
        headers.parse_response(1, fields((b":status", status)))
    with pytest.raises(StreamFault):
        headers.parse_response(1, fields((b"k", b"v")))


def test_a_response_has_no_request_fields() -> None:
    with pytest.raises(StreamFault):
        headers.parse_response(1, fields((b":status", b"200"), (b":path", b"/")))


def test_trailers() -> None:
    pairs = ((b"grpc-status", b"5"), (b"grpc-message", b"not%20here"), (b"k-bin", b"AQI"))
    assert headers.parse_trailers(1, fields(*pairs)) == Trailers(5, "not here", (("k-bin", b"\x01\x02"),))


@pytest.mark.parametrize("code", range(17))
def test_our_trailers_are_what_a_client_reads(code: int) -> None:
    block = headers.trailers_block(code, "grüß\n", (("k", "v"),))
    assert headers.parse_trailers(1, decoded(block)) == Trailers(code, "grüß\n", (("k", "v"),))


def test_an_ok_without_more_is_one_short_block() -> None:
    assert headers.parse_trailers(1, decoded(headers.trailers_block(0))) == Trailers(0, "", ())
    assert headers.trailers_block(0) is headers.trailers_block(0)


@pytest.mark.parametrize("status", [b"", b"x", b"-1", b"17", b"999", b"1 ", b"9" * 5_000])
def test_a_status_that_grpc_does_not_know_is_unknown(status: bytes) -> None:
    trailers = headers.parse_trailers(1, fields((b"grpc-status", status), (b"k", b"v")), first=True)
    assert trailers.code == 2
    assert "no valid grpc-status" in trailers.message
    assert len(trailers.message) < 100
    assert trailers.metadata == (("k", "v"),)


def test_trailers_without_a_status_are_unknown() -> None:
    assert headers.parse_trailers(1, []).code == 2


def test_trailers_have_no_pseudo_headers() -> None:
    with pytest.raises(StreamFault):
        headers.parse_trailers(1, fields((b":status", b"200"), (b"grpc-status", b"0")))


def test_trailers_only_are_read_with_their_status_line() -> None:
    trailers = headers.parse_trailers(1, fields(*RESPONSE, (b"grpc-status", b"12")), first=True)
    assert trailers == Trailers(12, "", ())


def test_metadata_of_an_answer_that_cannot_be_read_is_dropped() -> None:
    trailers = headers.parse_trailers(1, fields((b"grpc-status", b"0"), (b"k-bin", b"?"), (b"k", b"v")))
    assert trailers == Trailers(0, "", (("k", "v"),))


def test_an_http_answer() -> None:
    block = headers.http_block(405, "text/plain", [(b"allow", b"POST")])
    assert [(n, v) for n, v, _ in decoded(block)] == [
        (b":status", b"405"),
        (b"content-type", b"text/plain"),
        (b"allow", b"POST"),
    ]


# ---------------------------------------------------------------- statuses of other protocols


@pytest.mark.parametrize(
    ("http", "grpc"),
    [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14), (200, 2), (500, 2)],
)
def test_http_statuses(http: int, grpc: int) -> None:
    assert statuses.status_of_http(http) == grpc


@pytest.mark.parametrize(
    ("code", "grpc"),
    [
        (ErrorCode.NO_ERROR, 13),
        (ErrorCode.PROTOCOL_ERROR, 13),
        (ErrorCode.REFUSED_STREAM, 14),
        (ErrorCode.CANCEL, 1),
        (ErrorCode.ENHANCE_YOUR_CALM, 8),
        (ErrorCode.INADEQUATE_SECURITY, 7),
        (0xDEADBEEF, 13),
    ],
)
def test_reset_codes(code: int, grpc: int) -> None:
    assert statuses.status_of_reset(code) == grpc


# ---------------------------------------------------------------- trailers that peers take


def list_size(block: bytes) -> int:
    return sum(len(name) + len(value) + 32 for name, value, _ in decoded(block))


@pytest.mark.parametrize("text", ["x", "\n", "\u00fc", "\u20ac", "\U0001f600", " "])
@pytest.mark.parametrize("size", [1, 500, 513, 2_000, 8_192, 2_000_000])
def test_status_messages_are_cut_to_what_clients_take(text: str, size: int) -> None:
    message = text * size
    block = headers.response_block() + headers.trailers_block(8, message, (("k", "v"),))
    assert len(block) <= list_size(block) <= 8_192
    trailers = headers.parse_trailers(1, decoded(block), first=True)
    assert trailers.code == 8
    assert message.startswith(trailers.message)
    if size <= 500:
        assert (trailers.message, trailers.metadata) == (message, (("k", "v"),))


def test_metadata_that_has_no_room_is_left_out_from_there_on() -> None:
    rows = (("a", "1" * 4_000), ("b", "2" * 4_000), ("c", "3"))
    trailers = headers.parse_trailers(1, decoded(headers.trailers_block(5, "none", rows)))
    assert trailers == Trailers(5, "none", rows[:1])


@pytest.mark.parametrize("largest", [0, 100, 150, 200, 1_000])
@pytest.mark.parametrize("start", [b"", headers.response_block()], ids=["trailers", "trailers-only"])
def test_trailers_for_a_peer_that_takes_less(largest: int, start: bytes) -> None:
    block = start + headers.trailers_block(8, "full " * 300, (("k", "v"),))
    small = headers.fitted(block, largest)
    least = list_size(start + headers.trailers_block(8))
    assert list_size(small) <= max(largest, least)
    assert headers.parse_trailers(1, decoded(small), first=bool(start)).code == 8
    assert headers.fitted(block, 8_192) == block
