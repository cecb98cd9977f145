"""The writing half: splitting, windows, turns, corks, trailers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire import frames
from ride_trio.wire.errors import LocalError
from ride_trio.wire.frames import DATA, END_STREAM, HEADERS, RST_STREAM, ErrorCode, SettingId
from ride_trio.wire.states import Input, State
from tests.wire.outbounds import LIMITS, TRAILERS, drain, move, opened, outbound, payload_of, sent
from tests.wire.peers import Frame, framed


@pytest.mark.parametrize("message", [b"hello", b""])
def test_a_small_message_is_one_frame_at_once(message: bytes) -> None:
    out = outbound(window=1_000)
    stream = opened(out, window=500)
    size = len(framed(message))
    assert out.send_message(stream, message)
    assert out.size == 9 + size
    assert sent(out) == [Frame(DATA, 0, 1, framed(message))]
    assert (out.window, stream.send_window, out.size) == (1_000 - size, 500 - size, 0)
    assert not out.writable


# ---------------------------------------------------------------- frame size


@pytest.mark.parametrize("size", [16_379, 16_380, 40_000])
def test_a_message_is_split_by_the_frame_size(size: int) -> None:
    out = outbound()
    assert out.send_message(opened(out), bytes(size))
    found = sent(out)
    assert payload_of(found) == framed(bytes(size))
    assert max(len(frame.payload) for frame in found) <= 16_384
    assert len(found) == -(-(size + 5) // 16_384)


def test_the_peer_may_allow_larger_frames() -> None:
    out = outbound()
    out.apply_settings(frames.settings_frame({SettingId.MAX_FRAME_SIZE: 30_000})[9:], from_server=False)
    out.send_message(opened(out), bytes(40_000))
    assert [len(frame.payload) for frame in sent(out)] == [30_000, 10_005]


def test_no_frame_is_so_large_that_it_holds_up_all_others() -> None:
    out = outbound()
    out.apply_settings(frames.settings_frame({SettingId.MAX_FRAME_SIZE: 2**24 - 1})[9:], from_server=False)
    out.send_message(opened(out), bytes(1_000_000))
    assert max(len(frame.payload) for frame in drain(out)) == 65_536


# ---------------------------------------------------------------- windows


def test_the_streams_window_holds_a_message_up() -> None:
    out = outbound()
    stream = opened(out, window=10)
    assert not out.send_message(stream, b"0123456789")
    assert payload_of(sent(out)) == framed(b"0123456789")[:10]
    assert stream.pending == b"56789"
    assert out.room(stream) <= 0
    move(out, stream, 3)
    assert payload_of(sent(out)) == b"567"
    assert not out.writable
    move(out, stream, 100)
    assert payload_of(sent(out)) == b"89"
    assert out.writable == [stream]
    assert stream.pending is None
    assert stream.send_window == 98


def test_the_connections_window_holds_a_message_up() -> None:
    out = outbound(window=10)
    stream = opened(out)
    assert not out.send_message(stream, b"0123456789")
    out.window = 2
    out.resume()
    assert payload_of(sent(out)) == framed(b"0123456789")[:12]
    assert out.window == 0
    out.window = 100
    out.resume()
    assert payload_of(sent(out)) == b"789"
    assert out.window == 97


def test_a_window_that_settings_have_made_negative_has_to_be_filled_first() -> None:
    out = outbound()
    stream = opened(out, window=10)
    out.send_message(stream, b"0123456789")
    move(out, stream, -50)
    assert stream.send_window == -50
    out.take_output()
    move(out, stream, 50)
    assert not out.output
    move(out, stream, 1)
    assert payload_of(sent(out)) == b"5"


def test_messages_of_a_stream_keep_their_order() -> None:
    out = outbound()
    stream = opened(out, window=8)
    for message in (b"first", b"second", b""):
        assert not out.send_message(stream, message)
    move(out, stream, 1_000)
    assert payload_of(sent(out)) == framed(b"first") + framed(b"second") + framed(b"")
    assert out.writable == [stream]


@given(
    st.lists(st.binary(max_size=100), max_size=8),
    st.lists(st.tuples(st.booleans(), st.integers(1, 150)), max_size=20),
    st.integers(0, 60),
)
def test_windows_only_delay(messages: list[bytes], updates: list[tuple[bool, int]], window: int) -> None:
    """Whatever opens when: no byte is lost or doubled, and no window is overdrawn."""
    out = outbound(window=window)
    stream = opened(out, window=window)
    given_to = [window, window]  # connection, stream
    found: list[Frame] = []
    for message in messages:
        out.send_message(stream, message)
        found += sent(out)
    for of_connection, increment in updates:
        if of_connection:
            given_to[0] += increment
            out.window += increment
            out.resume()
        else:
            given_to[1] += increment
            move(out, stream, increment)
        found += sent(out)
        assert len(payload_of(found)) <= min(given_to)
    everything = b"".join(map(framed, messages))
    assert payload_of(found) == everything[: min(given_to)]


# ---------------------------------------------------------------- the buffer


def test_beyond_the_high_water_mark_messages_wait() -> None:
    out = outbound()
    stream = opened(out)
    results = [out.send_message(stream, bytes(10_000)) for _ in range(10)]
    assert results == [True] * 5 + [False] * 5
    assert out.size < 70_000
    assert out.room(stream) <= 0
    assert payload_of(drain(out)) == framed(bytes(10_000)) * 10
    assert out.writable == [stream]
    assert out.room(stream) > 0


def test_a_corked_connection_collects_nothing() -> None:
    out = outbound()
    stream = opened(out)
    out.corked = True
    assert out.room(stream) <= 0
    assert not out.send_message(stream, b"x")
    out.resume()
    assert not out.output
    out.uncork()
    assert payload_of(sent(out)) == framed(b"x")
    assert out.writable == [stream]


def test_streams_write_in_turn_a_frame_each() -> None:
    out = outbound()
    streams = [opened(out, stream_id) for stream_id in (1, 3, 5)]
    out.corked = True
    for stream in streams:
        out.send_message(stream, bytes(40_000))
    out.uncork()
    assert [frame.stream_id for frame in drain(out)] == [1, 3, 5] * 3
    assert out.writable == streams


def test_a_stream_with_a_little_does_not_wait_for_one_with_much() -> None:
    out = outbound()
    much, little = opened(out, 1), opened(out, 3)
    out.send_message(much, bytes(2_000_000))
    out.send_message(little, b"quick")
    found = drain(out)
    place = next(n for n, frame in enumerate(found) if frame.stream_id == 3)
    assert place <= LIMITS.write_high_water // 16_384 + 2
    assert payload_of(found, 3) == framed(b"quick")
    assert payload_of(found, 1) == framed(bytes(2_000_000))


def test_a_stream_whose_window_is_shut_holds_up_nobody() -> None:
    out = outbound()
    shut, other = opened(out, 1, window=0), opened(out, 3)
    assert not out.send_message(shut, b"x")
    assert out.send_message(other, b"y")
    assert not out.waiting
    assert payload_of(sent(out), 3) == framed(b"y")


def test_a_turn_can_be_asked_for_without_anything_pending() -> None:
    out = outbound()
    stream = opened(out, window=0)
    out.want_write(stream)
    out.resume()
    assert not out.writable
    move(out, stream, 1)
    assert out.writable == [stream]
    assert not out.output


# ---------------------------------------------------------------- ends


def test_trailers_come_behind_what_is_pending_and_close_the_stream() -> None:
    out = outbound()
    stream = opened(out, window=8)
    stream.happened(Input.RECV_END)
    out.send_message(stream, b"hello")
    out.end(stream, TRAILERS)
    assert stream.state is State.HALF_CLOSED_REMOTE
    with pytest.raises(LocalError, match="ended already"):
        out.end(stream, TRAILERS)
    with pytest.raises(LocalError, match="ended already"):
        out.send_message(stream, b"late")
    move(out, stream, 100)
    assert sent(out)[-1] == Frame(HEADERS, END_STREAM | frames.END_HEADERS, 1, TRAILERS)
    assert stream.state is State.CLOSED
    assert not out.streams
    assert out.writable == [stream]


def test_an_end_without_trailers_is_an_empty_data_frame() -> None:
    out = outbound()
    stream = opened(out)
    out.end(stream)
    assert sent(out) == [Frame(DATA, END_STREAM, 1, b"")]
    assert stream.state is State.HALF_CLOSED_LOCAL
    assert 1 in out.streams


def test_an_end_needs_no_window() -> None:
    out = outbound(window=0)
    out.end(opened(out, window=-5), TRAILERS)
    assert [frame.kind for frame in sent(out)] == [HEADERS]


def test_a_stream_ends_once() -> None:
    out = outbound()
    stream = opened(out)
    out.end(stream, TRAILERS)
    for again in (TRAILERS, b""):
        with pytest.raises(LocalError):
            out.end(stream, again)


def test_a_stream_that_has_ended_gets_no_turn_any_more() -> None:
    out = outbound()
    stream = opened(out)
    out.corked = True
    out.send_message(stream, b"cut short")
    stream.pending = None  # what a call does whose handler has failed
    out.end(stream, TRAILERS)
    out.uncork()
    assert [frame.kind for frame in sent(out)] == [HEADERS]


def test_a_reset_drops_what_is_pending() -> None:
    out = outbound(window=0)
    stream = opened(out)
    out.send_message(stream, bytes(1_000))
    out.end(stream, TRAILERS)
    out.reset(stream, ErrorCode.CANCEL)
    assert not out.waiting
    assert stream.pending is None
    out.window = 1_000
    out.resume()
    assert [(f.kind, f.number) for f in sent(out)] == [(RST_STREAM, ErrorCode.CANCEL)]


def test_headers_on_a_closed_stream_are_a_local_error() -> None:
    out = outbound()
    stream = opened(out)
    out.reset(stream, ErrorCode.CANCEL)
    with pytest.raises(LocalError):
        out.send_headers(stream, TRAILERS)


# ---------------------------------------------------------------- settings and answers


def test_the_first_block_after_a_smaller_header_table_says_so() -> None:
    """RFC 7541, section 4.2."""
    out = outbound()
    stream = opened(out)
    for size in (100, 50):
        out.apply_settings(frames.settings_frame({SettingId.HEADER_TABLE_SIZE: size})[9:], from_server=False)
    out.send_headers(stream, TRAILERS)
    out.send_headers(stream, TRAILERS)
    assert [frame.payload for frame in sent(out)] == [b"\x20" + TRAILERS, TRAILERS]


def test_settings_tell_how_far_windows_move() -> None:
    out = outbound()
    smaller = frames.settings_frame({SettingId.INITIAL_WINDOW_SIZE: 1_000})[9:]
    assert out.apply_settings(smaller, from_server=False) == 1_000 - 65_535
    assert out.apply_settings(smaller, from_server=False) == 0


def test_answers_are_counted_until_they_are_taken() -> None:
    out = outbound()
    out.control(b"ours")
    out.answer(b"an answer")
    out.reset(opened(out), ErrorCode.CANCEL)
    assert (out.answers, out.size) == (9 + 13, 4 + 9 + 13)
    assert out.take_output().startswith(b"oursan answer")
    assert (out.answers, out.size) == (0, 0)


# ---------------------------------------------------------------- credit


def test_credit_is_given_by_the_threshold() -> None:
    out = outbound()
    stream = opened(out)
    stream.flows = True
    stream.recv_window -= 500
    out.credit(stream, 400, 500)
    assert not out.output
    out.credit(stream, 100, 500)
    assert [(f.kind, f.stream_id, f.number) for f in sent(out)] == [(frames.WINDOW_UPDATE, 1, 500)]
    assert stream.recv_window == 65_535
    assert stream.held == 0


def test_a_loan_is_paid_off_first() -> None:
    out = outbound()
    stream = opened(out)
    stream.flows = True
    out.lend(stream, 1_000)
    assert [f.number for f in sent(out)] == [1_000]
    stream.recv_window -= 66_535
    out.credit(stream, 1_500, 100)
    assert [f.number for f in sent(out)] == [500]
    assert (stream.loan, stream.recv_window, stream.held) == (0, 500, 65_035)


def test_nothing_is_credited_to_a_stream_that_sends_no_more() -> None:
    out = outbound()
    stream = opened(out)
    stream.recv_window -= 60_000
    stream.happened(Input.RECV_RST)
    out.credit(stream, 60_000, 100)
    assert not out.output
