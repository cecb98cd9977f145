from __future__ import annotations

import socket

import pytest
import trio

from ride_trio.rpc.transport import SocketTransport, StreamTransport
from tests.rpc.streams import HangingStream, socket_streams

MUCH = bytes(1_000_000)


async def test_a_socket_carries_bytes_both_ways_and_their_end() -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        transport = SocketTransport(ours)
        assert transport.write_nowait(b"hello") == 5
        assert await theirs.receive_some() == b"hello"
        await theirs.send_all(b"world")
        assert await transport.read() == b"world"
        await theirs.send_eof()
        assert await transport.read() == b""
        await transport.send_eof()
        assert await theirs.receive_some() == b""


async def test_write_nowait_writes_what_fits_and_then_nothing() -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        transport = SocketTransport(ours)
        assert 0 < transport.write_nowait(MUCH) < len(MUCH)
        while transport.write_nowait(MUCH):
            pass
        assert transport.write_nowait(MUCH) == 0


async def test_write_waits_for_a_slow_reader(nursery: trio.Nursery) -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        nursery.start_soon(SocketTransport(ours).write, MUCH)
        got = 0
        while got < len(MUCH):
            got += len(await theirs.receive_some())


async def test_a_hung_read_can_be_cancelled() -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        with trio.move_on_after(0.01) as scope:
            await SocketTransport(ours).read()
        assert scope.cancelled_caught


async def test_a_hung_write_can_be_cancelled() -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        with trio.move_on_after(0.01) as scope:
            await SocketTransport(ours).write(MUCH)
        assert scope.cancelled_caught


async def test_a_peer_that_has_gone_is_an_os_error() -> None:
    ours, theirs = socket_streams()
    async with ours:
        transport = SocketTransport(ours)
        await theirs.aclose()
        with pytest.raises(OSError, match="Broken pipe"):
            transport.write_nowait(b"hello")


async def test_a_closed_socket_is_not_written_even_if_its_number_is_used_again() -> None:
    ours, theirs = socket_streams()
    number = ours.socket.fileno()
    transport = SocketTransport(ours)
    await transport.aclose()
    await theirs.aclose()
    sockets = [end for _ in range(4) for end in socket.socketpair()]
    assert number in [end.fileno() for end in sockets]
    with pytest.raises(OSError, match="Bad file descriptor"):
        transport.write_nowait(b"for somebody else")
    for end in sockets:
        end.close()


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")])
async def test_a_peer_is_named_by_its_address(host: str, name: str) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=host)
    async with listener:
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream(host, port) as theirs, await listener.accept() as ours:
            assert SocketTransport(ours).peer == f"{name}{theirs.socket.getsockname()[1]}"


async def test_a_peer_on_a_unix_socket_or_gone_has_a_name_too() -> None:
    ours, theirs = socket_streams()
    async with ours, theirs:
        assert SocketTransport(ours).peer.startswith("unix:")


async def test_any_trio_stream_will_do() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    transport = StreamTransport(ours, "somebody")
    assert transport.peer == "somebody"
    assert transport.write_nowait(b"hello") == 0  # only a task can write it
    await transport.write(b"hello")
    assert await theirs.receive_some() == b"hello"
    await theirs.send_all(b"world")
    assert await transport.read() == b"world"
    await transport.send_eof()
    assert await theirs.receive_some() == b""
    await transport.aclose()


async def test_a_stream_that_cannot_half_close_is_left_open() -> None:
    class Whole(trio.abc.Stream):
        send_all = wait_send_all_might_not_block = receive_some = aclose = HangingStream.send_all

    await StreamTransport(Whole(), "somebody").send_eof()


async def test_hung_streams_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    transport = StreamTransport(HangingStream(), "somebody")
    for hung in (transport.read, lambda: transport.write(b"hello")):
        with trio.move_on_after(1) as scope:
            await hung()
        assert scope.cancelled_caught
