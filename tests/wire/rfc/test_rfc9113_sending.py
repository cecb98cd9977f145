"""RFC 9113: what our sides MUST send, MUST NOT send, and have to keep count of; the section in the test's name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ride_trio.wire import Connection, ErrorCode, Limits, hpack
from ride_trio.wire.fields import check_fields
from ride_trio.wire.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
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
from ride_trio.wire.headers import response_block, trailers_block
from ride_trio.wire.settings import parse
from ride_trio.wire.stream import Stream
from tests.wire import peers
from tests.wire.peers import Frame, data, framed, headers, receive, sent

Role = Callable[..., tuple[Connection, Stream]]
DEFINED_FLAGS = {
    DATA: END_STREAM,
    HEADERS: END_STREAM | END_HEADERS,
    SETTINGS: ACK,
    PING: ACK,
    CONTINUATION: END_HEADERS,
}


def as_server(limits: Limits | None = None) -> tuple[Connection, Stream]:
    connection = peers.server(limits)
    return connection, peers.server_call(connection)


def as_client(limits: Limits | None = None) -> tuple[Connection, Stream]:
    connection = peers.client(limits)
    return connection, peers.client_call(connection, answered=True)


@pytest.fixture(params=[as_server, as_client])
def role(request: pytest.FixtureRequest) -> Role:
    chosen: Role = request.param
    return chosen


def of_kind(found: list[Frame], kind: int) -> list[Frame]:
    return [one for one in found if one.kind == kind]


# ---------------------------------------------------------------- the beginning, and frames


def test_9113_3_4_a_servers_first_frame_is_settings_and_the_clients_are_acknowledged() -> None:
    connection = peers.ServerConnection(Limits())
    receive(connection, PREFACE + settings_frame({}))
    first, *more = sent(connection)
    assert (first.kind, first.flags, first.stream_id) == (SETTINGS, 0, 0)
    assert [(f.kind, f.flags) for f in more if f.kind == SETTINGS] == [(SETTINGS, ACK)]


@pytest.mark.parametrize("role", ["server", "client"])
def test_9113_3_4_an_acknowledgement_is_no_preface(role: str) -> None:
    connection = peers.ServerConnection(Limits()) if role == "server" else peers.ClientConnection(Limits())
    receive(connection, (PREFACE if role == "server" else b"") + frame(SETTINGS, ACK, 0))
    assert connection.fault is not None
    assert connection.fault.code is ErrorCode.PROTOCOL_ERROR


def test_9113_4_1_no_undefined_flag_and_no_reserved_bit_is_sent(role: Role) -> None:
    connection, stream = role()
    connection.outbound.control(ping_frame(bytes(8)))
    receive(connection, ping_frame(bytes(8)), settings_frame({}), *[data(1, bytes(1_000), padding=255)] * 40)
    peers.take(connection, stream)
    connection.outbound.send_message(stream, bytes(100_000))
    connection.outbound.drop_pending(stream)
    connection.outbound.end(stream, trailers_block(0))
    connection.reset(stream, ErrorCode.CANCEL)
    connection.goaway()
    found = sent(connection)
    assert {f.kind for f in found} == {DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE}
    assert all(f.flags & ~DEFINED_FLAGS.get(f.kind, 0) == 0 for f in found)
    assert all(f.stream_id in (0, 1) for f in found)


@pytest.mark.parametrize("largest", [16_384, 20_000])
def test_9113_4_2_no_frame_is_larger_than_the_peer_allows(role: Role, largest: int) -> None:
    connection, stream = role()
    receive(connection, settings_frame({5: largest, 4: 1_000_000}), window_update_frame(0, 1_000_000))
    sent(connection)
    connection.outbound.send_message(stream, bytes(50_000))
    assert max(len(f.payload) for f in sent(connection)) == largest


def test_9113_4_3_a_block_of_ours_is_contiguous_whatever_its_size() -> None:
    connection, stream = as_server()
    connection.outbound.send_headers(stream, response_block((("x", "y" * 40_000),)))
    found = sent(connection)
    assert [f.kind for f in found] == [HEADERS, CONTINUATION, CONTINUATION]
    assert [f.flags for f in found] == [0, 0, END_HEADERS]
    assert max(len(f.payload) for f in found) == 16_384
    fields = hpack.Decoder(100_000).decode(b"".join(f.payload for f in found)) or ()
    assert fields[-1][1] == b"y" * 40_000


@pytest.mark.parametrize("spoiled", [(b"X", b"y"), (b"connection", b"close"), (b"x", b"y" * 20_000)])
def test_9113_4_3_the_block_of_a_stream_that_is_reset_counts_for_the_table(spoiled: tuple[bytes, bytes]) -> None:
    connection = peers.server()
    block = hpack.encode((*peers.REQUEST, spoiled)) + b"\x40\x03key\x05value"
    parts = [block[:16_384], block[16_384:]]
    receive(connection, frame(HEADERS, 0, 1, parts[0]) + frame(CONTINUATION, END_HEADERS, 1, parts[1]))
    assert [f.stream_id for f in of_kind(sent(connection), RST_STREAM)] == [1]
    receive(connection, frame(HEADERS, END_HEADERS, 3, hpack.encode(peers.REQUEST) + b"\xbe"))
    assert connection.events[-1].head.metadata == (("key", "value"),)


# ---------------------------------------------------------------- streams


def test_9113_5_1_nothing_is_sent_on_a_closed_stream(role: Role) -> None:
    connection, stream = role()
    connection.outbound.window = 0
    receive(connection, *[data(1, framed(bytes(16_000)))] * 3)
    connection.outbound.send_message(stream, b"too late")
    receive(connection, rst_stream_frame(1, ErrorCode.CANCEL))
    sent(connection)
    receive(connection, window_update_frame(0, 1_000))
    connection.credit(stream, 48_000)
    connection.reset(stream, ErrorCode.CANCEL)
    assert [f for f in sent(connection) if f.stream_id] == []


def test_9113_5_1_what_comes_late_for_a_stream_that_we_have_reset_is_counted_and_dropped(role: Role) -> None:
    connection, stream = role()
    connection.reset(stream, ErrorCode.CANCEL)
    sent(connection)
    before = connection._window
    late = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40\x03key\x05value")
    receive(connection, data(1, b"late"), late, rst_stream_frame(1, 8))
    assert sent(connection) == []
    assert connection._window == before - 4
    assert connection._headers._decoder.decode(b"\xbe") == [(b"key", b"value", 40)]


def test_9113_5_4_1_goaway_names_the_last_stream_that_was_taken() -> None:
    connection = peers.server()
    peers.server_call(connection, 5)
    receive(connection, frame(PING, 0, 3, bytes(8)))
    assert of_kind(sent(connection), GOAWAY)[0].payload[:8] == b"\0\0\0\5\0\0\0\1"


# ---------------------------------------------------------------- settings, GOAWAY


def test_9113_6_5_2_only_a_client_speaks_of_push_and_says_no() -> None:
    (server, *_), (client, *_) = sent(peers.ServerConnection(Limits())), sent(peers.ClientConnection(Limits()))
    assert 2 not in dict(parse(server.payload))
    assert dict(parse(client.payload))[2] == 0


def test_9113_6_5_3_values_of_one_frame_are_taken_in_order(role: Role) -> None:
    connection, stream = role()
    receive(connection, frame(SETTINGS, 0, 0, b"\0\4\0\0\0\x64" + b"\0\4\0\0\0\1"))
    assert stream.send_window == connection.outbound.peer.initial_window_size == 1


def test_9113_6_8_the_last_stream_of_a_goaway_never_goes_up() -> None:
    connection = peers.server()
    connection.announce_goaway()
    peers.server_call(connection, 1)
    connection.goaway()
    receive(connection, headers(3), goaway_frame(0, 0), data(0, b""))
    last = [int.from_bytes(f.payload[:4], "big") for f in of_kind(sent(connection), GOAWAY)]
    assert last == [2**31 - 1, 1, 1]


# ---------------------------------------------------------------- flow control


def test_9113_6_1_padding_counts_against_both_windows(role: Role) -> None:
    connection, stream = role()
    ours, its = connection._window, stream.recv_window + stream.to_credit
    receive(connection, data(1, framed(b"x"), padding=200))
    assert ours - connection._window == 207
    assert its - stream.recv_window - stream.to_credit == 6  # and is given back at once, where nobody reads it
    assert stream.held == 6


def test_9113_6_9_data_that_is_in_error_counts_against_the_connections_window(role: Role) -> None:
    connection, _ = role()
    receive(connection, rst_stream_frame(1, ErrorCode.CANCEL))
    before = connection._window
    receive(connection, data(1, bytes(100)))
    assert [f.number for f in of_kind(sent(connection), RST_STREAM)] == [ErrorCode.STREAM_CLOSED]
    assert connection._window == before - 100


def test_9113_6_9_1_no_more_is_sent_than_either_window_allows(role: Role) -> None:
    connection, stream = role()
    connection.outbound.window, stream.send_window = 10, 20
    connection.outbound.send_message(stream, bytes(95))
    receive(connection, window_update_frame(0, 1_000), window_update_frame(1, 30))
    assert [len(f.payload) for f in of_kind(sent(connection), DATA)] == [10, 10, 30]


def test_9113_6_9_1_an_empty_frame_that_ends_a_stream_needs_no_window() -> None:
    connection, stream = as_client()
    connection.outbound.window = stream.send_window = 0
    connection.outbound.end(stream)
    assert sent(connection) == [Frame(DATA, END_STREAM, 1, b"")]


def test_9113_6_9_2_settings_move_streams_and_not_the_connection(role: Role) -> None:
    connection, stream = role()
    receive(connection, settings_frame({4: 100_000}))
    assert (stream.send_window, connection.outbound.window) == (100_000, 65_535)
    receive(connection, settings_frame({4: 0}))
    assert (stream.send_window, connection.outbound.window) == (0, 65_535)


def test_9113_6_9_3_a_smaller_window_of_ours_holds_from_the_acknowledgement_on() -> None:
    connection = peers.ServerConnection(Limits(stream_window=100))
    receive(connection, PREFACE + settings_frame({}) + headers(1) + data(1, framed(bytes(995))))
    assert of_kind(sent(connection), RST_STREAM) == []
    receive(connection, frame(SETTINGS, ACK, 0) + headers(3) + data(3, bytes(101)))
    assert [(f.stream_id, f.number) for f in of_kind(sent(connection), RST_STREAM)] == [(3, 3)]


# ---------------------------------------------------------------- messages


def test_9113_8_2_and_8_3_2_what_a_server_sends_is_well_formed() -> None:
    connection, stream = as_server()
    connection.outbound.send_headers(stream, response_block((("k", "v"), ("k-bin", b"\0")), "gzip"))
    connection.outbound.end(stream, trailers_block(5, " w\u00f6rter\n", (("k", "v"),)))
    first, last = (hpack.Decoder(65_536).decode(f.payload) or () for f in of_kind(sent(connection), HEADERS))
    assert check_fields(1, first, frozenset((b":status",))) == {b":status": b"200"}
    assert check_fields(1, last, frozenset()) == {}
