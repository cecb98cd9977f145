"""The client's side: calls, responses, trailers."""

from __future__ import annotations

import pytest

from ride_trio.wire import ClientConnection, ErrorCode, Limits, LocalError, frames
from ride_trio.wire.events import ResponseReceived, StreamReset, TrailersReceived
from ride_trio.wire.frames import PREFACE, SettingId
from ride_trio.wire.headers import RequestHead, Trailers, parse_request
from ride_trio.wire.hpack import Decoder
from ride_trio.wire.settings import parse
from ride_trio.wire.states import State
from tests.wire import peers
from tests.wire.peers import RESPONSE, client_call, data, fault_of, framed, headers, receive, resets, sent

OK = ((b"grpc-status", b"0"),)
TRAILERS_ONLY = (*RESPONSE, (b"grpc-status", b"12"), (b"grpc-message", b"no such method"))


def test_it_begins_with_the_preface_and_its_settings() -> None:
    connection = ClientConnection(Limits())
    output = connection.outbound.take_output()
    assert output.startswith(PREFACE)
    settings, window = peers.read_frames(output.removeprefix(PREFACE))
    assert dict(parse(settings.payload)) == {
        SettingId.ENABLE_PUSH: 0,
        SettingId.INITIAL_WINDOW_SIZE: 65_535,
        SettingId.MAX_HEADER_LIST_SIZE: 16_384,
    }
    assert (window.kind, window.number) == (frames.WINDOW_UPDATE, 262_144 - 65_535)


def test_a_call_starts_with_headers() -> None:
    connection = peers.client(settings={SettingId.INITIAL_WINDOW_SIZE: 777})
    head = RequestHead("/a/B", authority="host:1", metadata=(("k", "v"),))
    stream = connection.open(head)
    (request,) = sent(connection)
    assert (request.kind, request.flags, request.stream_id) == (frames.HEADERS, frames.END_HEADERS, 1)
    assert parse_request(1, Decoder(65_536).decode(request.payload)).metadata == head.metadata
    assert (stream.state, stream.send_window) == (State.OPEN, 777)
    assert connection.streams == {1: stream}


def test_calls_have_odd_ids_that_go_up_until_they_are_used_up() -> None:
    connection = peers.client()
    assert [client_call(connection).id for _ in range(3)] == [1, 3, 5]
    connection._next_stream_id = 2**31 - 1
    assert client_call(connection).id == 2**31 - 1
    with pytest.raises(LocalError, match="used up"):
        client_call(connection)


def test_a_call_with_wrong_metadata_uses_no_stream() -> None:
    connection = peers.client()
    with pytest.raises(LocalError):
        connection.open(RequestHead("/a/B", metadata=(("Upper", "v"),)))
    assert not connection.streams
    assert client_call(connection).id == 1


def test_the_server_says_how_many_calls_may_be_open() -> None:
    connection = peers.client(settings={SettingId.MAX_CONCURRENT_STREAMS: 2})
    client_call(connection)
    assert connection.can_open
    second = client_call(connection)
    assert not connection.can_open
    connection.reset(second, ErrorCode.CANCEL)
    assert connection.can_open


# ---------------------------------------------------------------- responses


def test_a_whole_response() -> None:
    connection = peers.client()
    stream = client_call(connection)
    connection.outbound.end(stream)
    receive(connection, headers(1, RESPONSE) + data(1, framed(b"x")) + headers(1, OK, end=True))
    response, trailers = connection.events
    assert isinstance(response, ResponseReceived)
    assert response.head.http_status == 200
    assert trailers == TrailersReceived(stream, Trailers(0, "", ()))
    assert stream.take() == [b"x"]
    assert stream.state is State.CLOSED
    assert not connection.streams
    assert connection.ready == [stream]


def test_a_response_may_end_before_the_request() -> None:
    connection = peers.client()
    stream = client_call(connection, answered=True)
    receive(connection, headers(1, OK, end=True))
    assert stream.state is State.HALF_CLOSED_REMOTE
    connection.outbound.end(stream)
    assert not connection.streams


def test_trailers_only() -> None:
    connection = peers.client()
    stream = client_call(connection)
    receive(connection, headers(1, TRAILERS_ONLY, end=True))
    response, trailers = connection.events
    assert isinstance(response, ResponseReceived)
    assert trailers == TrailersReceived(stream, Trailers(12, "no such method", ()))
    assert stream.remote_ended


def test_informational_responses_are_passed_over() -> None:
    connection = peers.client()
    client_call(connection)
    receive(connection, headers(1, ((b":status", b"103"), (b"link", b"x"))) * 2 + headers(1, RESPONSE))
    (event,) = connection.events
    assert isinstance(event, ResponseReceived)
    assert event.head.http_status == 200


def test_a_response_that_ends_on_data_has_no_status() -> None:
    connection = peers.client()
    stream = client_call(connection, answered=True)
    receive(connection, data(1, framed(b"x"), end=True))
    assert connection.events == [
        TrailersReceived(stream, Trailers(13, "the server ended the stream without a status", ()))
    ]
    assert stream.take() == [b"x"]


