"""Where a server listens: Unix sockets, several places, options, and how many may come from one address."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from ride_trio.rpc import Channel, Listener, Server, SocketOptions
from ride_trio.rpc.transport import peer_host
from tests.rpc.desk import until
from tests.rpc.echo import HANDLERS, ask, echo_server, service_of


async def ask_by_path(path: Path) -> list[bytes]:
    stream = await trio.open_unix_socket(str(path))
    async with Channel("unix", 0, stream=stream) as channel:
        return await ask(channel, "unary", b"hello")


async def test_a_server_listens_in_several_places(nursery: trio.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    server = echo_server(host="127.0.0.1", also=[Listener(path=str(path)), Listener(0, "127.0.0.1")])
    port = await nursery.start(server.serve_async)
    async with Channel("127.0.0.1", port) as channel:
        assert await ask(channel, "unary", b"hello") == [b"hello"]
    assert await ask_by_path(path) == [b"hello"]
    assert server.statistics().connections <= 2


async def test_a_unix_socket_leaves_no_file_behind(tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    async with trio.open_nursery() as nursery:
        await nursery.start(echo_server(host="127.0.0.1", also=[Listener(path=str(path))]).serve_async)
        assert path.is_socket()
        nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_a_dead_servers_socket_is_replaced(nursery: trio.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await nursery.start(echo_server(host="127.0.0.1", also=[Listener(path=str(path))]).serve_async)
    assert await ask_by_path(path) == [b"hello"]


async def test_a_live_servers_socket_is_not(nursery: trio.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    await nursery.start(echo_server(host="127.0.0.1", also=[Listener(path=str(path))]).serve_async)
    with pytest.raises(OSError, match="another server listens"):
        await echo_server(host="127.0.0.1", also=[Listener(path=str(path))]).serve_async()
    assert await ask_by_path(path) == [b"hello"]


async def test_a_file_is_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep me")
    with pytest.raises(OSError, match="no socket"):
        await echo_server(host="127.0.0.1", also=[Listener(path=str(path))]).serve_async()
    assert path.read_text() == "keep me"


async def test_processes_may_share_a_port(nursery: trio.Nursery) -> None:
    options = SocketOptions(reuse_port=True)
    port = await nursery.start(echo_server(host="127.0.0.1", options=options).serve_async)
    second = Server(port, host="127.0.0.1", options=options)
    second.add_service(service_of(HANDLERS))
    assert await nursery.start(second.serve_async) == port
    with pytest.raises(OSError, match="in use"):
        await Server(port, host="127.0.0.1").serve_async()


async def test_options_reach_the_accepted_socket(nursery: trio.Nursery) -> None:
    (listener,) = await Listener(0, "127.0.0.1").open(SocketOptions())
    async with await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1]), listener:
        accepted = await listener.accept()
        SocketOptions(no_delay=False, user_timeout_s=1.5).apply(accepted)
        assert not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1_500
        await accepted.aclose()


async def test_an_option_that_cannot_be_set_costs_connections_and_not_the_server(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    server = echo_server(host="127.0.0.1", options=SocketOptions(user_timeout_s=1e9))
    port = await nursery.start(server.serve_async)
    with trio.fail_after(5):
        for _ in range(2):
            assert await (await trio.open_tcp_stream("127.0.0.1", port)).receive_some() == b""
    assert "connection of 127.0.0.1" in caplog.text


async def test_one_address_has_so_many_connections(nursery: trio.Nursery) -> None:
    server = echo_server(host="127.0.0.1", max_connections_per_peer=3)
    port = await nursery.start(server.serve_async)
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
    await until(lambda: server.statistics().connections == 3)
    refused = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.fail_after(5):
        assert await refused.receive_some() == b""
    assert server.metrics.refused("peer_limit").n == 1
    await streams[0].aclose()
    await until(lambda: server.statistics().connections == 2)
    async with Channel("127.0.0.1", port) as channel:
        assert await ask(channel, "unary", b"hello") == [b"hello"]


@pytest.mark.parametrize(
    ("peer", "host"), [("1.2.3.4:5", "1.2.3.4"), ("[::1]:5", "[::1]"), ("unix:", "unix"), ("unix:/x:1", "unix")]
)
def test_what_counts_as_one_peer(peer: str, host: str) -> None:
    assert peer_host(peer) == host


def test_a_listener_says_where_it_is() -> None:
    assert str(Listener(1, "a")) == "a:1"
    assert str(Listener(1)) == "*:1"
    assert str(Listener(path="/x")) == "unix:/x"
