"""What a server answers to requests that are not gRPC."""

from __future__ import annotations

import pytest

from ride_trio.wire import ErrorCode, frames
from ride_trio.wire.frames import SettingId
from tests.wire import peers
from tests.wire.peers import asked, data, fields_of, headers, receive, sent


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ((b":method", b"GET"), b"405", b"gRPC calls are POST"),
        ((b"content-type", b"text/html"), b"415", b"this port speaks gRPC"),
    ],
)
def test_what_is_not_grpc_gets_an_http_answer(
    changed: tuple[bytes, bytes], status: bytes, words: bytes, end: bool
) -> None:
    connection = peers.server()
    receive(connection, headers(1, asked(changed), end=end), *([] if end else [data(1, b"a body", end=True)]))
    head, body = sent(connection)
    answer = fields_of(head)
    assert answer[b":status"] == status
    assert answer[b"content-type"].startswith(b"text/plain")
    assert answer[b"content-length"] == b"%d" % len(body.payload)
    assert (answer.get(b"allow") == b"POST") is (status == b"405")
    assert words in body.payload
    assert body.flags == frames.END_STREAM
    assert not connection.events
    assert not connection.streams
    assert connection.fault is None


def test_the_answer_to_head_has_no_body() -> None:
    connection = peers.server()
    receive(connection, headers(1, asked((b":method", b"HEAD")), end=True))
    (head,) = sent(connection)
    assert fields_of(head)[b"content-length"] == b"0"
    assert head.flags == frames.END_STREAM | frames.END_HEADERS
    assert not connection.streams


def test_an_http_answer_obeys_its_streams_window() -> None:
    connection = peers.server(settings={SettingId.INITIAL_WINDOW_SIZE: 3})
    receive(connection, headers(1, asked((b":method", b"GET")), end=True))
    _, begun = sent(connection)
    assert (begun.payload, begun.flags) == (b"GET", 0)
    receive(connection, frames.window_update_frame(1, 1_000))
    (rest,) = sent(connection)
    assert (rest.payload[:4], rest.flags) == (b" is ", frames.END_STREAM)
    assert not connection.streams


def test_an_upload_that_nobody_wants_is_borne_for_half_a_window() -> None:
    connection = peers.server()
    receive(connection, headers(1, asked((b"content-type", b"text/html"))))
    sent(connection)
    receive(connection, data(1, bytes(16_000)), data(1, bytes(16_000)))
    assert sent(connection) == []
    receive(connection, data(1, bytes(16_000)))
    assert [(f.kind, f.number) for f in sent(connection)] == [(frames.RST_STREAM, ErrorCode.NO_ERROR)]
    assert not connection.streams


@pytest.mark.parametrize("end_at_once", [True, False])
@pytest.mark.parametrize("content_type", [b"application/grpc", b"text/html"])
@pytest.mark.parametrize("bodies", [[], [b"\0\0\0\0\0"], [b"\0\0\0\0\0", b"\0"], [b"\0" * 7]])
def test_data_that_is_not_as_long_as_announced_resets_the_stream(
    bodies: list[bytes], content_type: bytes, end_at_once: bool
) -> None:
    connection = peers.server()
    fields = (*asked((b"content-type", content_type)), (b"content-length", b"10"))
    ends = [data(1, b"", end=True)]
    if end_at_once:
        ends = []
        bodies = bodies or [b""]
    frames_of_it = [data(1, body, end=end_at_once and body is bodies[-1]) for body in bodies]
    receive(connection, headers(1, fields), *frames_of_it, *ends)
    resets = [(f.stream_id, f.number) for f in sent(connection) if f.kind == frames.RST_STREAM]
    assert resets == [(1, ErrorCode.PROTOCOL_ERROR)]
    assert connection.fault is None


def test_a_tunnel_is_not_for_here() -> None:
    connection = peers.server()
    receive(connection, headers(1, ((b":method", b"CONNECT"), (b":authority", b"elsewhere:443"))))
    head, _ = sent(connection)
    assert fields_of(head)[b":status"] == b"405"
    receive(connection, headers(3, ((b":method", b"CONNECT"), (b":authority", b"a"), (b":scheme", b"http"))))
    assert [(f.stream_id, f.number) for f in sent(connection)] == [(3, ErrorCode.PROTOCOL_ERROR)]


def test_the_body_of_an_http_answer_counts_against_the_connections_window() -> None:
    connection = peers.server()
    before = connection.outbound.window
    receive(connection, headers(1, asked((b":method", b"GET")), end=True))
    _, body = sent(connection)
    assert connection.outbound.window == before - len(body.payload)
