"""What a peer has left half done, looked at every few seconds; and how much work a pass is."""

from __future__ import annotations

from ride_trio.wire import Limits, ServerConnection
from ride_trio.wire.frames import END_HEADERS, HEADERS, PREFACE, ErrorCode, frame
from tests.wire import peers
from tests.wire.peers import SETTINGS, data, headers, receive


def test_a_handshake_has_its_time() -> None:
    connection = ServerConnection(Limits())
    receive(connection, PREFACE[:5])
    assert connection.unsettled
    connection.tick(begin=True)
    assert connection.fault is None
    connection.tick()
    assert connection.fault is not None
    assert "no SETTINGS in time" in str(connection.fault)


def test_after_the_handshake_all_is_well() -> None:
    connection = ServerConnection(Limits())
    connection.tick(begin=True)
    receive(connection, PREFACE + SETTINGS)
    connection.tick()
    assert connection.fault is None
    assert not connection.unsettled


def test_a_header_block_that_is_never_finished_ends_the_connection() -> None:
    connection = peers.server()
    receive(connection, frame(HEADERS, 0, 1, b"\x83"))
    assert connection.unsettled
    connection.tick(begin=True)
    connection.tick()
    assert connection.fault is not None
    assert connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM


def test_another_unfinished_block_has_its_own_time() -> None:
    connection = peers.server()
    for stream_id in (1, 3, 5):
        receive(connection, headers(stream_id)[:4] + b"\0" + headers(stream_id)[5:])  # without END_HEADERS
        connection.tick()
        assert connection.fault is None
        receive(connection, frame(9, END_HEADERS, stream_id))
    assert len(connection.streams) == 3


def test_time_that_has_passed_before_does_not_count() -> None:
    connection = peers.server()
    receive(connection, frame(HEADERS, 0, 1, b"\x83"))
    connection.tick()
    connection.tick(begin=True)
    assert connection.fault is None


def test_a_pass_has_fewer_calls_than_messages() -> None:
    connection = peers.server(Limits(pass_frames=256))
    connection.feed(b"".join(headers(2 * number + 1) for number in range(100)))
    assert connection.process()
    assert len(connection.streams) == 256 // 7 + 1
    connection.feed(b"".join(data(1, peers.framed(b"x")) for _ in range(300)))
    while connection.process():
        pass
    assert len(connection.streams) == 100
    assert len(connection.streams[1].inbox) == 300


def test_a_pass_may_be_shorter() -> None:
    connection = peers.server()
    stream = peers.server_call(connection)
    connection.feed(b"".join(data(1, peers.framed(b"x")) for _ in range(100)))
    assert connection.process(32)
    assert len(stream.inbox) == 32
