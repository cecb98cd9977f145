"""The connection's receive window, and what a server's connections may hold unread together."""

from __future__ import annotations

import pytest

from ride_trio.wire import Limits, ServerConnection, Stream, frames
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.loans import Loans
from ride_trio.wire.reserve import Reserve
from ride_trio.wire.shared import Shared
from tests.wire import peers
from tests.wire.peers import data, framed, headers, receive, take

WINDOW = 65_535
# Two windows of streams fill the connection's own.
LIMITS = Limits(connection_window=2 * WINDOW)


def connection_with(reserve_bytes: int, calls: int = 4) -> tuple[ServerConnection, list[Stream], Reserve]:
    shared = Shared(Loans(0), Reserve(reserve_bytes))
    connection = ServerConnection(LIMITS, shared)
    receive(connection, peers.PREFACE, peers.SETTINGS)
    streams = [peers.server_call(connection, 2 * number + 1) for number in range(calls)]
    connection.outbound.take_output()
    return connection, streams, shared.reserve


def fill(connection: ServerConnection, stream: Stream, size: int = WINDOW - 100) -> None:
    """A message that nobody takes, as far as the window goes."""
    wire = framed(bytes(size))
    for start in range(0, len(wire), 16_000):
        receive(connection, data(stream.id, wire[start : start + 16_000]))


def test_an_account_gives_what_it_has() -> None:
    reserve = Reserve(100)
    assert reserve.adjust(0, 60) == 60
    assert reserve.adjust(0, 60) == 40
    assert reserve.adjust(60, 10) == 10
    assert repr(reserve) == "<Reserve 50 of 100 bytes free>"


def test_one_window_may_always_lie_unread() -> None:
    connection, streams, reserve = connection_with(0)
    for stream in streams[:2]:
        fill(connection, stream)
    assert not connection.crowded
    assert reserve.free_bytes == 0


def test_beyond_that_the_reserve_is_used_and_given_back() -> None:
    connection, streams, reserve = connection_with(10 * WINDOW)
    for stream in streams:
        fill(connection, stream)
    assert not connection.crowded
    assert reserve.free_bytes < 10 * WINDOW - WINDOW
    for stream in streams:
        take(connection, stream)
    connection.relax()
    assert reserve.free_bytes == 10 * WINDOW
    assert connection._window == 2 * WINDOW


def test_without_reserve_the_window_comes_back_as_calls_read() -> None:
    connection, streams, _ = connection_with(0)
    for stream in streams[:3]:
        fill(connection, stream)
    assert connection.crowded
    assert connection.unsettled
    assert connection.fault is None
    left = connection._window
    connection.outbound.take_output()
    take(connection, streams[0])
    assert not connection.crowded
    (update,) = [f for f in peers.sent(connection) if f.stream_id == 0]
    assert left + update.number == connection._window == 2 * WINDOW


def test_who_sends_on_all_the_same_breaks_the_rules() -> None:
    connection, streams, _ = connection_with(0)
    for stream in streams:
        fill(connection, stream)
    fill(connection, streams[3], 60_000)
    assert connection.fault is not None
    assert connection.fault.code is ErrorCode.FLOW_CONTROL_ERROR


def test_a_crowded_connection_gets_no_new_calls() -> None:
    connection, streams, _ = connection_with(0)
    for stream in streams[:3]:
        fill(connection, stream)
    connection.outbound.take_output()
    receive(connection, headers(9))
    assert [(f.stream_id, f.number) for f in peers.sent(connection)] == [(9, ErrorCode.REFUSED_STREAM)]
    take(connection, streams[0])
    receive(connection, headers(11))
    assert 11 in connection.streams


def test_answers_that_the_peer_does_not_let_out_count_too() -> None:
    connection, streams, _ = connection_with(0)
    for stream in streams[:3]:
        stream.send_window = 0
        connection.outbound.send_headers(stream, b"\x88")
        connection.outbound.send_message(stream, bytes(WINDOW))
    assert connection.outbound.pending_bytes == 3 * (WINDOW + 5)
    connection.outbound.take_output()
    receive(connection, headers(9))
    assert [(f.stream_id, f.number) for f in peers.sent(connection)] == [(9, ErrorCode.REFUSED_STREAM)]
    for stream in streams[:2]:
        connection.reset(stream, ErrorCode.CANCEL)
    assert connection.outbound.pending_bytes == WINDOW + 5
    receive(connection, headers(11))
    assert 11 in connection.streams


def test_one_large_answer_that_waits_costs_other_calls_nothing() -> None:
    connection, streams, _ = connection_with(0)
    for stream, size in zip(streams, (10 * WINDOW, WINDOW), strict=False):
        stream.send_window = 0
        connection.outbound.send_headers(stream, b"\x88")
        connection.outbound.send_message(stream, bytes(size))
    receive(connection, headers(9))
    assert 9 in connection.streams
    connection.outbound.send_message(streams[1], bytes(WINDOW))
    connection.outbound.take_output()
    receive(connection, headers(11))
    assert [(f.stream_id, f.number) for f in peers.sent(connection)] == [(11, ErrorCode.REFUSED_STREAM)]


def test_a_stream_that_is_over_holds_nothing() -> None:
    connection, streams, _ = connection_with(0)
    for stream in streams[:3]:
        fill(connection, stream)
    receive(connection, *(frames.rst_stream_frame(stream.id, 8) for stream in streams[:3]))
    assert not connection.crowded
    take(connection, streams[0])  # its reader is late: nothing is counted twice
    fill(connection, streams[3])
    assert connection._arrived - connection.outbound.taken <= 2 * WINDOW


def test_small_messages_weigh_more_than_their_bytes() -> None:
    connection, streams, _ = connection_with(0)
    tiny = framed(b"xx") * 2_000
    receive(connection, *(data(stream.id, tiny) for stream in streams), *(data(s.id, tiny) for s in streams))
    assert connection._arrived == 0  # 112 KB: less than a window, but past its half
    receive(connection, data(1, tiny))
    assert connection.crowded


def test_data_that_belongs_to_nobody_is_not_counted_for_ever() -> None:
    connection, streams, _ = connection_with(0)
    connection.reset(streams[0], ErrorCode.CANCEL)
    for _ in range(100):
        receive(connection, data(streams[0].id, bytes(10_000)))
    assert not connection.crowded
    assert connection.fault is None


@pytest.mark.parametrize("overhead", [0, 3 * WINDOW])
def test_what_calls_work_on_counts(overhead: int) -> None:
    connection, streams, _ = connection_with(0)
    streams[0].overhead = overhead
    for stream in streams[:2]:
        fill(connection, stream)
    assert connection.crowded is bool(overhead)


def test_the_end_of_a_connection_frees_its_share() -> None:
    connection, streams, reserve = connection_with(10 * WINDOW)
    for stream in streams:
        fill(connection, stream)
    assert reserve.free_bytes < 10 * WINDOW
    connection.release()
    assert reserve.free_bytes == 10 * WINDOW
