"""The rules of "gRPC over HTTP/2" for a server, a row a rule: a request as bytes, and how it ends.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, statuscodes.md and compression.md beside it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

import pytest
import trio
from purerpc import StatusCode

from ride_trio.wire import ErrorCode, hpack
from ride_trio.wire.frames import DATA, END_STREAM, HEADERS, PREFACE, RST_STREAM
from tests.rpc.echo import echo_server
from tests.wire.peers import SETTINGS, asked, data, framed, headers, read_frames

Fields = Iterable[tuple[bytes, bytes]]
MESSAGE = framed(b"\n\1x")
TOO_LARGE = framed(b"")[:1] + (10_485_761).to_bytes(4, "big")


def to(path: bytes, *changed: tuple[bytes, bytes], without: bytes = b"") -> Fields:
    return asked((b":path", path), *changed, without=without)


def unary(*changed: tuple[bytes, bytes], without: bytes = b"") -> Fields:
    return to(b"/test.Echo/unary", *changed, without=without)


def packed(message: bytes, cut: int | None = None) -> bytes:
    return framed(gzip.compress(message, mtime=0)[:cut], 1)


GZIP = unary((b"grpc-encoding", b"gzip"))
HANGS = b"/test.Echo/hangs"
NO_METHODS = (
    *(b"/", b"/x", b"*", b"test.Echo/unary", b"/test.Echo/none", b"/test.Echo/", b"/test.Echo/unary/", b"/\xff"),
    *(b"/no.Such/unary", b"/test.Echo/Unary", b"/test.Echo/unary?x=1", b"//test.Echo/unary"),
)
METADATA = (
    *((b"x", b"caf\xe9"), (b"x", b"a\tb"), (b"x", b""), (b"x!y", b"v"), (b"x", b"\x7f"), (b"cookie", b"a=b")),
    *((b"grpc-foo", b"v"), (b"grpc-status", b"5"), (b"accept-encoding", b"gzip")),
)
ROWS: list[tuple[str, Fields, bytes, str]] = [
    ("a call", unary(), MESSAGE, "OK"),
    ("an empty message is one", unary(), framed(b""), "OK"),
    ("no request where one is expected", unary(), b"", "UNIMPLEMENTED"),
    ("two requests where one is expected", unary(), MESSAGE * 2, "UNIMPLEMENTED"),
    ("no request of a server stream", to(b"/test.Echo/split"), b"", "UNIMPLEMENTED"),
    ("two requests of a server stream", to(b"/test.Echo/split_call"), MESSAGE * 2, "UNIMPLEMENTED"),
    ("no request of a client stream", to(b"/test.Echo/join"), b"", "OK"),
    ("no request of a bidirectional stream", to(b"/test.Echo/echo"), b"", "OK"),
    ("a request that cannot be parsed", unary(), framed(b"\xff\xff"), "INTERNAL"),
    ("half a message", unary(), MESSAGE[:-1], "INTERNAL"),
    ("half a prefix", to(b"/test.Echo/join"), MESSAGE[:3], "INTERNAL"),
    ("half a message behind a whole one", to(b"/test.Echo/join"), MESSAGE + MESSAGE[:-1], "INTERNAL"),
    ("a message above the limit", unary(), TOO_LARGE, "RESOURCE_EXHAUSTED"),
    ("a message of 4 GiB", unary(), b"\0\xff\xff\xff\xff", "RESOURCE_EXHAUSTED"),
    ("a handler that fails", to(b"/test.Echo/fails"), MESSAGE, "UNKNOWN"),
    *[(f"path {path!r}", to(path), MESSAGE, "UNIMPLEMENTED") for path in NO_METHODS],
    *[
        (f"content-type {value!r}", unary((b"content-type", value)), MESSAGE, answer)
        for value, answer in {
            b"application/grpc": "OK",
            b"application/grpc+proto": "OK",
            b"application/grpc;charset=utf-8": "OK",
            b"Application/gRPC": "OK",
            b"application/grpc+json": "UNIMPLEMENTED",
            b"application/grpc+foo": "UNIMPLEMENTED",
            b"application/grpc-web": "HTTP 415",
            b"application/grpc-web+proto": "HTTP 415",
            b"application/grpcx": "HTTP 415",
            b"application/json": "HTTP 415",
            b"image/jpeg": "HTTP 415",
            b"": "HTTP 415",
        }.items()
    ],
    ("no content-type", unary(without=b"content-type"), MESSAGE, "HTTP 415"),
    *[(f"method {name!r}", unary((b":method", name)), MESSAGE, "HTTP 405") for name in (b"GET", b"PUT", b"post")],
    ("no te", unary(without=b"te"), MESSAGE, "OK"),
    ("another te", unary((b"te", b"gzip")), MESSAGE, "RST PROTOCOL_ERROR"),
    ("no authority", unary(without=b":authority"), MESSAGE, "OK"),
    ("another host", unary((b"host", b"other")), MESSAGE, "RST PROTOCOL_ERROR"),
    ("a name in upper case", unary((b"User-Id", b"1")), MESSAGE, "RST PROTOCOL_ERROR"),
    ("connection", unary((b"connection", b"keep-alive")), MESSAGE, "RST PROTOCOL_ERROR"),
    *[
        (f"grpc-timeout {value!r}", unary((b"grpc-timeout", value)), MESSAGE, "OK")
        for value in (b"1H", b"1M", b"9S", b"9000m", b"9000000u", b"99999999u", b"99999999H", b"00000009S")
    ],
    *[
        (f"grpc-timeout {value!r}, passed", to(HANGS, (b"grpc-timeout", value)), MESSAGE, "DEADLINE_EXCEEDED")
        for value in (b"0S", b"1n", b"1u", b"1m", b"20m")
    ],
    *[
        (f"grpc-timeout {value!r}", unary((b"grpc-timeout", value)), MESSAGE, "INTERNAL")
        for value in (b"", b"1", b"S", b"-1S", b"1.5S", b"123456789S", b"1s", b"1 S", b"1D", b"+1S", b"1SS")
    ],
    *[
        (f"a -bin value {value!r}", unary((b"k-bin", value)), MESSAGE, "OK")
        for value in (b"AAEC", b"AAE=", b"AAE", b"AA==", b"AA", b"", b"AAE=,AAE", b"+/8")
    ],
    *[
        (f"a -bin value {value!r}", unary((b"k-bin", value)), MESSAGE, "INTERNAL")
        for value in (b"?", b"A", b"AAAAA", b"AA=A", b"AA AA", b"____")
    ],
    *[(f"metadata {name!r} {value!r}", unary((name, value)), MESSAGE, "OK") for name, value in METADATA],
    ("an unknown grpc-encoding", unary((b"grpc-encoding", b"foo")), framed(b"x", 1), "UNIMPLEMENTED"),
    ("a compressed message without grpc-encoding", unary(), framed(b"\n\1x", 1), "INTERNAL"),
    ("a compressed message with identity", unary((b"grpc-encoding", b"identity")), framed(b"\n\1x", 1), "INTERNAL"),
    ("a compressed-flag of 2", GZIP, framed(b"\n\1x", 2), "INTERNAL"),
    ("a compressed message", GZIP, packed(b"\n\1x"), "OK"),
    ("a message that is not compressed, with grpc-encoding", GZIP, MESSAGE, "OK"),
    ("a compressed message that is no gzip", GZIP, framed(b"garbage", 1), "INTERNAL"),
    ("a compressed message that is cut off", GZIP, packed(b"\n\1x", -1), "INTERNAL"),
    ("a compressed message above the limit", GZIP, packed(bytes(10_485_761)), "RESOURCE_EXHAUSTED"),
    ("content-length", unary((b"content-length", b"8")), MESSAGE, "OK"),
    ("a wrong content-length", unary((b"content-length", b"9")), MESSAGE, "RST PROTOCOL_ERROR"),
]  # fmt: skip


async def answer_to(nursery: trio.Nursery, wire: bytes) -> tuple[str, list[dict[bytes, bytes]]]:
    """How a request ends, and the header lists of its answer."""
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(echo_server().serve_stream, theirs)
    await ours.send_all(PREFACE + SETTINGS + wire)
    decoder, found, rest = hpack.Decoder(65_536), [], b""
    while True:
        rest += bytes(await ours.receive_some(65_536))
        whole = 0
        while len(rest) >= whole + 9 and len(rest) >= whole + 9 + int.from_bytes(rest[whole : whole + 3], "big"):
            whole += 9 + int.from_bytes(rest[whole : whole + 3], "big")
        for one in read_frames(rest[:whole]):
            if one.kind == RST_STREAM:
                return f"RST {ErrorCode(one.number).name}", found
            if one.kind == HEADERS:
                found.append({name: value for name, value, _ in decoder.decode(one.payload) or ()})
            if one.kind in (HEADERS, DATA) and one.flags & END_STREAM:
                return _ending(found), found
        rest = rest[whole:]


def _ending(found: list[dict[bytes, bytes]]) -> str:
    if b"grpc-status" not in found[-1]:
        return f"HTTP {found[0][b':status'].decode()}"
    assert found[0][b":status"] == b"200"
    return StatusCode(int(found[-1][b"grpc-status"])).name


@pytest.mark.parametrize(("rule", "fields", "body", "answer"), ROWS, ids=[row[0].replace(" ", "_") for row in ROWS])
async def test_rule(nursery: trio.Nursery, rule: str, fields: Fields, body: bytes, answer: str) -> None:
    with trio.fail_after(2):
        ending, _ = await answer_to(nursery, headers(1, fields) + data(1, body, end=True))
    assert ending == answer


async def test_an_answer_without_messages_is_one_header_list(nursery: trio.Nursery) -> None:
    ending, found = await answer_to(nursery, headers(1, to(b"/test.Echo/not_found")) + data(1, MESSAGE, end=True))
    (only,) = found
    assert ending == "NOT_FOUND"
    assert {b":status", b"content-type", b"grpc-status", b"grpc-message"} <= set(only)


async def test_who_names_an_unknown_encoding_is_told_the_known_ones(nursery: trio.Nursery) -> None:
    fields = unary((b"grpc-encoding", b"foo"))
    _, (only,) = await answer_to(nursery, headers(1, fields) + data(1, MESSAGE, end=True))
    assert only[b"grpc-accept-encoding"] == b"identity,gzip"


async def test_a_request_may_end_with_its_headers_or_with_trailers(nursery: trio.Nursery) -> None:
    assert (await answer_to(nursery, headers(1, to(b"/test.Echo/echo"), end=True)))[0] == "OK"
    trailers = headers(1, ((b"checksum", b"1"),), end=True)
    assert (await answer_to(nursery, headers(1, unary()) + data(1, MESSAGE) + trailers))[0] == "OK"
