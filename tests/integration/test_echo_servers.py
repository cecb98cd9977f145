"""Our client against foreign servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import purerpc
import pytest
import trio

from ride_trio.rpc import Channel, Limits
from tests.integration.echo_servers import SERVERS
from tests.rpc.echo import ask, echo, join, open_call, service_of, split, status_of, unary, value

LARGE = bytes(range(250)) * 12_000  # 3 MB
PATIENCE_S = 10.0


@pytest.fixture(params=SERVERS, ids=lambda server: server.__name__)
def port(request: Any) -> Iterator[int]:
    with request.param() as port:
        yield port


@pytest.fixture
async def channel(port: int) -> AsyncIterator[Channel]:
    with trio.fail_after(PATIENCE_S):
        async with Channel("127.0.0.1", port) as channel:
            yield channel


async def all_cardinalities(channel: Channel) -> None:
    assert await ask(channel, "unary", b"x") == [b"x"]
    assert await ask(channel, "split", b"abc") == [b"a", b"b", b"c"]
    assert await ask(channel, "join", b"a", b"b") == [b"ab"]
    async with open_call(channel, "echo") as call:
        for part in (b"a", b"b", b"c"):
            await call.send(value(part))
            assert await call.receive() == value(part)
        await call.done_sending()
        assert await call.receive() is None
        assert (await call.wait_status()).int_value == 0


async def test_all_cardinalities_also_at_once(channel: Channel) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(all_cardinalities, channel)


async def test_large_messages_both_ways(channel: Channel) -> None:
    assert await ask(channel, "unary", LARGE) == [LARGE]
    async with open_call(channel, "echo") as call, trio.open_nursery() as nursery:
        nursery.start_soon(call.send, value(LARGE))
        assert await call.receive() == value(LARGE)


async def test_small_windows(port: int) -> None:
    limits = Limits(stream_window=1_000, connection_window=70_000)
    with trio.fail_after(PATIENCE_S):
        async with Channel("127.0.0.1", port, limits=limits) as channel:
            assert await ask(channel, "split", b"abcdefghij" * 50) == [bytes((byte,)) for byte in b"abcdefghij" * 50]
            assert await ask(channel, "unary", LARGE[:200_000]) == [LARGE[:200_000]]


async def test_metadata_both_ways(channel: Channel) -> None:
    metadata = (("user-id", "rider 7"), ("trace-bin", b"\0\xff"))
    async with open_call(channel, "meta", metadata=metadata) as call:
        await call.send(value(b"x"))
        await call.done_sending()
        assert [message.value async for message in call] == [b"x"]
        initial = [pair for pair in call.initial_metadata if pair[0].startswith("echo-")]
        assert sorted(initial) == [("echo-trace-bin", b"\0\xff"), ("echo-user-id", "rider 7")]
        assert ("echo-last", "yes") in call.trailing_metadata


async def test_statuses(channel: Channel) -> None:
    assert await status_of(channel, "not_found", b"nobody: 100 %") == ("NOT_FOUND", "nobody: 100 %")
    code, _ = await status_of(channel, "no_such", b"x")
    assert code == "UNIMPLEMENTED"
    with pytest.raises(purerpc.NotFoundError):
        await ask(channel, "not_found", b"nobody")


async def test_a_deadline_passes(channel: Channel) -> None:
    code, _ = await status_of(channel, "hangs", b"x", timeout_s=0.1)
    assert code in {"DEADLINE_EXCEEDED", "CANCELLED"}


async def test_calls_left_early_do_no_harm(channel: Channel) -> None:
    for _ in range(5):
        async with open_call(channel, "hangs") as call:
            await call.send(value(b"x"))
        async with open_call(channel, "echo") as call:
            await call.send(value(b"x"))
            await call.receive()
    await all_cardinalities(channel)


async def test_a_server_that_ends_early_stops_us(channel: Channel) -> None:
    async with open_call(channel, "early") as call:
        with pytest.raises(purerpc.AbortedError):
            await _send_for_ever(call)
        assert call.status is not None
        assert call.status.status_message == "enough"
    await all_cardinalities(channel)


async def _send_for_ever(call: Any) -> None:
    while True:
        await call.send(value(bytes(1_000)))
        await trio.lowlevel.checkpoint()


async def test_stock_purerpc(nursery: trio.Nursery) -> None:
    server = purerpc.Server(0)
    cardinality = purerpc.Cardinality
    server.add_service(
        service_of(
            {
                "unary": (cardinality.UNARY_UNARY, unary),
                "split": (cardinality.UNARY_STREAM, split),
                "join": (cardinality.STREAM_UNARY, join),
                "echo": (cardinality.STREAM_STREAM, echo),
            }
        )
    )
    with trio.fail_after(PATIENCE_S):
        async with Channel("127.0.0.1", await nursery.start(_serve, server)) as channel:
            await all_cardinalities(channel)
            assert await ask(channel, "echo", LARGE[:500_000]) == [LARGE[:500_000]]
            assert (await status_of(channel, "no_such", b"x"))[0] == "UNIMPLEMENTED"


async def _serve(server: purerpc.Server, task_status: trio.TaskStatus[int]) -> None:
    await server.serve_async(task_status=task_status)
