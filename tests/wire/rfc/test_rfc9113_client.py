# ruff: noqa: E501 - a table with a rule a row
"""RFC 9113: what a server MUST NOT send, and what our client answers; a row a rule, its section in the test's id.

A row is the section, the rule in words, the frames after SETTINGS while our call is open on stream 1, and the answer:
GOAWAY or RST_STREAM with a code, or that nothing is wrong.
"""

from __future__ import annotations

import pytest

from ride_trio.wire import ErrorCode, LocalError, frames, hpack
from ride_trio.wire.events import GoAwayReceived, StreamReset, TrailersReceived
from ride_trio.wire.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
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
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.states import State
from tests.wire import peers
from tests.wire.peers import RESPONSE, data, headers, receive

BLOCK = hpack.encode(RESPONSE)
HALF = len(BLOCK) // 2
FINE = ("fine", ErrorCode.NO_ERROR)
PROTOCOL, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR
FLOW, CLOSED, COMPRESSION = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED, ErrorCode.COMPRESSION_ERROR


def goaway(code: ErrorCode) -> tuple[str, ErrorCode]:
    return "goaway", code


def reset(code: ErrorCode) -> tuple[str, ErrorCode]:
    return "reset", code


def response(*more: tuple[bytes, bytes], end: bool = False) -> bytes:
    return headers(1, (*RESPONSE, *more), end=end)


ANSWERED = response()
TRAILERS = headers(1, ((b"grpc-status", b"0"),), end=True)
DONE = ANSWERED + TRAILERS

