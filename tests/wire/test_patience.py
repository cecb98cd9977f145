"""What serves nothing is borne for a while, and then no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ride_trio.wire import ErrorCode, Limits, ServerConnection, frames
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import SettingId, frame, rst_stream_frame, settings_frame, window_update_frame
from ride_trio.wire.headers import response_block, trailers_block
from ride_trio.wire.patience import BYTES_A_UNIT, RESET_COST, Patience
from tests.wire import peers
from tests.wire.peers import data, headers, receive

LIMITS = Limits(patience=200, max_control_backlog=2**30)


def test_what_is_spent_comes_back_with_time() -> None:
    patience = Patience(100, 10)
    assert not patience.strained
    patience.spend(100, "noise")
    patience.refill(1_000.0)  # from now on
    assert (patience.left, patience.strained) == (0, True)
    for step in range(1, 11):  # nothing is lost by asking often
        patience.refill(1_000.0 + step * 0.051)
    assert patience.left == 5
    patience.refill(2_000.0)
    assert (patience.left, patience.strained) == (100, False)


def test_useful_output_earns() -> None:
    patience = Patience(100, 10)
    patience.spend(50, "noise")
    patience.earn(10 * BYTES_A_UNIT - 1)
    assert patience.left == 59
    patience.earn(10 * BYTES_A_UNIT)  # the rest was not lost
    assert patience.left == 60
    patience.earn(10**6)
    assert patience.left == 100
    assert repr(patience) == "<Patience 100 of 100>"


def test_who_has_spent_all_is_told_what_it_was() -> None:
    patience = Patience(10, 10)
    patience.spend(10, "noise")
    with pytest.raises(ConnectionFault, match="at last: more noise") as caught:
        patience.spend(1, "more noise")
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def _open_and_reset(number: int) -> bytes:
    return headers(2 * number + 1) + rst_stream_frame(2 * number + 1, ErrorCode.CANCEL)


def _spoiled(number: int) -> bytes:
    """A request that we have to reset: made-you-reset."""
    return headers(2 * number + 1) + window_update_frame(2 * number + 1, 0)


NOISE: dict[str, Callable[[int], bytes]] = {
    "ping": lambda number: frames.ping_frame(bytes(8)),
    "settings": lambda number: settings_frame({}),
    "settings acks": lambda number: frame(frames.SETTINGS, frames.ACK, 0),
    "priority": lambda number: frame(frames.PRIORITY, 0, 2 * number + 1, b"\0\0\0\0\1"),
    "unknown": lambda number: frame(0xBA, 0, 0, b"?"),
    "window updates": lambda number: window_update_frame(0, 1),
    "goaway": lambda number: frames.goaway_frame(0, 0),
    "empty data": lambda number: data(1, b""),
    "padding": lambda number: data(1, b"", padding=3),
    "reset of what is closed": lambda number: rst_stream_frame(1, 8),
    "opened and reset": _open_and_reset,
    "spoiled": _spoiled,
}


@pytest.mark.parametrize("name", NOISE)
def test_noise_ends_a_connection_in_the_end(name: str) -> None:
    connection = peers.server(LIMITS)
    if "data" in name or "padding" in name:
        peers.server_call(connection)
    if "closed" in name:
        receive(connection, headers(1), rst_stream_frame(1, 8))
    number = 0
    while connection.fault is None:
        receive(connection, NOISE[name](number))
        number += 1
        assert number <= LIMITS.patience + 1
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM
    dear = name in ("opened and reset", "spoiled")
    assert number >= LIMITS.patience // (2 * RESET_COST if dear else 2)


def test_calls_that_are_answered_never_end_a_connection() -> None:
    """Each is answered, and read: with the window updates of a client that gives back every byte at once."""
    connection = peers.server(LIMITS)
    for number in range(500):
        stream = peers.server_call(connection, 2 * number + 1)
        connection.outbound.send_headers(stream, response_block())
        connection.outbound.send_message(stream, b"hello")
        receive(connection, window_update_frame(0, 10), window_update_frame(stream.id, 10))
        connection.outbound.end(stream, trailers_block(0))
        connection.reset(stream, ErrorCode.NO_ERROR)
        connection.outbound.take_output()
    assert connection.fault is None


def test_settings_that_move_many_windows_are_dear() -> None:
    connection = ServerConnection(Limits(patience=200, max_concurrent_streams=1_000))
    receive(connection, peers.PREFACE, settings_frame({}))
    for number in range(1_000):
        receive(connection, headers(2 * number + 1))
    moves = 0
    while connection.fault is None:
        receive(connection, settings_frame({SettingId.INITIAL_WINDOW_SIZE: 1_000 + moves}))
        moves += 1
    assert moves == 2


@pytest.mark.parametrize("piece", [1, 100])
def test_an_answer_that_is_taken_in_small_pieces_earns_nothing(piece: int) -> None:
    """What each of them is sent in looks like output, but is only caused by its window update (CVE-2019-9511)."""
    connection = peers.server(LIMITS, settings={SettingId.INITIAL_WINDOW_SIZE: 0})
    stream = peers.server_call(connection)
    connection.outbound.send_headers(stream, response_block())
    connection.outbound.send_message(stream, bytes(100_000))
    pieces = 0
    while connection.fault is None:
        connection.outbound.take_output()
        receive(connection, window_update_frame(1, piece))
        pieces += 1
        assert pieces < 300
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM


def test_an_answer_that_is_taken_in_large_pieces_may_take_as_many_as_it_needs() -> None:
    connection = peers.server(LIMITS, settings={SettingId.INITIAL_WINDOW_SIZE: 0})
    stream = peers.server_call(connection)
    connection.outbound.send_message(stream, bytes(500_000))
    while stream.pending:
        receive(connection, window_update_frame(1, 500), window_update_frame(0, 500))
        connection.outbound.take_output()
    assert connection.fault is None


@pytest.mark.parametrize(("values", "borne"), [(32, True), (33, False), (2_730, False)])
def test_settings_of_many_values_are_not_borne(values: int, borne: bool) -> None:
    connection = peers.server()
    receive(connection, frame(frames.SETTINGS, 0, 0, b"\0\1\0\0\x10\0" * values))
    assert (connection.fault is None) is borne
    if connection.fault is not None:
        assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM


def test_large_header_blocks_are_dear() -> None:
    connection = peers.server(LIMITS)
    number = 0
    while connection.fault is None:
        receive(connection, headers(2 * number + 1, (*peers.REQUEST, (b"k", b"x" * 5_000))))
        number += 1
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM
    assert number == 2


def test_a_server_may_reset_as_many_of_our_calls_as_it_likes() -> None:
    connection = peers.client(LIMITS)
    for _ in range(500):
        stream = peers.client_call(connection)
        receive(connection, rst_stream_frame(stream.id, ErrorCode.REFUSED_STREAM))
    assert connection.fault is None


def test_data_on_a_stream_that_we_have_reset_is_borne_for_a_while() -> None:
    connection = peers.server(LIMITS)
    stream = peers.server_call(connection)
    connection.reset(stream, ErrorCode.CANCEL)
    receive(connection, *[data(1, b"x")] * 150)
    assert connection.fault is None
    receive(connection, *[data(1, b"x")] * 60)
    assert connection.fault is not None
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM


def test_a_server_may_send_on_what_a_client_has_cancelled() -> None:
    connection = peers.client(LIMITS)
    stream = peers.client_call(connection, answered=True)
    connection.reset(stream, ErrorCode.CANCEL)
    receive(connection, *[data(1, b"x")] * 1_000)
    assert connection.fault is None