@pytest.mark.parametrize(
    "answer",
    [
        data(1, framed(b"x")),
        data(1, framed(b"x"), padding=3),
        data(1, b"", end=True),
        headers(1, ((b":status", b"100"),), end=True),
        headers(1, ((b"k", b"v"),)),
        headers(1, (*RESPONSE, (b"Upper", b"v"))),
        headers(1, RESPONSE) + headers(1, OK),  # trailers without END_STREAM
        headers(1, RESPONSE) + headers(1, RESPONSE, end=True),
        headers(1, ((b":status", b"103"),)) + data(1, b""),
    ],
    ids=[
        "data first",
        "padded data first",
        "an end first",
        "ends informational",
        "no status",
        "malformed",
        "trailers that are not the end",
        "a status in trailers",
        "data after informational",
    ],
)
def test_a_malformed_response_is_reset(answer: bytes) -> None:
    connection = peers.client()
    stream = client_call(connection)
    receive(connection, answer)
    assert resets(connection) == [(1, ErrorCode.PROTOCOL_ERROR)]
    event = connection.events[-1]
    assert isinstance(event, StreamReset)
    assert (event.stream, event.by_peer) == (stream, False)
    assert connection.fault is None
    assert not connection.streams


def test_data_before_the_headers_counts_against_the_connections_window() -> None:
    connection = peers.client()
    client_call(connection)
    before = connection._window
    receive(connection, data(1, bytes(100)))
    assert connection._window == before - 100


def test_a_status_of_any_length_ends_the_call() -> None:
    connection = peers.client()
    client_call(connection, answered=True)
    receive(connection, headers(1, ((b"grpc-status", b"9" * 5_000),), end=True))
    (event,) = connection.events
    assert isinstance(event, TrailersReceived)
    assert event.trailers.code == 2


def test_a_failed_message_does_not_hide_the_trailers() -> None:
    connection = peers.client()
    stream = client_call(connection, answered=True)
    receive(connection, data(1, framed(b"x", 1)), headers(1, OK, end=True))
    assert stream.failure is not None
    assert isinstance(connection.events[-1], TrailersReceived)


def test_the_server_resets_a_call() -> None:
    connection = peers.client()
    stream = client_call(connection)
    receive(connection, frames.rst_stream_frame(1, ErrorCode.REFUSED_STREAM))
    assert connection.events == [StreamReset(stream, ErrorCode.REFUSED_STREAM, by_peer=True)]


def test_late_frames_of_a_cancelled_call_are_ignored() -> None:
    connection = peers.client()
    stream = client_call(connection)
    connection.reset(stream, ErrorCode.CANCEL)
    connection.outbound.take_output()
    receive(connection, headers(1, RESPONSE) + data(1, framed(b"x")) + headers(1, OK, end=True))
    assert not connection.events
    assert not connection.outbound.output
    assert connection.fault is None


@pytest.mark.parametrize("stream_id", [2, 3, 2**31 - 1])
@pytest.mark.parametrize("kind", ["headers", "data"])
def test_frames_on_streams_that_nobody_opened(stream_id: int, kind: str) -> None:
    connection = peers.client()
    client_call(connection)
    receive(connection, headers(stream_id, RESPONSE) if kind == "headers" else data(stream_id, b""))
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


def test_the_first_frame_has_to_be_settings() -> None:
    connection = ClientConnection(Limits())
    client_call(connection)
    receive(connection, headers(1, RESPONSE))
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


def test_a_server_that_speaks_http_1_is_refused() -> None:
    connection = ClientConnection(Limits())
    receive(connection, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert fault_of(connection) is ErrorCode.FRAME_SIZE_ERROR


def test_a_server_may_not_switch_push_on() -> None:
    connection = peers.client()
    receive(connection, frames.settings_frame({SettingId.ENABLE_PUSH: 1}))
    assert fault_of(connection) is ErrorCode.PROTOCOL_ERROR


def test_a_status_that_is_too_large_costs_its_own_call_only() -> None:
    connection = peers.client(Limits(max_header_list=1_000))
    first, second = client_call(connection, answered=True), client_call(connection, answered=True)
    receive(connection, headers(first.id, ((b"grpc-status", b"5"), (b"grpc-message", b"x" * 1_500)), end=True))
    assert resets(connection) == [(first.id, ErrorCode.ENHANCE_YOUR_CALM)]
    (event,) = connection.events
    assert isinstance(event, StreamReset)
    assert (event.stream, event.by_peer, event.reason) == (first, False, "header list too large")
    receive(connection, headers(first.id, ((b"k", b"x" * 1_500),), end=True))  # late: ignored
    receive(connection, headers(second.id, OK, end=True))
    assert connection.events[1:] == [TrailersReceived(second, Trailers(0, "", ()))]
