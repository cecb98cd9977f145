"""Frames without messages, for both roles: RFC 9113, section 6, and how streams and connections end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ride_trio.wire import Connection, ErrorCode, Limits, Stream, frames
from ride_trio.wire.events import ConnectionEnded, GoAwayReceived, PingAcknowledged, StreamReset
from ride_trio.wire.frames import frame
from ride_trio.wire.states import State
from tests.wire import peers
from tests.wire.peers import Frame, data, fault_of, framed, headers, news, receive, resets, sent, take

Role = Callable[..., tuple[Connection, Stream]]
WINDOW = frames.SettingId.INITIAL_WINDOW_SIZE


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


# ---------------------------------------------------------------- faults of the connection


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.SETTINGS, frames.ACK, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.settings_frame({WINDOW: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 0, bytes(9)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 1, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.window_update_frame(0, 0), ErrorCode.PROTOCOL_ERROR),
        (frames.window_update_frame(0, 2**31), ErrorCode.PROTOCOL_ERROR),  # 0 beside its reserved bit
        (frames.window_update_frame(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.window_update_frame(99, 1), ErrorCode.PROTOCOL_ERROR),  # idle
        (frame(frames.RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.rst_stream_frame(0, 8), ErrorCode.PROTOCOL_ERROR),
        (frames.rst_stream_frame(99, 8), ErrorCode.PROTOCOL_ERROR),  # idle
        (frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.PRIORITY, 0, 99, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),  # an idle stream cannot be reset
        (frame(frames.PRIORITY, 0, 1, b"\0\0\0\1\0"), ErrorCode.PROTOCOL_ERROR),  # depends on itself
        (frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, b"\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
        (data(0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (data(99, b"x"), ErrorCode.PROTOCOL_ERROR),  # idle
        (frame(frames.HEADERS, frames.END_HEADERS, 0), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.CONTINUATION, frames.END_HEADERS, 1), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.PRIORITY_FLAG, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.HEADERS, frames.PADDED, 1, b"\5abcd"), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff"), ErrorCode.COMPRESSION_ERROR),
        (frame(frames.DATA, frames.PADDED, 1, b"\4abc"), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.DATA, frames.PADDED, 1, b""), ErrorCode.FRAME_SIZE_ERROR),  # not even its padding's length
        (frame(frames.DATA, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(0xFA, 0, 0, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.HEADERS, 0, 1, b"") + frames.ping_frame(bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 1, b"") + data(1, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 0, 1, b"") + frame(0xFA, 0, 0), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_broken_rule_of_the_connection_is_a_goaway(role: Role, wrong: bytes, code: ErrorCode) -> None:
    connection, _ = role()
    receive(connection, wrong)
    assert connection.fault is not None
    assert connection.events[-1] == ConnectionEnded(connection.fault)
    assert fault_of(connection) is code


def test_an_oversized_frame_is_refused_by_its_header(role: Role) -> None:
    connection, _ = role()
    receive(connection, frame(frames.DATA, 0, 1, bytes(16_385))[:9])
    assert fault_of(connection) is ErrorCode.FRAME_SIZE_ERROR


def test_after_a_fault_nothing_is_read_or_kept(role: Role) -> None:
    connection, stream = role()
    receive(connection, data(0, b""))
    connection.events.clear()
    receive(connection, data(stream.id, framed(b"x")), bytes(1_000_000))
    assert not connection.events
    assert not stream.inbox
    assert len(connection._buffer) < 100


# ---------------------------------------------------------------- what is ignored


@pytest.mark.parametrize(
    "harmless",
    [
        frame(0xFA, 0xFF, 1, b"an unknown type"),
        frame(0xFA, 0xFF, 99, b"on an idle stream"),
        frame(frames.PRIORITY, 0, 1, b"\0\0\0\3\0"),
        frame(frames.PRIORITY, 0, 99, b"\0\0\0\3\0"),
        frames.settings_frame({0xFFFF: 1}),
        frame(frames.SETTINGS, frames.ACK, 0),
        frame(frames.PING, 0xFE, 0, bytes(8)),  # unknown flags
        frames.window_update_frame(0, 1),
        frames.window_update_frame(1, 1),
        frames.window_update_frame(2**31 + 1, 1),  # a reserved bit
    ],
)
def test_harmless_frames(role: Role, harmless: bytes) -> None:
    connection, stream = role()
    receive(connection, harmless, data(stream.id, framed(b"x")))
    assert connection.fault is None
    assert stream.inbox == [b"x"]


def test_a_ping_is_answered_with_its_payload(role: Role) -> None:
    connection, _ = role()
    receive(connection, frames.ping_frame(b"payload!"))
    assert sent(connection) == [Frame(frames.PING, frames.ACK, 0, b"payload!")]


def test_the_answer_to_our_ping_is_an_event(role: Role) -> None:
    connection, _ = role()
    receive(connection, frames.ping_frame(b"payload!", ack=True))
    assert connection.events == [PingAcknowledged(b"payload!")]
    assert not connection.outbound.output


def test_a_goaway_is_an_event(role: Role) -> None:
    connection, _ = role()
    receive(connection, frames.goaway_frame(2**31 + 7, 11, b"calm down"))
    assert connection.events == [GoAwayReceived(7, 11, b"calm down")]


# ---------------------------------------------------------------- settings


def test_settings_are_acknowledged_one_by_one(role: Role) -> None:
    connection, _ = role()
    receive(connection, frames.settings_frame({}) * 2)
    assert sent(connection) == [Frame(frames.SETTINGS, frames.ACK, 0, b"")] * 2


def test_a_new_initial_window_moves_open_streams(role: Role) -> None:
    connection, stream = role()
    receive(connection, frames.settings_frame({WINDOW: 5}))
    assert stream.send_window == 5
    assert not connection.outbound.send_message(stream, b"hello")
    receive(connection, frames.settings_frame({WINDOW: 3}))
    assert stream.send_window == -2
    connection.outbound.take_output()
    receive(connection, frames.settings_frame({WINDOW: 5}))
    assert b"".join(f.payload for f in sent(connection) if f.kind == frames.DATA) == b""
    receive(connection, frames.settings_frame({WINDOW: 10}))
    assert b"".join(f.payload for f in sent(connection) if f.kind == frames.DATA) == b"hello"
    assert connection.outbound.writable == [stream]


def test_settings_may_not_overflow_a_window(role: Role) -> None:
    connection, stream = role()
    receive(connection, frames.window_update_frame(stream.id, 100_000))
    receive(connection, frames.settings_frame({WINDOW: 2**31 - 1}))
    assert fault_of(connection) is ErrorCode.FLOW_CONTROL_ERROR


def test_a_larger_frame_size_is_used(role: Role) -> None:
    connection, stream = role()
    receive(connection, frames.settings_frame({frames.SettingId.MAX_FRAME_SIZE: 20_000}))
    connection.outbound.take_output()
    connection.outbound.send_message(stream, bytes(19_000))
    assert [len(f.payload) for f in sent(connection)] == [19_005]


def test_a_small_window_of_ours_counts_from_the_acknowledgement_on() -> None:
    """Until the client has seen our SETTINGS it may use the protocol's 65,535 bytes (section 6.9.2)."""
    connection = peers.ServerConnection(Limits(stream_window=100))
    receive(connection, frames.PREFACE + peers.SETTINGS + headers(1) + data(1, framed(bytes(995))))
    stream = connection.streams[1]
    assert stream.state is State.OPEN
    receive(connection, peers.SETTINGS_ACK)
    assert take(connection, stream) == [bytes(995)]
    assert (stream.recv_window, stream.full_window, stream.held) == (100, 100, 0)
    receive(connection, data(1, bytes(101)))
    assert resets(connection) == [(1, ErrorCode.FLOW_CONTROL_ERROR)]


