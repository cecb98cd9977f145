"""The server's side: preface, new streams, requests."""

from __future__ import annotations

import pytest

from ride_trio.wire import ErrorCode, Limits, ServerConnection, frames, hpack
from ride_trio.wire.events import RequestReceived, RequestRefused, StreamReset
from ride_trio.wire.frames import PREFACE, SettingId, frame
from ride_trio.wire.headers import response_block, trailers_block
from ride_trio.wire.settings import parse
from ride_trio.wire.states import State
from tests.wire import peers
from tests.wire.peers import REQUEST, SETTINGS, asked, data, fault_of, framed, headers, receive, resets, sent

# ---------------------------------------------------------------- the beginning


def test_it_begins_with_its_settings() -> None:
    settings, window = sent(ServerConnection(Limits(max_concurrent_streams=7, stream_window=1_000_000)))
    assert dict(parse(settings.payload)) == {
        SettingId.MAX_CONCURRENT_STREAMS: 7,
        SettingId.INITIAL_WINDOW_SIZE: 1_000_000,
        SettingId.MAX_HEADER_LIST_SIZE: 16_384,
    }
    assert (window.kind, window.stream_id, window.number) == (frames.WINDOW_UPDATE, 0, 262_144 - 65_535)


@pytest.mark.parametrize("place", range(len(PREFACE)))
def test_a_wrong_preface_is_refused_at_its_first_wrong_byte(place: int) -> None:
    connection = ServerConnection(Limits())
    receive(connection, PREFACE[:place])
    assert connection.fault is None
    receive(connection, b"?")
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


def test_an_http_1_request_is_refused() -> None:
    connection = ServerConnection(Limits())
    receive(connection, b"GET / HTTP/1.1\r\n\r\n")
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "first",
    [
        headers(1),
        frames.ping_frame(bytes(8)),
        frames.window_update_frame(0, 1),
        data(1, b""),
        frame(0xFA, 0, 0),
        frame(frames.PRIORITY, 0, 1, b"\0\0\0\3\0"),
        frame(frames.SETTINGS, frames.ACK, 0),
    ],
)
def test_the_first_frame_has_to_be_settings(first: bytes) -> None:
    connection = ServerConnection(Limits())
    receive(connection, PREFACE + first)
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR
    assert not connection.settings_seen


# ---------------------------------------------------------------- requests


def test_a_request() -> None:
    connection = peers.server(settings={SettingId.INITIAL_WINDOW_SIZE: 777})
    receive(connection, headers(1, (*REQUEST, (b"user-id", b"u1"), (b"grpc-encoding", b"gzip"))))
    (event,) = connection.events
    assert isinstance(event, RequestReceived)
    assert event.head.path == "/test.Echo/Bidi"
    assert event.head.metadata == (("user-id", "u1"),)
    stream = event.stream
    assert (stream.id, stream.state, stream.encoding, stream.send_window) == (1, State.OPEN, "gzip", 777)
    assert connection.streams == {1: stream}
    assert connection.last_peer_stream_id == 1


def test_a_request_without_messages() -> None:
    connection = peers.server()
    stream = peers.server_call(connection, end=True)
    assert stream.remote_ended
    assert connection.ready == [stream]


def test_a_request_in_many_pieces_with_padding_and_priority() -> None:
    connection = peers.server()
    block = hpack.encode(REQUEST)
    first = bytes((4,)) + b"\x80\0\0\0\xff" + block[:10] + bytes(4)
    flags = frames.PADDED | frames.PRIORITY_FLAG | frames.END_STREAM
    receive(
        connection,
        frame(frames.HEADERS, flags, 1, first),
        frame(frames.CONTINUATION, 0, 1, block[10:20]),
        frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[20:]),
    )
    (event,) = connection.events
    assert isinstance(event, RequestReceived)
    assert event.stream.remote_ended


def test_data_and_more_headers_after_the_request() -> None:
    connection = peers.server()
    stream = peers.server_call(connection)
    receive(connection, data(1, framed(b"x")), headers(1, ((b"checksum", b"1"),), end=True))
    assert stream.take() == [b"x"]
    assert stream.remote_ended
    assert connection.fault is None


