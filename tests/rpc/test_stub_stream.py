"""purerpc's own stubs on our channel."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Channel, Server
from tests.rpc.echo import HANDLERS, NAME, bidi, connect, echo_server, service_of, signature, value


def stub(channel: Channel, method: str, cardinality: purerpc.Cardinality | None = None) -> Any:
    client = purerpc.Client(NAME, channel)
    return client.get_method_stub(method, signature(cardinality or HANDLERS[method][0]))


async def messages(*parts: bytes) -> AsyncIterator[BytesValue]:
    for part in parts:
        yield value(part)


async def test_all_four_cardinalities(channel: Channel) -> None:
    assert await stub(channel, "unary")(value(b"x")) == value(b"x")
    assert [message.value async for message in stub(channel, "split")(value(b"xyz"))] == [b"x", b"y", b"z"]
    assert await stub(channel, "join")(messages(b"x", b"y")) == value(b"xy")
    assert [message.value async for message in stub(channel, "echo")(messages(b"x", b"y"))] == [b"x", b"y"]


async def test_a_stream_in_ones_own_hands(channel: Channel) -> None:
    stream = await stub(channel, "echo")()
    await stream.send_message(value(b"x"))
    assert await stream.receive_message() == value(b"x")
    await stream.close()
    assert await stream.receive_message() is None
    assert stream.end_stream_event.status.int_value == 0
    assert stream.call.status is stream.end_stream_event.status
    assert stream.stream_id == 1


async def test_metadata_goes_with_the_call() -> None:
    async def handler(call: Any) -> None:
        await call.send(value(call.header("user-id").encode()))

    async with trio.open_nursery() as nursery:
        async with connect(nursery, bidi(handler)) as channel:
            call = stub(channel, "Bidi", purerpc.Cardinality.STREAM_STREAM)
            replies = call(messages(), metadata=(("user-id", "rider 7"),))
            assert [reply.value async for reply in replies] == [b"rider 7"]
        nursery.cancel_scope.cancel()


async def test_a_status_is_raised(channel: Channel) -> None:
    with pytest.raises(purerpc.NotFoundError) as caught:
        await stub(channel, "not_found")(value(b"nobody"))
    assert caught.value.status.status_message == "nobody"
    with pytest.raises(purerpc.UnknownError):
        await stub(channel, "fails")(value(b"x"))
    with pytest.raises(purerpc.UnimplementedError):
        await stub(channel, "no_such", purerpc.Cardinality.UNARY_UNARY)(value(b"x"))


async def test_a_deadline_around_the_call_is_the_calls(
    channel: Channel, server: Server, autojump_clock: MockClock
) -> None:
    start = trio.current_time()
    with trio.move_on_after(2) as scope:
        await stub(channel, "hangs", purerpc.Cardinality.UNARY_UNARY)(value(b"x"))
    assert scope.cancelled_caught
    assert trio.current_time() - start == pytest.approx(2)
    await wait_all_tasks_blocked()
    assert server.statistics().calls == 0


async def test_a_cancelled_stub_resets_its_call(nursery: trio.Nursery) -> None:
    server = echo_server()
    async with connect(nursery, server) as channel, trio.open_nursery() as inner:
        for call in (stub(channel, "hangs", purerpc.Cardinality.UNARY_UNARY), stub(channel, "hangs")()):
            inner.start_soon(_wait_for, call)
        await wait_all_tasks_blocked()
        assert server.statistics().calls == 2
        inner.cancel_scope.cancel()
        with trio.move_on_after(1, shield=True):
            await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert server.metrics.handled("bidi_stream", NAME, "hangs", "CANCELLED").n == 2


async def _wait_for(call: Any) -> None:
    if callable(call):
        await call(value(b"x"))
    else:
        await (await call).receive_message()


async def test_a_generator_left_early_resets_its_call(channel: Channel, server: Server) -> None:
    async with aclosing(stub(channel, "split")(value(bytes(100_000)))) as replies:
        async for _ in replies:
            break
    stream = await stub(channel, "echo")()
    await wait_all_tasks_blocked()
    assert server.statistics().calls > 0
    del stream, replies
    gc.collect()
    await wait_all_tasks_blocked()
    assert server.statistics() == type(server.statistics())(1, 0, 0)


async def test_a_stream_may_be_dropped_when_trio_is_gone() -> None:
    streams: list[Any] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            async with connect(nursery, echo_server()) as channel:
                streams.append(await stub(channel, "hangs")())
            nursery.cancel_scope.cancel()

    await trio.to_thread.run_sync(trio.run, main)
    streams.clear()
    gc.collect()


async def test_a_proxy_hands_its_calls_on_to_stubs(nursery: trio.Nursery, channel: Channel) -> None:
    """What a handler iterates is closed by the stub that it is passed to, as a generator would be."""

    async def echo(messages: Any) -> AsyncIterator[BytesValue]:
        async for reply in stub(channel, "echo")(messages):
            yield reply

    async def join(messages: Any) -> BytesValue:
        reply: BytesValue = await stub(channel, "join")(messages)
        return reply

    front = Server(0)
    front.add_service(service_of({"echo": (HANDLERS["echo"][0], echo), "join": (HANDLERS["join"][0], join)}))
    async with connect(nursery, front) as proxy:
        assert [message.value async for message in stub(proxy, "echo")(messages(b"x", b"y"))] == [b"x", b"y"]
        assert await stub(proxy, "join")(messages(b"x", b"y")) == value(b"xy")