ROWS: list[tuple[str, str, bytes, tuple[str, ErrorCode]]] = [
    ("4.1", "a frame of an unknown type is ignored", frame(0x16, 0, 0, b"what?") + ANSWERED, FINE),
    ("4.1", "undefined flags are ignored", frame(PING, 0xFE, 0, bytes(8)), FINE),
    ("4.1", "the reserved bit is ignored", frame(PING, 0, 0x80000000, bytes(8)), FINE),
    ("4.2", "DATA of the largest size is taken", ANSWERED + data(1, peers.framed(bytes(16_379))), FINE),
    ("4.2", "a frame larger than SETTINGS_MAX_FRAME_SIZE", ANSWERED + frame(DATA, 0, 1, bytes(16_385)), goaway(SIZE)),
    ("4.2", "DATA too short for its padding's length", ANSWERED + frame(DATA, PADDED, 1), goaway(SIZE)),
    ("4.2", "HEADERS larger than it", frame(HEADERS, END_HEADERS, 1, bytes(16_385)), goaway(SIZE)),
    ("4.3", "a block that cannot be decompressed", frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"), goaway(COMPRESSION)),
    ("4.3", "DATA within a header block", frame(HEADERS, 0, 1, BLOCK) + data(1, b"x"), goaway(PROTOCOL)),
    ("5.1", "idle: DATA", data(3, b"x"), goaway(PROTOCOL)),
    ("5.1", "idle: HEADERS", headers(3, RESPONSE), goaway(PROTOCOL)),
    ("5.1", "idle: RST_STREAM", rst_stream_frame(3, 8), goaway(PROTOCOL)),
    ("5.1", "idle: WINDOW_UPDATE", window_update_frame(3, 100), goaway(PROTOCOL)),
    ("5.1", "idle: PRIORITY is fine", frame(PRIORITY, 0, 3, b"\0\0\0\0\x10"), FINE),
    ("5.1", "half-closed (remote): DATA", DONE + data(1, b"x"), reset(CLOSED)),
    ("5.1", "half-closed (remote): HEADERS", DONE + headers(1, ((b"x", b"y"),)), reset(CLOSED)),
    ("5.1", "half-closed (remote): WINDOW_UPDATE is fine", DONE + window_update_frame(1, 9), FINE),
    ("5.1", "half-closed (remote): RST_STREAM is fine", DONE + rst_stream_frame(1, 0), FINE),
    ("5.1.1", "a server opens a stream", headers(2, RESPONSE), goaway(PROTOCOL)),
    ("5.1.1", "DATA on an even stream", data(2, b"x"), goaway(PROTOCOL)),
    ("5.3.1", "a stream that depends on itself", frame(PRIORITY, 0, 1, b"\0\0\0\1\x10"), goaway(PROTOCOL)),
    ("5.4.2", "RST_STREAM is not answered with RST_STREAM", rst_stream_frame(1, 8) * 2, FINE),
    ("5.5", "an unknown frame within a header block", frame(HEADERS, 0, 1, BLOCK) + frame(0x16, 0, 1), goaway(PROTOCOL)),
    ("6.1", "DATA on stream 0", frame(DATA, 0, 0, b"x"), goaway(PROTOCOL)),
    ("6.1", "padding as long as the frame", ANSWERED + frame(DATA, PADDED, 1, b"\x05abcd"), goaway(PROTOCOL)),
    ("6.1", "padding is fine", ANSWERED + data(1, peers.framed(b"x"), padding=9), FINE),
    ("6.2", "HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, BLOCK), goaway(PROTOCOL)),
    ("6.2", "padding longer than HEADERS", frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK), goaway(PROTOCOL)),
    ("6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), goaway(PROTOCOL)),
    ("6.3", "PRIORITY of 4 bytes on an idle stream", frame(PRIORITY, 0, 3, bytes(4)), goaway(SIZE)),
    ("6.3", "PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, bytes(4)), reset(SIZE)),
    ("6.4", "RST_STREAM on stream 0", rst_stream_frame(0, 8), goaway(PROTOCOL)),
    ("6.4", "RST_STREAM of 3 bytes", frame(RST_STREAM, 0, 1, bytes(3)), goaway(SIZE)),
    ("6.5", "SETTINGS ack with a payload", frame(SETTINGS, ACK, 0, bytes(6)), goaway(SIZE)),
    ("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), goaway(PROTOCOL)),
    ("6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), goaway(SIZE)),
    ("6.5.2", "ENABLE_PUSH of 1 from a server", settings_frame({2: 1}), goaway(PROTOCOL)),
    ("6.5.2", "ENABLE_PUSH of 0 is fine", settings_frame({2: 0}), FINE),
    ("6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", settings_frame({4: 2**31}), goaway(FLOW)),
    ("6.5.2", "MAX_FRAME_SIZE below 16,384", settings_frame({5: 16_383}), goaway(PROTOCOL)),
    ("6.5.2", "MAX_FRAME_SIZE above 2^24-1", settings_frame({5: 2**24}), goaway(PROTOCOL)),
    ("6.5.2", "an unknown setting is ignored", settings_frame({0xFF: 1}), FINE),
    ("6.6", "PUSH_PROMISE although push is switched off", frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + BLOCK), goaway(PROTOCOL)),
    ("6.7", "PING on a stream", frame(PING, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("6.7", "PING of 6 bytes", frame(PING, 0, 0, bytes(6)), goaway(SIZE)),
    ("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), goaway(SIZE)),
    ("6.8", "GOAWAY is fine", goaway_frame(1, 0), FINE),
    ("6.9", "WINDOW_UPDATE of 0", window_update_frame(0, 0), goaway(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 0 on a stream", window_update_frame(1, 0), reset(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), goaway(SIZE)),
    ("6.9.1", "a connection's window above 2^31-1", window_update_frame(0, 2**31 - 1) * 2, goaway(FLOW)),
    ("6.9.1", "a stream's window above 2^31-1", window_update_frame(1, 2**31 - 1) * 2, reset(FLOW)),
    ("6.9.1", "more DATA than the stream's window", ANSWERED + data(1, bytes(16_384)) * 4, reset(FLOW)),
    ("6.9.2", "SETTINGS that make a window too large", window_update_frame(1, 2**31 - 65_536) + settings_frame({4: 65_537}), goaway(FLOW)),
    ("6.10", "CONTINUATIONs are one block", frame(HEADERS, 0, 1, BLOCK[:HALF]) + frame(CONTINUATION, 4, 1, BLOCK[HALF:]), FINE),
    ("6.10", "CONTINUATION after the block's end", ANSWERED + frame(CONTINUATION, 4, 1, b""), goaway(PROTOCOL)),
    ("6.10", "CONTINUATION of another stream", frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 4, 3, b""), goaway(PROTOCOL)),
    ("7", "an unknown error code in GOAWAY is fine", goaway_frame(0, 0xFF), FINE),
    ("7", "an unknown error code in RST_STREAM is fine", rst_stream_frame(1, 0xFF), FINE),
    ("8.1", "informational responses come before", headers(1, ((b":status", b"103"), (b"link", b"x"))) + ANSWERED, FINE),
    ("8.1", "an informational response that ends the stream", headers(1, ((b":status", b"103"),), end=True), reset(PROTOCOL)),
    ("8.1", "DATA after an informational response", headers(1, ((b":status", b"100"),)) + data(1, b"x"), reset(PROTOCOL)),
    ("8.1", "DATA before the response", data(1, b"x"), reset(PROTOCOL)),
    ("8.1", "trailers that do not end the stream", ANSWERED + headers(1, ((b"grpc-status", b"0"),)), reset(PROTOCOL)),
    ("8.1.1", "less DATA than content-length", response((b"content-length", b"9")) + TRAILERS, reset(PROTOCOL)),
    ("8.1.1", "more DATA than content-length", response((b"content-length", b"1")) + data(1, b"xy"), reset(PROTOCOL)),
    ("8.2", "a name in upper case", response((b"X-Test", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a name with a space", response((b"x test", b"y")), reset(PROTOCOL)),
    ("8.2.1", "a value with a line break", response((b"x", b"a\r\nb")), reset(PROTOCOL)),
    ("8.2.1", "a value with NUL", response((b"x", b"a\0b")), reset(PROTOCOL)),
    ("8.2.1", "a value that ends with a space", response((b"x", b"a ")), reset(PROTOCOL)),
    ("8.2.2", "connection", response((b"connection", b"close")), reset(PROTOCOL)),
    ("8.2.2", "connection in trailers", ANSWERED + headers(1, ((b"grpc-status", b"0"), (b"connection", b"close")), end=True), reset(PROTOCOL)),
    ("8.2.2", "transfer-encoding", response((b"transfer-encoding", b"chunked")), reset(PROTOCOL)),
    ("8.3", "an unknown pseudo-header field", response((b":test", b"x")), reset(PROTOCOL)),
    ("8.3", "a request's pseudo-header field", headers(1, ((b":path", b"/"), *RESPONSE)), reset(PROTOCOL)),
    ("8.3", "a pseudo-header field in trailers", ANSWERED + headers(1, ((b":status", b"200"), (b"grpc-status", b"0")), end=True), reset(PROTOCOL)),
    ("8.3.2", "no :status", headers(1, RESPONSE[1:]), reset(PROTOCOL)),
    ("8.3.2", "a :status that is no number", headers(1, ((b":status", b"2OO"), *RESPONSE[1:])), reset(PROTOCOL)),
    ("8.3.2", "no :status in an informational response", headers(1, ((b"link", b"x"),)), reset(PROTOCOL)),
    ("8.6", "101, which HTTP/2 does not have", headers(1, ((b":status", b"101"),)), reset(PROTOCOL)),
    ("8.3.2", ":status twice", headers(1, (RESPONSE[0], *RESPONSE)), reset(PROTOCOL)),
]  # fmt: skip


def _id(row: tuple[str, str, bytes, tuple[str, ErrorCode]]) -> str:
    return f"9113-{row[0]}-{row[1]}".replace(" ", "_")


@pytest.mark.parametrize(("section", "rule", "wire", "answer"), ROWS, ids=map(_id, ROWS))
def test_rule(section: str, rule: str, wire: bytes, answer: tuple[str, ErrorCode]) -> None:
    connection = peers.client()
    peers.client_call(connection)
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


# ---------------------------------------------------------------- what a client MUST send, and do


def test_9113_3_4_the_preface_comes_first_and_settings_behind_it() -> None:
    output = peers.ClientConnection(peers.Limits()).outbound.take_output()
    assert output.startswith(PREFACE)
    first, *_ = peers.read_frames(output.removeprefix(PREFACE))
    assert (first.kind, first.flags, first.stream_id) == (SETTINGS, 0, 0)


def test_9113_3_4_a_servers_first_frame_is_settings() -> None:
    connection = peers.ClientConnection(peers.Limits())
    receive(connection, ping_frame(bytes(8)))
    assert connection.fault is not None
    assert connection.fault.code is PROTOCOL


def test_9113_5_1_1_streams_are_odd_and_go_up_and_are_never_used_again() -> None:
    connection = peers.client()
    assert [peers.client_call(connection).id for _ in range(3)] == [1, 3, 5]
    connection._next_stream_id = 2**31 - 1
    assert peers.client_call(connection).id == 2**31 - 1
    with pytest.raises(LocalError, match="used up"):
        connection.open(RequestHead("/a/b", authority="test"))


def test_9113_5_1_2_no_more_streams_than_the_server_allows() -> None:
    connection = peers.client(settings={3: 1})
    assert connection.can_open
    peers.client_call(connection)
    assert not connection.can_open


def test_9113_6_4_nothing_is_sent_on_a_stream_that_was_reset() -> None:
    connection = peers.client()
    stream = peers.client_call(connection)
    receive(connection, rst_stream_frame(1, 8))
    assert isinstance(connection.events[-1], StreamReset)
    connection.reset(stream, ErrorCode.CANCEL)
    assert peers.sent(connection) == []


def test_9113_6_5_3_settings_are_acknowledged() -> None:
    connection = peers.client()
    receive(connection, settings_frame({4: 1}), settings_frame({4: 2}))
    assert [(f.kind, f.flags) for f in peers.sent(connection)] == [(SETTINGS, ACK)] * 2


def test_9113_6_7_a_ping_is_answered_with_its_payload() -> None:
    connection = peers.client()
    receive(connection, ping_frame(b"12345678"), ping_frame(b"abcdefgh", ack=True))
    assert [(f.kind, f.payload) for f in peers.sent(connection)] == [(PING, b"12345678")]


def test_9113_6_8_what_goaway_leaves_out_was_not_processed() -> None:
    connection = peers.client()
    peers.client_call(connection)
    receive(connection, goaway_frame(0, 0, b"bye"))
    event = connection.events[-1]
    assert isinstance(event, GoAwayReceived)
    assert (event.last_stream_id, event.code, event.debug) == (0, 0, b"bye")


def test_9113_6_9_1_no_more_is_sent_than_the_windows_allow() -> None:
    connection = peers.client(settings={4: 10})
    stream = peers.client_call(connection)
    connection.outbound.send_message(stream, bytes(20))
    assert [len(f.payload) for f in peers.sent(connection)] == [10]
    receive(connection, window_update_frame(1, 100))
    assert [len(f.payload) for f in peers.sent(connection)] == [15]


def test_9113_8_1_a_response_may_end_before_the_request_and_the_client_stops() -> None:
    connection = peers.client()
    stream = peers.client_call(connection)
    receive(connection, DONE, rst_stream_frame(1, ErrorCode.NO_ERROR))
    assert any(isinstance(event, TrailersReceived) for event in connection.events)
    assert 1 not in connection.streams
    assert stream.state is State.CLOSED


def test_9113_8_2_what_we_send_is_well_formed() -> None:
    connection = peers.client()
    connection.open(RequestHead("/a/b", authority="test", metadata=(("k", "v"), ("k-bin", b"\0"))))
    (sent,) = peers.sent(connection)
    fields = [(name, value) for name, value, _ in hpack.Decoder(65_536).decode(sent.payload) or ()]
    names = [name for name, _ in fields]
    assert names == sorted(names, key=lambda name: not name.startswith(b":"))
    assert {b":method", b":scheme", b":path", b":authority"} <= set(names)
    assert all(name == name.lower() for name in names)
    assert dict(fields)[b"te"] == b"trailers"
    assert sent.kind == frames.HEADERS
