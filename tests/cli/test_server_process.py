"""The demo's server process: it is there while the block runs, and never after."""

from __future__ import annotations

import os

import pytest
import trio

from ride_trio_cli.server_process import ServerFailedError, server_process

ANY_PORT = dict.fromkeys(("grpc_listen_addr", "http_listen_addr", "metrics_listen_addr"), "127.0.0.1:0")


async def test_it_listens_where_it_says_and_stops_cleanly() -> None:
    async with server_process(ANY_PORT) as server:
        for address in (server.grpc, server.metrics):
            await (await trio.open_tcp_stream(address.host, address.port)).aclose()
        assert await server.stop(grace_s=10.0) == 0


async def test_a_terminals_ctrl_c_does_not_reach_it() -> None:
    async with server_process(ANY_PORT) as server:
        assert os.getsid(server.process.pid) == server.process.pid != os.getsid(0)


async def test_an_error_in_the_block_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        async with server_process(ANY_PORT) as server:
            raise ZeroDivisionError
    assert server.process.returncode == -9


async def test_cancelling_the_block_ends_it() -> None:
    with trio.CancelScope() as scope:
        async with server_process(ANY_PORT) as server:
            scope.cancel()
            await trio.sleep_forever()
    assert server.process.returncode == -9


async def test_a_server_that_cannot_start_is_an_error() -> None:
    with pytest.raises(ServerFailedError, match="ended before it was ready"):
        async with server_process(ANY_PORT | {"shard_count": "none"}):
            pytest.fail("it did start")
