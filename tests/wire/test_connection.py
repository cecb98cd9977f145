"""The reading half: bytes cut anywhere, messages, windows that neither leak nor lock."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ride_trio.wire import Connection, ErrorCode, Limits, ServerConnection, Stream, frames
from ride_trio.wire.connection import unpad
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.events import StreamReset
from ride_trio.wire.frames import PREFACE, frame
from ride_trio.wire.stream import MESSAGES_AT_ONCE
from tests.wire import peers
from tests.wire.peers import Pair, data, fault_of, framed, headers, news, receive, resets, sent, take

MEBIBYTE = 2**20

messages = st.lists(st.binary(max_size=20) | st.binary(min_size=300, max_size=600), max_size=8)
cuts = st.lists(st.integers(1, 120), max_size=30)
paddings = st.lists(st.none() | st.integers(0, 255), min_size=1, max_size=5)


def in_pieces(blob: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes in pieces of these sizes, the rest in one."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(blob[start : start + size])
        start += size
    return [piece for piece in [*pieces, blob[start:]] if piece]


def open_call() -> tuple[ServerConnection, Stream]:
    connection = peers.server()
    return connection, peers.server_call(connection)


# ---------------------------------------------------------------- messages


@given(messages, cuts, cuts, paddings)
def test_any_cuts_of_messages_into_frames_and_of_frames_into_reads(
    expected: list[bytes], frame_sizes: list[int], read_sizes: list[int], paddings: list[int | None]
) -> None:
    connection, stream = open_call()
    payloads = in_pieces(b"".join(map(framed, expected)), frame_sizes) or [b""]
    wire = b"".join(data(1, payload, padding=paddings[n % len(paddings)]) for n, payload in enumerate(payloads))
    got: list[bytes] = []
    for read in in_pieces(wire, read_sizes):
        receive(connection, read)
        for ready in news(connection):
            got += take(connection, ready)
    assert got == expected
    assert (stream.failure, stream.held, connection.fault) == (None, 0, None)
    assert stream.recv_window + stream.to_credit == 65_535


def test_every_way_to_cut_two_messages_and_an_end_in_two() -> None:
    wire = data(1, framed(b"one")) + data(1, framed(b"two"), end=True)
    for place in range(len(wire) + 1):
        connection, stream = open_call()
        receive(connection, wire[:place], wire[place:])
        assert stream.take() == [b"one", b"two"]
        assert stream.remote_ended


def test_a_byte_at_a_time() -> None:
    connection = ServerConnection(Limits())
    wire = PREFACE + peers.SETTINGS + headers(1) + data(1, framed(b"hello")) + data(1, b"", end=True)
    receive(connection, *(wire[n : n + 1] for n in range(len(wire))))
    stream = connection.streams[1]
    assert stream.take() == [b"hello"]
    assert stream.remote_ended


def test_a_frame_whose_first_bytes_look_like_a_prefix_is_assembled() -> None:
    """Two messages in a frame, the frame's length by chance the first one's plus nothing."""
    connection, stream = open_call()
    inner = framed(b"a") + framed(b"bc")
    receive(connection, data(1, framed(inner)[:5]), data(1, inner))
    assert stream.take() == [inner]


def test_a_stream_with_news_is_ready_once() -> None:
    connection, stream = open_call()
    receive(connection, data(1, framed(b"a")) * 3, data(1, b"", end=True))
    assert connection.ready == [stream]
    assert news(connection) == [stream]
    assert stream.take() == [b"a"] * 3


def test_a_pass_is_bounded() -> None:
    connection = peers.server(Limits(pass_frames=4))
    stream = peers.server_call(connection)
    connection.feed(data(1, framed(b"x")) * 10)
    lengths = []
    while connection.process():
        lengths.append(len(stream.inbox))
    assert lengths == [4, 8]
    assert len(stream.inbox) == 10


def test_more_may_be_fed_between_passes() -> None:
    connection = peers.server(Limits(pass_frames=2))
    stream = peers.server_call(connection)
    wire = b"".join(data(1, framed(b"%d" % n)) for n in range(10))
    connection.feed(wire[:70])
    connection.process()
    connection.feed(wire[70:])
    while connection.process():
        pass
    assert stream.take() == [b"%d" % n for n in range(10)]


def test_unknown_flags_on_data_are_ignored() -> None:
    connection, stream = open_call()
    receive(connection, frame(frames.DATA, 0xF6, 1, framed(b"x")), frame(frames.DATA, 0xF7, 1, framed(b"y")))
    assert stream.take() == [b"x", b"y"]
    assert stream.remote_ended


def test_a_reserved_bit_in_the_stream_id_is_ignored() -> None:
    connection, stream = open_call()
    receive(connection, frame(frames.DATA, 0, 2**31 + 1, framed(b"x")))
    assert stream.take() == [b"x"]


def test_too_large_a_message_fails_its_stream_and_no_other() -> None:
    connection = peers.server(Limits(max_message=10))
    stream, other = peers.server_call(connection, 1), peers.server_call(connection, 3)
    receive(connection, data(1, framed(bytes(11))), data(1, framed(b"dropped")), data(3, framed(b"fine")))
    assert stream.failure == (8, "message of 11 bytes is larger than the limit of 10")
    assert stream.take() == []
    assert other.take() == [b"fine"]
    assert news(connection) == [stream, other]


@pytest.mark.parametrize(("encoding", "code"), [(b"identity", 13)])
def test_a_compressed_message_without_an_encoding_fails_its_stream(encoding: bytes, code: int) -> None:
    connection = peers.server()
    receive(connection, headers(1, (*peers.REQUEST, (b"grpc-encoding", encoding))))
    stream = connection.streams[1]
    receive(connection, data(1, framed(b"x", 1)), data(1, framed(b"y")))
    assert stream.failure is not None
    assert stream.failure[0] == code
    assert stream.take() == []


def test_half_a_message_at_the_end_fails_the_stream() -> None:
    connection, stream = open_call()
    receive(connection, data(1, framed(b"hello")[:-2], end=True))
    assert stream.failure == (13, "the stream ended 2 bytes before the end of a message")


# ---------------------------------------------------------------- windows


def test_a_stream_that_is_not_read_stops_its_peer_at_the_window() -> None:
    pair = Pair()
    message = bytes(1_000)
    for _ in range(67):
        pair.client.outbound.send_message(pair.near, message)
        pair.exchange()
    pair.exchange()
    pair.client.outbound.send_message(pair.near, message)
    pair.exchange()
    assert pair.near.send_window == 0
    assert len(pair.near.pending or b"") == 2 * 1_005
    assert pair.far.held == 66 * 1_005  # the window, and a loan for the message that was on its way
    assert take(pair.server, pair.far) == [message] * 66
    pair.exchange()
    assert take(pair.server, pair.far) == [message] * 2
    assert not pair.near.pending


def test_more_data_than_the_streams_window_resets_it() -> None:
    connection, stream = open_call()
    receive(connection, *[data(1, framed(bytes(16_379)))] * 3, data(1, framed(bytes(16_378))))
    assert stream.recv_window == 0
    assert not sent(connection)
    receive(connection, data(1, framed(b""), end=True))  # with END_STREAM, which then means nothing
    assert resets(connection) == [(1, ErrorCode.FLOW_CONTROL_ERROR)]
    assert isinstance(connection.events[-1], StreamReset)
    assert not stream.remote_ended
    assert connection.fault is None


def test_padding_counts_against_the_streams_window() -> None:
    connection, stream = open_call()
    receive(connection, *[data(1, framed(bytes(16_379)))] * 3, data(1, framed(bytes(16_178))))
    assert stream.recv_window == 200
    receive(connection, data(1, b"", padding=200))
    assert resets(connection) == [(1, ErrorCode.FLOW_CONTROL_ERROR)]


def test_more_data_than_the_connections_window_ends_the_connection() -> None:
    connection = peers.server(Limits(connection_window=1, stream_window=MEBIBYTE))
    connection._low_window = -1  # a peer that has not been given anything back
    peers.server_call(connection)
    receive(connection, *[data(1, framed(bytes(16_379)))] * 3)
    assert connection.fault is None
    receive(connection, data(1, framed(bytes(16_379))))
    assert fault_of(connection) is ErrorCode.FLOW_CONTROL_ERROR
    assert connection.fault.__traceback__ is None  # in which the input would live on


@pytest.mark.parametrize("padding", [None, 0, 255])
def test_the_connections_window_is_given_back_on_receipt(padding: int | None) -> None:
    connection = peers.server(Limits(stream_window=8 * MEBIBYTE, connection_window=MEBIBYTE))
    peers.server_call(connection)
    announced = used = 0
    for _ in range(300):
        wire = data(1, framed(bytes(15_000)), padding=padding)
        receive(connection, wire)
        used += len(wire) - 9
        announced += sum(f.number for f in sent(connection) if (f.kind, f.stream_id) == (frames.WINDOW_UPDATE, 0))
        assert connection._window == MEBIBYTE - used + announced
        assert connection._window > MEBIBYTE // 2 - 16_384


def test_a_message_larger_than_the_window_gets_a_loan() -> None:
    connection, stream = open_call()
    receive(connection, data(1, framed(bytes(3_000_000))[:100]))
    loan = 3_000_005 - 65_535
    assert [(f.stream_id, f.number) for f in sent(connection)] == [(1, loan)]
    assert stream.recv_window == 3_000_005 - 100


def test_padding_does_not_eat_what_a_message_needs() -> None:
    """A padded frame uses up the window of a message that has got its loan already."""
    connection, stream = open_call()
    message = framed(bytes(100_000))
    receive(connection, data(1, message[:100]))
    for start in range(100, len(message), 100):
        room = stream.recv_window - len(message[start : start + 100])
        receive(connection, data(1, message[start : start + 100], padding=min(255, room - 1) if room else None))
        assert stream.shortage() == 0
        connection.outbound.take_output()
    assert take(connection, stream) == [bytes(100_000)]
    assert stream.recv_window + stream.to_credit == 65_535


sizes = st.lists(
    st.sampled_from([0, 1, 11, 65_525, 65_530, 65_531, 131_072, 1_000_000, 3 * MEBIBYTE]) | st.integers(0, 200_000),
    min_size=1,
    max_size=5,
)


def limits(stream_window: int) -> Limits:
    return Limits(stream_window=stream_window)


@settings(max_examples=60)
# Each side has more to send than it would hold unread.
@example([3 * MEBIBYTE] * 2, [MEBIBYTE] + [3 * MEBIBYTE] * 2, 100, False)
@given(sizes, sizes, st.sampled_from([100, 65_535, 500_000]), st.booleans())
def test_messages_of_any_size_arrive_and_leave_the_windows_whole(
    up: list[int], down: list[int], stream_window: int, promptly: bool
) -> None:
    """Both ways at once, between two peers that obey windows; taken at once or when nothing moves any more."""
    pair = Pair(limits(stream_window), limits(stream_window))
    for connection, stream, sizes in ((pair.client, pair.near, up), (pair.server, pair.far, down)):
        for size in sizes:
            connection.outbound.send_message(stream, bytes(size))
    got: dict[Connection, list[int]] = {pair.client: [], pair.server: []}
    moved = True
    while moved:
        moved = pair.step()
        if promptly or not moved:
            for connection, stream in ((pair.client, pair.near), (pair.server, pair.far)):
                taken = take(connection, stream)
                got[connection] += map(len, taken)
                moved = moved or bool(taken)
    assert got == {pair.client: down, pair.server: up}
    for mine, theirs in ((pair.near, pair.far), (pair.far, pair.near)):
        assert (mine.pending, mine.held, mine.loan) == (None, 0, 0)
        assert mine.recv_window + mine.to_credit == stream_window
        assert theirs.send_window == mine.recv_window
        assert mine.to_credit < max(1, stream_window // 2)
    for connection, other in ((pair.client, pair.server), (pair.server, pair.client)):
        assert connection._window == other.outbound.window
        assert Limits().connection_window // 2 <= connection._window <= Limits().connection_window


def test_nothing_is_lent_for_what_follows_messages_that_nobody_takes() -> None:
    """What a call may hold is bounded by one window and one message."""
    pair = Pair()
    for _ in range(40):
        pair.client.outbound.send_message(pair.near, bytes(60_000))
    pair.exchange()
    assert [len(message) for message in pair.far.inbox] == [60_000] * 2
    assert pair.far.partial is None
    assert pair.far.held == 2 * 60_005


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize(("payload", "body"), [(b"\0abc", b"abc"), (b"\3abc", b""), (b"\2abc", b"a"), (b"\0", b"")])
def test_padding_is_cut_off(payload: bytes, body: bytes) -> None:
    assert unpad(payload) == body


@pytest.mark.parametrize("payload", [b"\1", b"\4abc", b"\xff"])
def test_padding_longer_than_its_frame(payload: bytes) -> None:
    with pytest.raises(ConnectionFault) as caught:
        unpad(payload)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


def test_a_padded_frame_says_how_long_its_padding_is() -> None:
    with pytest.raises(ConnectionFault) as caught:
        unpad(b"")
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


# ---------------------------------------------------------------- very many messages in a frame


@pytest.mark.parametrize("padding", [None, 0])
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("count", [MESSAGES_AT_ONCE, MESSAGES_AT_ONCE + 1, 3 * MESSAGES_AT_ONCE + 5])
def test_very_many_messages_of_a_frame_are_cut_out_in_parts(count: int, end: bool, padding: int | None) -> None:
    connection, stream = open_call()
    expected = [b"%d" % (number % 10) for number in range(count)]
    connection.feed(data(1, b"".join(map(framed, expected)), end=end, padding=padding) + data(1, b"", end=not end))
    passes = 0
    more = True
    while more:
        before = len(stream.inbox)
        more = connection.process()
        assert len(stream.inbox) - before <= MESSAGES_AT_ONCE
        passes += 1
    assert passes >= count / MESSAGES_AT_ONCE
    assert stream.inbox == expected
    assert stream.remote_ended
    assert news(connection) == [stream]


def test_half_a_message_behind_very_many_is_finished_by_the_next_frame() -> None:
    connection, stream = open_call()
    blob = framed(b"") * (MESSAGES_AT_ONCE + 1) + framed(b"last")
    receive(connection, data(1, blob[:-2]), data(1, blob[-2:]))
    assert stream.inbox[-2:] == [b"", b"last"]
    assert len(stream.inbox) == MESSAGES_AT_ONCE + 2


def test_a_stream_that_is_reset_before_its_frame_is_cut_does_not_hold_up_the_others() -> None:
    connection, stream = open_call()
    other = peers.server_call(connection, 3)
    connection.feed(data(1, framed(b"") * 3 * MESSAGES_AT_ONCE, end=True) + data(other.id, framed(b"on")))
    assert connection.process()
    connection.reset(stream, ErrorCode.CANCEL)
    while connection.process():
        pass
    assert other.inbox == [b"on"]
    assert not stream.remote_ended


def test_an_end_before_its_content_length_is_told_after_very_many_messages_too() -> None:
    connection = peers.server()
    blob = framed(b"") * 2 * MESSAGES_AT_ONCE
    fields = (*peers.REQUEST, (b"content-length", b"%d" % (len(blob) + 1)))
    receive(connection, headers(1, fields), data(1, blob, end=True))
    assert resets(connection) == [(1, ErrorCode.PROTOCOL_ERROR)]