@pytest.mark.parametrize(
    "trailers",
    [headers(1, ((b"k", b"v"),)), headers(1, ((b":path", b"/"),), end=True), headers(1, ((b"K", b"v"),), end=True)],
)
def test_malformed_request_trailers(trailers: bytes) -> None:
    connection = peers.server()
    stream = peers.server_call(connection)
    receive(connection, trailers)
    assert resets(connection) == [(1, ErrorCode.PROTOCOL_ERROR)]
    assert isinstance(connection.events[-1], StreamReset)
    assert stream.state is State.CLOSED


def test_headers_after_the_end_of_a_request() -> None:
    connection = peers.server()
    peers.server_call(connection, end=True)
    receive(connection, headers(1, ((b"k", b"v"),), end=True))
    assert resets(connection) == [(1, ErrorCode.STREAM_CLOSED)]


def test_an_answered_stream_is_gone_and_its_id_cannot_be_used_again() -> None:
    connection = peers.server()
    stream = peers.server_call(connection, end=True)
    connection.outbound.end(stream, response_block() + trailers_block(0))
    assert not connection.streams
    receive(connection, headers(1))
    assert fault_of(connection) is ErrorCode.STREAM_CLOSED


def test_late_headers_of_a_stream_that_we_have_reset_are_ignored_but_not_without_end() -> None:
    connection = peers.server()
    connection.reset(peers.server_call(connection), ErrorCode.NO_ERROR)
    sent(connection)
    receive(connection, headers(1, ((b"k", b"v"),), end=True))
    assert sent(connection) == []
    for _ in range(10_000):
        receive(connection, headers(1, ((b"k", b"v"),), end=True))
    assert fault_of(connection) is ErrorCode.ENHANCE_YOUR_CALM


def test_late_headers_of_a_reset_that_is_forgotten_cost_nobody_else_anything() -> None:
    connection = peers.server()
    for stream_id in range(1, 2_003, 2):
        connection.reset(peers.server_call(connection, stream_id), ErrorCode.NO_ERROR)
    sent(connection)
    receive(connection, headers(1, ((b"k", b"v"),), end=True))
    assert resets(connection) == [(1, ErrorCode.STREAM_CLOSED)]
    peers.server_call(connection, 2_003, end=True)
    receive(connection, frames.rst_stream_frame(2_003, 8), headers(2_003))
    assert fault_of(connection) is ErrorCode.STREAM_CLOSED


def test_stream_ids_only_go_up() -> None:
    """RFC 9113, section 5.1.1: an id that was jumped over is not a stream that has been closed."""
    connection = peers.server()
    peers.server_call(connection, 5)
    receive(connection, headers(3))
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


def test_ids_may_be_jumped_over_without_end() -> None:
    connection = peers.server()
    for stream_id in range(1, 5_000, 10):
        peers.server_call(connection, stream_id)
        connection.reset(connection.streams[stream_id], ErrorCode.CANCEL)
    assert len(connection._jumps) == 100