# ---------------------------------------------------------------- window updates


def test_a_window_update_lets_pending_bytes_out(role: Role) -> None:
    connection, stream = role()
    connection.outbound.window = stream.send_window = 6
    assert not connection.outbound.send_message(stream, b"hello")
    connection.outbound.take_output()
    receive(connection, frames.window_update_frame(stream.id, 100))
    assert not connection.outbound.output
    receive(connection, frames.window_update_frame(0, 3))
    assert [f.payload for f in sent(connection)] == [b"ell"]
    receive(connection, frames.window_update_frame(0, 1))
    assert [f.payload for f in sent(connection)] == [b"o"]


@pytest.mark.parametrize(
    ("increment", "code"), [(0, ErrorCode.PROTOCOL_ERROR), (2**31 - 1, ErrorCode.FLOW_CONTROL_ERROR)]
)
def test_a_wrong_window_update_resets_its_stream(role: Role, increment: int, code: ErrorCode) -> None:
    connection, stream = role()
    receive(connection, frames.window_update_frame(stream.id, increment))
    assert resets(connection) == [(stream.id, code)]
    assert connection.events == [StreamReset(stream, code, by_peer=False, reason=connection.events[0].reason)]
    assert connection.fault is None


def test_a_window_update_of_a_closed_stream_is_ignored(role: Role) -> None:
    connection, stream = role()
    connection.reset(stream, ErrorCode.CANCEL)
    connection.outbound.take_output()
    receive(connection, frames.window_update_frame(stream.id, 1))
    assert not connection.outbound.output
    assert connection.fault is None


# ---------------------------------------------------------------- resets


def test_a_reset_of_the_peer_ends_the_stream(role: Role) -> None:
    connection, stream = role()
    connection.outbound.window = 0
    connection.outbound.send_message(stream, b"never sent")
    receive(connection, frames.rst_stream_frame(stream.id, ErrorCode.CANCEL))
    assert connection.events == [StreamReset(stream, ErrorCode.CANCEL, by_peer=True)]
    assert stream.state is State.CLOSED
    assert not connection.streams
    assert not connection.outbound.waiting
    receive(connection, frames.rst_stream_frame(stream.id, ErrorCode.CANCEL), frames.window_update_frame(0, 10))
    assert not connection.outbound.output
    assert len(connection.events) == 1


