from __future__ import annotations

from functools import partial

import pytest
import trio

from ride_trio_loadgen.bench import websockets
from ride_trio_loadgen.bench.child import child


async def test_idle_websockets_cost_little_and_the_server_answers_among_them() -> None:
    with child("ride_trio_loadgen.bench.websocket_server") as server:
        result = await websockets.measure(server, 1_000)
    assert result.holds
    assert result.bytes_a_socket > 1_000
    assert result.worst_ack_ms < 1_000


async def test_a_server_that_refuses_is_an_error() -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, refuse, 0, host="127.0.0.1"))
        with pytest.raises(ValueError, match="refused"):
            await websockets.open_one(listener.socket.getsockname()[1], 1)
        nursery.cancel_scope.cancel()
