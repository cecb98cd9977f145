# ruff: noqa: E501 - a table with a rule a row
"""RFC 9113: what a client MUST NOT send, and what our server answers; a row a rule, its section in the test's id.

A row is the section, the rule in words, the frames after preface, SETTINGS and what `given` opens, and the answer:
GOAWAY or RST_STREAM with a code, or that nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ride_trio.wire import ErrorCode, frames, hpack
from ride_trio.wire.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    goaway_frame,
    ping_frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from tests.wire import peers
from tests.wire.peers import REQUEST, data, headers, receive

BLOCK = hpack.encode(REQUEST)
HALF = len(BLOCK) // 2
FINE = ("fine", ErrorCode.NO_ERROR)


def goaway(code: ErrorCode) -> tuple[str, ErrorCode]:
    return "goaway", code


def reset(code: ErrorCode) -> tuple[str, ErrorCode]:
    return "reset", code


def request(*changed: tuple[bytes, bytes], without: Iterable[bytes] = (), end: bool = True) -> bytes:
    """A call on stream 1 whose fields are changed, or left out; new ones come last."""
    new = dict(changed)
    fields = [(name, new.pop(name, value)) for name, value in REQUEST if name not in set(without)]
    return headers(1, [*fields, *((n, v) for n, v in changed if n in new)], end=end)


PROTOCOL, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR
FLOW, CLOSED, COMPRESSION = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED, ErrorCode.COMPRESSION_ERROR
OPEN, HALF_CLOSED = headers(1), headers(1, end=True)
DONE = HALF_CLOSED + rst_stream_frame(1, 8)

ROWS: list[tuple[str, str, bytes, tuple[str, ErrorCode]]] = [
    ("4.1", "a frame of an unknown type is ignored", frame(0x16, 0, 0, b"what?") + OPEN, FINE),
    ("4.1", "undefined flags are ignored", frame(PING, 0xFE, 0, bytes(8)), FINE),
    ("4.1", "the reserved bit is ignored", frame(PING, 0, 0x80000000, bytes(8)), FINE),
    ("4.2", "DATA of the largest size is taken", OPEN + data(1, peers.framed(bytes(16_379))), FINE),
    ("4.2", "a frame larger than SETTINGS_MAX_FRAME_SIZE", OPEN + frame(DATA, 0, 1, bytes(16_385)), goaway(SIZE)),
    ("4.2", "HEADERS larger than it", frame(HEADERS, 4, 1, bytes(16_385)), goaway(SIZE)),
    ("4.2", "CONTINUATION larger than it", frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 4, 1, bytes(16_385)), goaway(SIZE)),
    ("4.2", "SETTINGS larger than it", frame(SETTINGS, 0, 0, bytes(16_386)), goaway(SIZE)),
    ("4.2", "an unknown frame larger than it", frame(0x16, 0, 0, bytes(16_385)), goaway(SIZE)),
    ("4.2", "DATA too short for its padding's length", OPEN + frame(DATA, PADDED, 1), goaway(SIZE)),
    ("4.2", "HEADERS too short for their padding's length", frame(HEADERS, END_HEADERS | PADDED, 1), goaway(SIZE)),
    ("4.2", "HEADERS too short for their priority", frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, bytes(4)), goaway(SIZE)),
    ("4.3", "a block that cannot be decompressed", frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"), goaway(COMPRESSION)),
    ("4.3", "PRIORITY within a header block", frame(HEADERS, 0, 1, BLOCK) + frame(PRIORITY, 0, 1, bytes(5)), goaway(PROTOCOL)),
    ("4.3", "HEADERS of another stream within a block", frame(HEADERS, 0, 1, BLOCK) + headers(3), goaway(PROTOCOL)),
    ("5.1", "idle: DATA", data(1, b"x"), goaway(PROTOCOL)),
    ("5.1", "idle: RST_STREAM", rst_stream_frame(1, 8), goaway(PROTOCOL)),
    ("5.1", "idle: WINDOW_UPDATE", window_update_frame(1, 100), goaway(PROTOCOL)),
    ("5.1", "idle: CONTINUATION", frame(CONTINUATION, 4, 1, BLOCK), goaway(PROTOCOL)),
    ("5.1", "idle: PRIORITY is fine", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), FINE),
    ("5.1", "half-closed (remote): DATA", HALF_CLOSED + data(1, b"x"), reset(CLOSED)),
    ("5.1", "half-closed (remote): HEADERS", HALF_CLOSED + headers(1), reset(CLOSED)),
    ("5.1", "half-closed (remote): CONTINUATION", HALF_CLOSED + frame(CONTINUATION, 4, 1, b""), goaway(PROTOCOL)),
    ("5.1", "half-closed (remote): WINDOW_UPDATE is fine", HALF_CLOSED + window_update_frame(1, 9), FINE),
    ("5.1", "half-closed (remote): PRIORITY is fine", HALF_CLOSED + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), FINE),
    ("5.1", "half-closed (remote): RST_STREAM is fine", HALF_CLOSED + rst_stream_frame(1, 8), FINE),
    ("5.1", "closed: DATA", DONE + data(1, b"x"), reset(CLOSED)),
    ("5.1", "closed: HEADERS", DONE + headers(1), goaway(CLOSED)),
    ("5.1", "closed: PRIORITY is fine", DONE + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), FINE),
    ("5.1", "closed: WINDOW_UPDATE is fine", DONE + window_update_frame(1, 9), FINE),
    ("5.1", "idle: an unknown frame is ignored", frame(0x16, 0, 1, b"what?"), FINE),
    ("5.1.1", "a stream with an even number", headers(2), goaway(PROTOCOL)),
    ("5.1.1", "a number lower than before", headers(5, end=True) + headers(3), goaway(PROTOCOL)),
    ("5.1.1", "a number that is used again", HALF_CLOSED + rst_stream_frame(1, 8) + headers(3, end=True) + headers(1), goaway(CLOSED)),
    ("5.1.1", "DATA on an even stream", data(2, b"x"), goaway(PROTOCOL)),
    ("5.1.2", "more streams than allowed", headers(1) + headers(3) + headers(5), reset(ErrorCode.REFUSED_STREAM)),
    ("5.3.1", "a stream that depends on itself", frame(PRIORITY, 0, 1, b"\0\0\0\1\x10"), goaway(PROTOCOL)),
    ("5.3.1", "HEADERS that depend on themselves", frame(HEADERS, 0x24, 1, b"\0\0\0\1\x10" + BLOCK), goaway(PROTOCOL)),
    ("5.4.2", "RST_STREAM is not answered with RST_STREAM", DONE + rst_stream_frame(1, 8), FINE),
    ("5.5", "an unknown frame within a header block", frame(HEADERS, 0, 1, BLOCK) + frame(0x16, 0, 1), goaway(PROTOCOL)),
    ("6.1", "DATA on stream 0", frame(DATA, 0, 0, b"x"), goaway(PROTOCOL)),
    ("6.1", "padding as long as the frame", OPEN + frame(DATA, PADDED, 1, b"\x05abcd"), goaway(PROTOCOL)),
    ("6.1", "padding longer than the frame", OPEN + frame(DATA, PADDED, 1, b"\xffabcd"), goaway(PROTOCOL)),
    ("6.1", "padding that leaves nothing is fine", OPEN + frame(DATA, PADDED, 1, b"\x04abcd"), FINE),
    ("6.2", "HEADERS without their end, then DATA", frame(HEADERS, 0, 1, BLOCK) + data(1, b"x"), goaway(PROTOCOL)),
    ("6.2", "HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, BLOCK), goaway(PROTOCOL)),
    ("6.2", "padding longer than HEADERS", frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK), goaway(PROTOCOL)),
    ("6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), goaway(PROTOCOL)),
    ("6.2", "padding and priority are fine", frame(HEADERS, END_HEADERS | PADDED | PRIORITY_FLAG, 1, b"\x02\0\0\0\3\x10" + BLOCK + bytes(2)), FINE),
    ("6.3", "PRIORITY of 6 bytes", OPEN + frame(PRIORITY, 0, 1, bytes(6)), reset(SIZE)),
    ("6.3", "PRIORITY of 4 bytes on an idle stream", frame(PRIORITY, 0, 1, bytes(4)), goaway(SIZE)),
    ("6.3", "PRIORITY of 4 bytes", OPEN + frame(PRIORITY, 0, 1, bytes(4)), reset(SIZE)),
    ("6.4", "RST_STREAM on stream 0", rst_stream_frame(0, 8), goaway(PROTOCOL)),
    ("6.4", "RST_STREAM of 3 bytes", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), goaway(SIZE)),
    ("6.4", "RST_STREAM of 5 bytes", OPEN + frame(RST_STREAM, 0, 1, bytes(5)), goaway(SIZE)),
    ("6.5", "SETTINGS ack with a payload", frame(SETTINGS, ACK, 0, bytes(6)), goaway(SIZE)),
    ("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), goaway(PROTOCOL)),
    ("6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), goaway(SIZE)),
    ("6.5.2", "ENABLE_PUSH of 1 is fine", settings_frame({2: 1}), FINE),
    ("6.5.2", "INITIAL_WINDOW_SIZE of 2^31-1 is fine", settings_frame({4: 2**31 - 1}), FINE),
    ("6.5.2", "MAX_FRAME_SIZE of 2^24-1 is fine", settings_frame({5: 2**24 - 1}), FINE),
    ("6.5.2", "ENABLE_PUSH of 2", settings_frame({2: 2}), goaway(PROTOCOL)),
    ("6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", settings_frame({4: 2**31}), goaway(FLOW)),
    ("6.5.2", "MAX_FRAME_SIZE below 16,384", settings_frame({5: 16_383}), goaway(PROTOCOL)),
    ("6.5.2", "MAX_FRAME_SIZE above 2^24-1", settings_frame({5: 2**24}), goaway(PROTOCOL)),
    ("6.5.2", "an unknown setting is ignored", settings_frame({0xFF: 1}), FINE),
    ("6.6", "PUSH_PROMISE from a client", frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + BLOCK), goaway(PROTOCOL)),
    ("6.7", "PING on a stream", frame(PING, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("6.7", "PING of 9 bytes", frame(PING, 0, 0, bytes(9)), goaway(SIZE)),
    ("6.7", "PING of 6 bytes", frame(PING, 0, 0, bytes(6)), goaway(SIZE)),
    ("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), goaway(SIZE)),
    ("6.8", "GOAWAY is fine", goaway_frame(0, 0), FINE),
    ("6.9", "WINDOW_UPDATE of 0", window_update_frame(0, 0), goaway(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 0 on a stream", OPEN + window_update_frame(1, 0), reset(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), goaway(SIZE)),
    ("6.9", "WINDOW_UPDATE of 5 bytes on a stream", OPEN + frame(WINDOW_UPDATE, 0, 1, bytes(5)), goaway(SIZE)),
    ("6.9", "the reserved bit of an increment is ignored", OPEN + window_update_frame(1, 2**31 + 1), FINE),
    ("6.9.1", "a connection's window of 2^31-1 is fine", window_update_frame(0, 2**31 - 65_536), FINE),
    ("6.9.1", "more DATA than the stream's window", OPEN + data(1, bytes(16_384)) * 4, reset(FLOW)),
    ("6.9.1", "more padded DATA than the stream's window", OPEN + data(1, bytes(16_383)) * 3 + data(1, bytes(16_384 - 256), padding=255) * 2, reset(FLOW)),
    ("6.9.1", "a connection's window above 2^31-1", window_update_frame(0, 2**31 - 1) * 2, goaway(FLOW)),
    ("6.9.1", "a stream's window above 2^31-1", OPEN + window_update_frame(1, 2**31 - 1) * 2, reset(FLOW)),
    ("6.9.2", "SETTINGS that make a window too large", OPEN + window_update_frame(1, 2**31 - 65_536) + settings_frame({4: 65_537}), goaway(FLOW)),
    ("6.10", "CONTINUATIONs are one block", frame(HEADERS, 0, 1, BLOCK[:HALF]) + frame(CONTINUATION, 4, 1, BLOCK[HALF:]), FINE),
    ("6.10", "CONTINUATION on stream 0", frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 4, 0, b""), goaway(PROTOCOL)),
    ("6.10", "CONTINUATION after the block's end", OPEN + frame(CONTINUATION, 4, 1, b""), goaway(PROTOCOL)),
    ("6.10", "CONTINUATION of another stream", frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 4, 3, b""), goaway(PROTOCOL)),
    ("6.10", "CONTINUATION after DATA", OPEN + data(1, b"x") + frame(CONTINUATION, 4, 1, b""), goaway(PROTOCOL)),
    ("7", "an unknown error code in GOAWAY is fine", goaway_frame(0, 0xFF), FINE),
    ("7", "an unknown error code in RST_STREAM is fine", OPEN + rst_stream_frame(1, 0xFF), FINE),
    ("8.1", "a second header list that does not end", OPEN + headers(1, ((b"x", b"y"),)), reset(PROTOCOL)),
    ("8.1", "trailers are fine", OPEN + headers(1, ((b"x", b"y"),), end=True), FINE),
    ("8.1.1", "less DATA than content-length before trailers", request((b"content-length", b"9"), end=False) + headers(1, ((b"x", b"y"),), end=True), reset(PROTOCOL)),
    ("8.1.1", "padding does not count as content", request((b"content-length", b"6"), end=False) + data(1, peers.framed(b"x"), end=True, padding=9), FINE),
    ("8.1.1", "less DATA than content-length", request((b"content-length", b"9"), end=False) + data(1, b"x", end=True), reset(PROTOCOL)),
    ("8.1.1", "more DATA than content-length", request((b"content-length", b"1"), end=False) + data(1, b"xy"), reset(PROTOCOL)),
    ("8.1.1", "no DATA where content-length has some", request((b"content-length", b"1")), reset(PROTOCOL)),
    ("8.2", "a name in upper case", request((b"X-Test", b"y")), reset(PROTOCOL)),
    ("8.2.1", "an empty name", request((b"", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a name with a colon", request((b"x:test", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a name with a control", request((b"x\x7f", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a name beyond ASCII", request((b"caf\xe9", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a name in upper case in trailers", OPEN + headers(1, ((b"X", b"y"),), end=True), reset(PROTOCOL)),
    ("8.2.1", "a name with a space", request((b"x test", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a value with a line break", request((b"x", b"a\r\nb")), reset(PROTOCOL)),
    ("8.2.1", "a value with NUL", request((b"x", b"a\0b")), reset(PROTOCOL)),
    ("8.2.1", "a value that begins with a space", request((b"x", b" a")), reset(PROTOCOL)),
    ("8.2.1", "a pseudo-header field with a line break", request((b":path", b"/a\r\nx: y")), reset(PROTOCOL)),
    ("8.2.2", "connection", request((b"connection", b"keep-alive")), reset(PROTOCOL)),
    ("8.2.2", "keep-alive", request((b"keep-alive", b"1")), reset(PROTOCOL)),
    ("8.2.2", "proxy-connection", request((b"proxy-connection", b"x")), reset(PROTOCOL)),
    ("8.2.2", "upgrade", request((b"upgrade", b"h2c")), reset(PROTOCOL)),
    ("8.2.2", "te with trailers is fine", request((b"te", b"trailers")), FINE),
    ("8.2.2", "transfer-encoding", request((b"transfer-encoding", b"chunked")), reset(PROTOCOL)),
    ("8.2.2", "te other than trailers", request((b"te", b"gzip")), reset(PROTOCOL)),
    ("8.3", "an unknown pseudo-header field", request((b":test", b"x")), reset(PROTOCOL)),
    ("8.3", "a response's pseudo-header field", request((b":status", b"200")), reset(PROTOCOL)),
    ("8.3", "a pseudo-header field in trailers", OPEN + headers(1, ((b":method", b"POST"),), end=True), reset(PROTOCOL)),
    ("8.3", "a pseudo-header field after others", headers(1, (*REQUEST[1:], REQUEST[0]), end=True), reset(PROTOCOL)),
    ("8.3", "a pseudo-header field twice", headers(1, (REQUEST[0], *REQUEST), end=True), reset(PROTOCOL)),
    ("8.3.1", "an empty :path", request((b":path", b"")), reset(PROTOCOL)),
    ("8.3.1", "an :authority with a user", request((b":authority", b"me@test")), reset(PROTOCOL)),
    ("8.3.1", "a host other than :authority", request((b"host", b"other")), reset(PROTOCOL)),
    ("8.3.1", "a host like :authority is fine", request((b"host", b"Test")), FINE),
    ("8.3.1", "host instead of :authority is fine", request((b"host", b"test"), without=[b":authority"]), FINE),
    ("8.3.1", "no :method", request(without=[b":method"]), reset(PROTOCOL)),
    ("8.3.1", "no :scheme", request(without=[b":scheme"]), reset(PROTOCOL)),
    ("8.3.1", "no :path", request(without=[b":path"]), reset(PROTOCOL)),
    ("8.5", "CONNECT without an :authority", headers(1, ((b":method", b"CONNECT"),)), reset(PROTOCOL)),
    ("8.5", "CONNECT that names a protocol", headers(1, ((b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":authority", b"a"))), reset(PROTOCOL)),
    ("8.5", "CONNECT with a :path", headers(1, ((b":method", b"CONNECT"), (b":path", b"/"), (b":authority", b"a"))), reset(PROTOCOL)),
]  # fmt: skip


def _id(row: tuple[str, str, bytes, tuple[str, ErrorCode]]) -> str:
    return f"9113-{row[0]}-{row[1]}".replace(" ", "_")


@pytest.mark.parametrize(("section", "rule", "wire", "answer"), ROWS, ids=map(_id, ROWS))
def test_rule(section: str, rule: str, wire: bytes, answer: tuple[str, ErrorCode]) -> None:
    connection = peers.server(peers.Limits(max_concurrent_streams=2))
    receive(connection, wire)
    found = peers.sent(connection)
    resets = [ErrorCode(f.number) for f in found if f.kind == RST_STREAM]
    kind, code = answer
    if kind == "goaway":
        assert connection.fault is not None
        assert connection.fault.code is code
        (last,) = [f for f in found if f.kind == GOAWAY]
        assert int.from_bytes(last.payload[4:8], "big") == code
    else:
        assert connection.fault is None
        assert resets == ([code] if kind == "reset" else [])


@pytest.mark.parametrize("wire", [b"GET / HTTP/1.1\r\n\r\n", frames.PREFACE[:-1] + b"x"])
def test_9113_3_4_an_invalid_preface_is_a_connection_error(wire: bytes) -> None:
    connection = peers.ServerConnection(peers.Limits())
    receive(connection, wire)
    assert connection.fault is not None
    assert connection.fault.code is PROTOCOL


def test_9113_3_4_the_preface_is_followed_by_settings() -> None:
    connection = peers.ServerConnection(peers.Limits())
    receive(connection, frames.PREFACE + ping_frame(bytes(8)))
    assert connection.fault is not None
    assert connection.fault.code is PROTOCOL


def test_9113_5_1_1_priority_of_a_stream_that_opens_is_skipped() -> None:
    connection = peers.server()
    receive(connection, frame(HEADERS, END_HEADERS | PRIORITY_FLAG | END_STREAM, 1, b"\0\0\0\3\x10" + BLOCK))
    assert connection.fault is None
    assert 1 in connection.streams


def test_9113_6_5_3_settings_are_acknowledged_in_order() -> None:
    connection = peers.server()
    receive(connection, settings_frame({4: 1}), ping_frame(b"12345678"), settings_frame({4: 2}))
    assert [(f.kind, f.flags) for f in peers.sent(connection)] == [(SETTINGS, ACK), (PING, ACK), (SETTINGS, ACK)]


def test_9113_6_7_a_ping_is_answered_with_its_payload_and_an_answer_is_not() -> None:
    connection = peers.server()
    receive(connection, ping_frame(b"12345678"), ping_frame(b"abcdefgh", ack=True))
    assert [(f.kind, f.payload) for f in peers.sent(connection)] == [(PING, b"12345678")]


def test_9113_6_9_2_a_window_below_0_has_to_be_filled_first() -> None:
    connection = peers.server(settings={4: 3})
    stream = peers.server_call(connection)
    connection.outbound.send_message(stream, b"hello")
    assert [len(f.payload) for f in peers.sent(connection) if f.kind == DATA] == [3]
    receive(connection, settings_frame({4: 0}))
    assert stream.send_window == -3
    receive(connection, window_update_frame(1, 3))
    assert [f for f in peers.sent(connection) if f.kind == DATA] == []
    receive(connection, window_update_frame(1, 2))
    assert [len(f.payload) for f in peers.sent(connection) if f.kind == DATA] == [2]