def test_our_reset_is_sent_once(role: Role) -> None:
    connection, stream = role()
    for _ in range(2):
        connection.reset(stream, ErrorCode.CANCEL)
    assert resets(connection) == [(stream.id, ErrorCode.CANCEL)]
    assert not connection.streams


def test_what_was_on_its_way_when_we_reset_is_ignored_but_counted(role: Role) -> None:
    connection, stream = role()
    connection.reset(stream, ErrorCode.CANCEL)
    connection.outbound.take_output()
    before = connection._window
    late = data(stream.id, b"late") + headers(stream.id, ((b"k", b"v"),), end=True)
    receive(connection, late + frames.rst_stream_frame(stream.id, 8))
    assert connection.fault is None
    assert not connection.outbound.output
    assert connection._window == before - 4


def test_data_on_a_closed_stream_is_refused_once(role: Role) -> None:
    connection, stream = role()
    receive(connection, frames.rst_stream_frame(stream.id, ErrorCode.CANCEL))
    receive(connection, data(stream.id, b"x") * 3)
    assert resets(connection) == [(stream.id, ErrorCode.STREAM_CLOSED)]


def test_data_after_the_end_is_refused_and_counted(role: Role) -> None:
    connection, stream = role()
    receive(connection, data(stream.id, b"", end=True))
    before = connection._window
    receive(connection, data(stream.id, b"x" * 100))
    assert resets(connection) == [(stream.id, ErrorCode.STREAM_CLOSED)]
    assert connection._window == before - 100


def test_a_priority_frame_of_a_wrong_length_resets_its_stream(role: Role) -> None:
    connection, stream = role()
    receive(connection, frame(frames.PRIORITY, 0, stream.id, bytes(4)))
    assert resets(connection) == [(stream.id, ErrorCode.FRAME_SIZE_ERROR)]


def test_only_so_many_resets_are_remembered(role: Role) -> None:
    connection, stream = role()
    connection.reset(stream, ErrorCode.CANCEL)
    for stream_id in range(3, 4_003, 2):
        connection._remember_reset(stream_id)
    assert len(connection._resets) == 1_000
    assert stream.id not in connection._resets


# ---------------------------------------------------------------- a peer that does not read


@pytest.mark.parametrize(
    "request_for_an_answer",
    [
        frames.ping_frame(bytes(8)),
        frames.settings_frame({}),
        frames.window_update_frame(3, 0) + frames.rst_stream_frame(3, 8),
        data(1, b"x", padding=255),
    ],
    ids=["pings", "settings", "window updates of 0", "padding"],
)
def test_answers_that_nobody_reads_end_the_connection(request_for_an_answer: bytes) -> None:
    connection = peers.server(Limits(max_control_backlog=2_000))
    peers.server_call(connection)
    receive(connection, headers(3) + headers(5) + frames.rst_stream_frame(3, 8))
    connection.outbound.corked = True
    for _ in range(70_000):
        receive(connection, request_for_an_answer)
        if connection.fault:
            break
    assert connection.outbound.size < 3_000
    assert fault_of(connection) is ErrorCode.ENHANCE_YOUR_CALM


def test_pings_that_are_read_are_answered_for_ever(role: Role) -> None:
    connection, _ = role(Limits(max_control_backlog=2_000))
    for _ in range(1_000):
        receive(connection, frames.ping_frame(bytes(8)))
        connection.outbound.take_output()
    assert connection.fault is None


def test_a_large_message_on_its_way_is_no_reason_to_refuse_a_ping(role: Role) -> None:
    connection, stream = role()
    connection.outbound.window = stream.send_window = 2**31 - 1
    receive(connection, frames.settings_frame({frames.SettingId.MAX_FRAME_SIZE: 2**24 - 1}))
    connection.outbound.high_water = 10_000_000
    connection.outbound.send_message(stream, bytes(9_000_000))
    receive(connection, frames.ping_frame(bytes(8)))
    assert connection.fault is None


# ---------------------------------------------------------------- goaway


def test_a_goaway_names_the_last_stream_and_never_a_later_one() -> None:
    connection = peers.server()
    peers.server_call(connection, 5)
    connection.goaway()
    receive(connection, headers(7))
    receive(connection, data(0, b""))
    last_ids = [f.payload[:4] for f in sent(connection) if f.kind == frames.GOAWAY]
    assert last_ids == [b"\0\0\0\5", b"\0\0\0\5"]


def test_after_our_goaway_open_streams_go_on_and_new_ones_are_refused() -> None:
    connection = peers.server()
    stream = peers.server_call(connection, 1)
    connection.goaway()
    assert connection.goaway_sent
    connection.outbound.take_output()
    receive(connection, headers(3) + data(3, framed(b"unlucky"), end=True) + data(1, framed(b"x")))
    assert resets(connection) == [(3, ErrorCode.REFUSED_STREAM)]
    assert connection.fault is None
    assert news(connection) == [stream]
    assert take(connection, stream) == [b"x"]
