"""Messages cut out of a stream's bytes, and its windows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire.errors import StreamFault
from ride_trio.wire.frames import MAX_WINDOW
from ride_trio.wire.states import Input, State
from ride_trio.wire.stream import Compressed, Stream
from tests.wire.peers import framed

MAX_MESSAGE = 1_000


def opened(window: int = 65_535) -> Stream:
    stream = Stream(1, window, 65_535)
    stream.happened(Input.RECV_HEADERS)
    stream.flows = True
    return stream


def arrive(stream: Stream, data: bytes) -> None:
    stream.recv_window -= len(data)
    stream.assemble(data, MAX_MESSAGE)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


messages = st.lists(st.binary(max_size=30) | st.binary(min_size=200, max_size=MAX_MESSAGE), max_size=8)


@given(messages, st.lists(st.integers(0, 4_000)))
def test_any_cuts_give_the_same_messages(sent: list[bytes], cuts: list[int]) -> None:
    stream = opened()
    data = b"".join(map(framed, sent))
    for piece in cut(data, cuts):
        arrive(stream, piece)
        assert stream.held == 65_535 - stream.recv_window
    assert stream.takeable == len(data)
    assert stream.take() == sent
    assert stream.take() == []
    assert stream.partial is None
    assert stream.failure is None


def test_what_can_be_taken_is_whole_messages() -> None:
    stream = opened()
    arrive(stream, framed(b"whole") + framed(b"half of it")[:8])
    assert stream.held == 18
    assert stream.takeable == 10
    assert stream.take() == [b"whole"]


@given(messages, st.integers(1, 40), st.lists(st.integers(0, 4_000)))
def test_a_stream_that_ends_inside_a_message_has_failed(sent: list[bytes], missing: int, cuts: list[int]) -> None:
    stream = opened()
    last = framed(b"the last one, of forty bytes at the least")
    for piece in cut(b"".join(map(framed, sent)) + last[:-missing], cuts):
        arrive(stream, piece)
    stream.ended_by_peer()
    assert stream.take() == sent
    assert stream.failure is not None
    assert stream.failure[0] == 13
    assert "bytes before the end of a message" in stream.failure[1]


def test_a_stream_that_ends_behind_a_message_has_not_failed() -> None:
    stream = opened()
    arrive(stream, framed(b"x"))
    stream.ended_by_peer()
    assert stream.remote_ended
    assert stream.failure is None


@pytest.mark.parametrize(
    ("flag", "encoding", "code"), [(1, "identity", 13), (2, "identity", 13), (2, "gzip", 13), (255, "gzip", 13)]
)
def test_a_flag_that_means_nothing_is_refused(flag: int, encoding: str, code: int) -> None:
    stream = opened()
    stream.encoding = encoding
    arrive(stream, framed(b"fine") + framed(b"x", flag))
    assert stream.failure is not None
    assert stream.failure[0] == code
    assert stream.take() == [b"fine"]


def test_a_compressed_message_is_marked() -> None:
    stream = opened()
    stream.encoding = "gzip"
    arrive(stream, framed(b"plain") + framed(b"packed", 1))
    plain, packed = stream.take()
    assert (plain, type(plain)) == (b"plain", bytes)
    assert (packed, type(packed)) == (b"packed", Compressed)


def test_a_message_over_the_limit_is_refused_by_its_prefix() -> None:
    stream = opened()
    arrive(stream, framed(bytes(MAX_MESSAGE)) + framed(bytes(MAX_MESSAGE + 1))[:5])
    assert stream.failure == (8, "message of 1001 bytes is larger than the limit of 1000")
    assert stream.take() == [bytes(MAX_MESSAGE)]


def test_what_follows_a_failure_is_dropped() -> None:
    stream = opened()
    arrive(stream, framed(b"", 1))
    failure = stream.failure
    for piece in (b"", framed(b"x"), framed(b"", 2), b"\0" * 100):
        arrive(stream, piece)
    stream.ended_by_peer()
    assert stream.take() == []
    assert stream.failure == failure
    assert stream.shortage() == 0


# ---------------------------------------------------------------- windows


def test_nothing_is_short_between_messages_or_when_the_window_suffices() -> None:
    stream = opened(window=100)
    assert stream.shortage() == 0
    arrive(stream, framed(bytes(50)))
    assert stream.shortage() == 0
    arrive(stream, framed(bytes(40))[:30])
    assert stream.shortage() == 0


def test_the_shortage_is_what_is_missing_of_a_message() -> None:
    stream = opened(window=100)
    arrive(stream, framed(bytes(500))[:10])
    assert stream.shortage() == 505 - 10 - 90
    arrive(stream, bytes(90))
    assert stream.shortage() == 505 - 100


def test_half_a_prefix_may_need_window_too() -> None:
    stream = opened(window=100)
    arrive(stream, framed(bytes(92)) + b"\0\0\0")
    assert stream.shortage() == 2


def test_a_send_window_may_be_negative_but_not_too_large() -> None:
    stream = opened()
    assert stream.window_moved(-100_000)
    assert stream.send_window < 0
    assert stream.window_moved(MAX_WINDOW - stream.send_window)
    assert not stream.window_moved(1)


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("happened", [Input.RECV_END, Input.RECV_RST, Input.SEND_RST])
def test_no_more_data_flows_after_the_end_or_a_reset(happened: Input) -> None:
    stream = opened()
    stream.happened(happened)
    assert not stream.flows


def test_data_flows_on_after_our_own_end() -> None:
    stream = opened()
    stream.happened(Input.SEND_END)
    assert stream.flows
    assert stream.state is State.HALF_CLOSED_LOCAL


def test_an_input_that_is_not_allowed_changes_nothing() -> None:
    stream = opened()
    stream.happened(Input.RECV_END)
    with pytest.raises(StreamFault):
        stream.happened(Input.RECV_DATA)
    assert stream.state is State.HALF_CLOSED_REMOTE


def test_it_explains_itself() -> None:
    stream = opened()
    arrive(stream, framed(b"x"))
    assert repr(stream) == "<Stream 1 open, 1 messages, window 65535>"