def test_a_client_opens_odd_streams() -> None:
    connection = peers.server()
    receive(connection, headers(2))
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "fields",
    [
        asked((b"Upper", b"v")),
        ((b"x", b"v"), *REQUEST),
        asked((b"connection", b"close")),
        asked((b"te", b"gzip")),
        asked(without=b":path"),
        (*REQUEST, (b":path", b"/")),
    ],
)
def test_a_malformed_request_is_reset_and_the_connection_goes_on(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    connection = peers.server()
    receive(connection, headers(1, fields) + data(1, b"late") + headers(3))
    assert resets(connection) == [(1, ErrorCode.PROTOCOL_ERROR)]
    assert not any(isinstance(e, RequestReceived) and e.stream.id == 1 for e in connection.events)
    assert list(connection.streams) == [3]


def test_a_call_whose_headers_grpc_cannot_read_wants_a_status() -> None:
    connection = peers.server()
    receive(connection, headers(1, asked((b"grpc-timeout", b"soon")), end=True))
    (event,) = connection.events
    assert isinstance(event, RequestRefused)
    assert "grpc-timeout" in event.reason
    assert event.stream.remote_ended


def test_headers_too_large_for_the_limit() -> None:
    connection = peers.server(Limits(max_header_list=1_000))
    keep = b"\x40\x03key\x05value"
    large = hpack.encode(asked((b"k", b"v" * 800))) + keep
    receive(connection, frame(frames.HEADERS, frames.END_HEADERS, 1, large), data(1, framed(b"late"), end=True))
    assert resets(connection) == [(1, ErrorCode.ENHANCE_YOUR_CALM)]
    assert not connection.events
    receive(connection, frame(frames.HEADERS, frames.END_HEADERS, 3, hpack.encode(REQUEST) + b"\xbe"))
    (event,) = connection.events
    assert isinstance(event, RequestReceived)
    assert event.head.metadata == (("key", "value"),)  # the table is in step
    receive(connection, headers(3, ((b"k", b"v" * 1_500),), end=True))
    assert resets(connection) == [(3, ErrorCode.ENHANCE_YOUR_CALM)]
    assert not connection.streams
    receive(connection, headers(5, asked((b"k", b"v" * 4_000))))
    assert fault_of(connection) is ErrorCode.ENHANCE_YOUR_CALM


def test_header_blocks_of_refused_streams_keep_the_table_in_step() -> None:
    connection = peers.server(Limits(max_concurrent_streams=1))
    peers.server_call(connection)
    keep = b"\x40\x03key\x05value"
    block = hpack.encode(REQUEST)
    receive(connection, frame(frames.HEADERS, frames.END_HEADERS, 3, block + keep))
    receive(connection, frames.rst_stream_frame(1, 8))
    connection.events.clear()
    receive(connection, frame(frames.HEADERS, frames.END_HEADERS, 5, block + b"\xbe"))
    (event,) = connection.events
    assert isinstance(event, RequestReceived)
    assert event.head.metadata == (("key", "value"),)


# ---------------------------------------------------------------- refusals


def test_more_streams_than_allowed_are_refused() -> None:
    connection = peers.server(Limits(max_concurrent_streams=2))
    receive(connection, headers(1) + headers(3) + headers(5) + data(5, framed(b"unlucky"), end=True))
    assert resets(connection) == [(5, ErrorCode.REFUSED_STREAM)]
    connection.reset(connection.streams[1], ErrorCode.NO_ERROR)
    receive(connection, headers(7))
    assert list(connection.streams) == [3, 7]


def test_a_peer_that_does_not_read_its_statuses_gets_no_new_calls() -> None:
    """It would otherwise have us collect a status a call, without end."""
    limits = Limits(write_high_water=1_000, max_control_backlog=2_000)
    connection = peers.server(limits)
    connection.outbound.corked = True
    for stream_id in range(1, 100_000, 2):
        receive(connection, headers(stream_id, end=True))
        for event in connection.events:
            if isinstance(event, RequestReceived):
                connection.outbound.end(event.stream, response_block() + trailers_block(12, "no such method"))
        connection.events.clear()
        if connection.fault:
            break
    assert connection.outbound.size < 6_000
    found = sent(connection)
    assert (frames.RST_STREAM, ErrorCode.REFUSED_STREAM) in {(f.kind, f.number) for f in found}
    assert connection.fault is not None
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM


def test_data_as_long_as_announced_is_taken() -> None:
    connection = peers.server()
    fields = (*peers.REQUEST, (b"content-length", b"11"))
    receive(connection, headers(1, fields), data(1, peers.framed(b"x")), data(1, peers.framed(b""), end=True))
    (request,) = connection.events
    assert request.stream.take() == [b"x", b""]
    assert request.stream.remote_ended


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (b"grpc-encoding", b"br", "use one of identity, gzip"),
        (b"content-type", b"application/grpc+json", "messages here are application/grpc+proto"),
        (b"content-type", b"application/grpc+;v=1", "messages here are application/grpc+proto"),
    ],
)
def test_messages_that_we_cannot_read_are_refused_at_once(name: bytes, value: bytes, words: str) -> None:
    connection = peers.server()
    receive(connection, headers(1, asked((name, value))))
    (refused,) = connection.events
    assert isinstance(refused, RequestRefused)
    assert (refused.code, words in refused.reason) == (12, True)


def test_settings_frames_may_follow_the_preface_in_pieces() -> None:
    connection = ServerConnection(Limits())
    receive(connection, PREFACE[:10], PREFACE[10:] + SETTINGS[:4], SETTINGS[4:])
    assert connection.settings_seen


def test_a_status_is_cut_to_what_the_client_takes() -> None:
    connection = peers.server(settings={SettingId.MAX_HEADER_LIST_SIZE: 300})
    stream = peers.server_call(connection)
    connection.outbound.end(stream, trailers_block(8, "x" * 400))
    (found,) = sent(connection)
    assert 200 < len(found.payload) < 300
    assert found.payload.startswith(trailers_block(8))
