"""Whatever arrives, in whatever order: no exception comes out, and nothing grows beyond its bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ride_trio.wire import ClientConnection, Connection, ErrorCode, Limits, ServerConnection, frames, hpack
from ride_trio.wire.errors import LocalError
from ride_trio.wire.events import ConnectionEnded, RequestReceived
from ride_trio.wire.frames import PREFACE, frame
from ride_trio.wire.headers import RequestHead, response_block, trailers_block
from ride_trio.wire.states import State
from tests.wire.peers import REQUEST, RESPONSE, SETTINGS, framed, receive

LIMITS = Limits(
    max_concurrent_streams=3,
    stream_window=2_000,
    connection_window=100_000,
    max_message=5_000,
    shared_lent=4_000,
    max_header_list=2_000,
    write_high_water=3_000,
    pass_frames=7,
    max_control_backlog=1_000,
    shared_unread=1_000,
    patience=300,
)
# What a peer that is not read from may collect here: data up to the mark and a frame of it, as much again until calls
# are refused, answers, and what one pass can add to each.
MOST_OUTPUT = 3_000 + 16_384 + 2 * 1_000 + 7 * 1_000

stream_ids = st.sampled_from([0, 1, 1, 1, 2, 3, 5, 7, 2**31 - 1, 2**31 + 1])
bits = st.integers(0, 255)
field_lists = st.sampled_from(
    [
        REQUEST,
        RESPONSE,
        ((b"grpc-status", b"0"),),
        ((b":status", b"103"),),
        (*REQUEST[1:], (b"Bad", b"\0")),
        ((b":method", b"GET"), *REQUEST[1:]),
        (*REQUEST, (b"grpc-timeout", b"x")),
        (*REQUEST, (b"k", b"v" * 1_500)),
        (*REQUEST, (b"content-length", b"30")),
        (*REQUEST, (b"grpc-encoding", b"gzip")),
        (*RESPONSE, (b"content-length", b"30")),
        ((b":method", b"CONNECT"), (b":authority", b"a")),
    ]
)
blocks = field_lists.map(hpack.encode) | st.binary(max_size=30)
messages = (
    st.binary(max_size=40).map(framed)
    | st.binary(max_size=9).map(lambda data: framed(data, 1))
    | st.binary(max_size=40)
    | st.just(framed(bytes(4_000))[:1_000])
)
setting_ids = st.sampled_from([1, 2, 3, 4, 4, 5, 6, 9])
values = st.sampled_from([0, 1, 100, 16_384, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1])

any_frame = st.one_of(
    st.builds(frame, st.just(frames.HEADERS), st.sampled_from([4, 4, 5, 0, 0x2C]), stream_ids, blocks),
    st.builds(frame, st.just(frames.CONTINUATION), st.sampled_from([0, 4]), stream_ids, st.binary(max_size=10)),
    st.builds(frame, st.just(frames.DATA), st.sampled_from([0, 0, 1, 8, 9]), stream_ids, messages),
    st.builds(frames.rst_stream_frame, stream_ids, st.integers(0, 2**32 - 1)),
    st.builds(frames.window_update_frame, stream_ids, values.filter(lambda value: value < 2**32)),
    st.dictionaries(setting_ids, values, max_size=2).map(frames.settings_frame),
    st.just(frame(frames.SETTINGS, frames.ACK, 0)),
    st.just(frames.ping_frame(b"abcdefgh")),
    st.builds(frame, bits, bits, stream_ids, st.binary(max_size=20)),
    st.binary(max_size=30),
)
# What we do meanwhile: with the first open stream, or with the socket.
actions = st.sampled_from(
    ["take", "send", "end", "reset", "open", "write", "cork", "goaway", "tick", "nothing", "nothing"]
)
scripts = st.lists(st.tuples(any_frame, actions), max_size=25)


def act(connection: Connection, action: str) -> None:
    """One thing that a shell does. What a state does not allow is a LocalError, and nothing else."""
    outbound = connection.outbound
    stream = next(iter(connection.streams.values()), None)
    try:
        if action == "write":
            outbound.take_output()
            outbound.uncork()
        elif action == "cork":
            outbound.corked = True
        elif action == "goaway":
            connection.goaway()
        elif action == "tick":
            connection.tick()
        elif action == "open" and isinstance(connection, ClientConnection):
            connection.open(RequestHead("/a/B"))
        elif stream is None:
            return
        elif action == "take":
            connection.credit(stream, stream.takeable)
            stream.take()
        elif action == "send" and stream.state in (State.OPEN, State.HALF_CLOSED_REMOTE) and not stream.pending:
            outbound.send_message(stream, bytes(3_000))
        elif action == "end":
            outbound.end(stream, response_block() + trailers_block(0))
        elif action == "reset":
            connection.reset(stream, ErrorCode.CANCEL)
    except LocalError:
        pass


def check(connection: Connection, others: int) -> None:
    """What always holds. `others` are streams that we have opened ourselves."""
    assert connection.outbound.size <= MOST_OUTPUT
    assert len(connection.streams) <= LIMITS.max_concurrent_streams + others
    assert set(connection.outbound.waiting) <= set(connection.streams)
    assert len(connection._buffer) - connection._position <= 16_384 + 9 + 200
    loans = connection.outbound.loans
    assert loans.lent == sum(stream.loan for stream in connection.streams.values()) <= LIMITS.max_message + 5
    assert set(loans.line) <= set(connection.streams.values())
    assert all(stream.partial is not None and stream.failure is None for stream in loans.line)
    check_accounts(connection)
    for stream in connection.streams.values():
        assert stream.state not in (State.IDLE, State.CLOSED)
        assert 0 <= stream.held <= 65_535 + LIMITS.max_message + 5
        assert stream.to_credit < LIMITS.stream_window // 2
    ended = [event for event in connection.events if isinstance(event, ConnectionEnded)]
    assert len(ended) == (connection.fault is not None)


def check_accounts(connection: Connection) -> None:
    """Each sum that is kept is what it stands for."""
    outbound, streams = connection.outbound, connection.streams.values()
    assert outbound.pending_bytes == sum(len(stream.pending or b"") for stream in streams)
    assert outbound.lent_bytes == sum(stream.loan for stream in streams)
    assert set(outbound.borrowers) <= set(connection.streams)
    assert 0 <= connection._reserve.free_bytes <= LIMITS.shared_unread
    if connection.fault is None:
        used = connection._full_window - connection._window
        assert connection._arrived + used - outbound.taken == sum(stream.held for stream in streams)


def play(connection: Connection, script: list[tuple[bytes, str]]) -> None:
    opened = len(connection.streams)
    for wire, action in script:
        receive(connection, wire)
        check(connection, opened)
        if connection.fault is None:
            act(connection, action)
            opened += action == "open"
            check(connection, opened)
    goaways = sum(isinstance(event, ConnectionEnded) for event in connection.events)
    assert goaways <= 1


@settings(max_examples=400)
@given(scripts)
def test_any_frames_to_a_server(script: list[tuple[bytes, str]]) -> None:
    connection = ServerConnection(LIMITS)
    receive(connection, PREFACE + SETTINGS)
    play(connection, script)


@settings(max_examples=400)
@given(scripts)
def test_any_frames_to_a_client(script: list[tuple[bytes, str]]) -> None:
    connection = ClientConnection(LIMITS)
    receive(connection, SETTINGS)
    connection.open(RequestHead("/a/B"))
    connection.open(RequestHead("/a/C"))
    connection.outbound.take_output()
    play(connection, script)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=100), max_size=10), st.booleans(), st.booleans())
def test_any_bytes(reads: list[bytes], as_server: bool, after_hello: bool) -> None:
    connection: Connection = ServerConnection(LIMITS) if as_server else ClientConnection(LIMITS)
    if after_hello:
        receive(connection, (PREFACE if as_server else b"") + SETTINGS)
    receive(connection, *reads)
    check(connection, 0)


@settings(max_examples=50)
@given(st.lists(any_frame, min_size=1, max_size=6), st.booleans())
def test_any_frames_without_end_for_a_peer_that_never_reads(repeated: list[bytes], as_server: bool) -> None:
    """A flood of anything: what we hold stays bounded, whether the connection lives or not."""
    connection: Connection = ServerConnection(LIMITS) if as_server else ClientConnection(LIMITS)
    receive(connection, (PREFACE if as_server else b"") + SETTINGS)
    connection.outbound.corked = True
    for stream_id in range(1, 400, 2):
        receive(connection, frame(frames.HEADERS, 5, stream_id, hpack.encode(REQUEST)) if as_server else b"")
        receive(connection, *repeated)
        for event in connection.events:
            if isinstance(event, RequestReceived) and event.stream.state is not State.CLOSED:
                connection.outbound.end(event.stream, response_block() + trailers_block(12, "no such method"))
        connection.events = [event for event in connection.events if isinstance(event, ConnectionEnded)]
        check(connection, 0)
