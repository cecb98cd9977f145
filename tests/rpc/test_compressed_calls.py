"""Calls whose messages are compressed, on the frames."""

from __future__ import annotations

import gzip
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality
from trio.testing import wait_all_tasks_blocked

from ride_trio.rpc import Limits
from ride_trio.rpc.compression import SLICE_BYTES, current_inflation
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.stream import Compressed, Stream
from tests.rpc.echo import bidi, connect, open_call, server_of, value
from tests.rpc.peers import RawClient

LARGE = 4 * SLICE_BYTES


def encoded(message: BytesValue) -> bytes:
    return gzip.compress(message.SerializeToString())


async def begin(client: RawClient, encoding: str = "gzip", *messages: bytes, end: bool = True) -> Stream:
    """A call with compressed messages."""
    stream = client.wire.open(RequestHead("/test.Echo/Bidi", authority="memory", encoding=encoding))
    for message in messages:
        client.wire.outbound.send_message(stream, message, 1)
    if end:
        client.wire.outbound.end(stream)
    await client.send()
    return stream


@pytest.mark.parametrize("size", [10, LARGE])
async def test_compressed_requests_are_read(nursery: trio.Nursery, size: int) -> None:
    seen = []

    async def handler(call: Any) -> None:
        async for message in call:
            seen.append((len(message.value), call.received_compressed))

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = await begin(client, "gzip", encoded(value(bytes(size))), end=False)
    client.wire.outbound.send_message(stream, value(b"plain").SerializeToString())
    client.wire.outbound.end(stream)
    await client.send()
    assert (await client.status(stream)).code == 0
    assert seen == [(size, True), (5, False)]
    assert current_inflation().inflated_bytes == 0


async def test_a_bomb_costs_its_call_only(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        async for _ in call:
            pass

    client = await RawClient(nursery, bidi(handler, limits=Limits(max_message=1_000_000))).shake_hands()
    bomb = await begin(client, "gzip", gzip.compress(bytes(50_000_000), 1))
    fine = await begin(client, "gzip", encoded(value(b"x")))
    assert (await client.status(fine)).code == 0
    status = await client.status(bomb)
    assert (status.code, "limit of 1000000 bytes" in status.message) == (8, True)


async def test_what_is_no_gzip_ends_the_call(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        async for _ in call:
            pass

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    status = await client.status(await begin(client, "gzip", b"not at all"))
    assert (status.code, "no valid gzip" in status.message) == (13, True)


@pytest.mark.parametrize(("size", "code"), [(10, 0), (LARGE, 8)])
async def test_a_sink_takes_small_ones(nursery: trio.Nursery, size: int, code: int) -> None:
    taken = []

    async def handler(call: Any) -> None:
        done = trio.Event()

        def sink(message: BytesValue | None) -> bool:
            if message is None:
                done.set()
            else:
                taken.append(len(message.value))
            return True

        call.set_sink(sink)
        await done.wait()

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = await begin(client, "gzip", encoded(value(bytes(size))))
    assert (await client.status(stream)).code == code
    assert taken == ([size] if not code else [])


async def answered(nursery: trio.Nursery, handler: Any) -> tuple[RawClient, Stream]:
    """A call that is answered; its messages are in the inbox as they came."""
    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = await begin(client, "identity")
    assert (await client.status(stream)).code == 0
    return client, stream


async def test_answers_are_compressed_if_the_handler_wants_it(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        call.compression = "gzip"
        await call.send(value(b"packed"))
        await call.send(value(b"plain"), compress=False)
        await call.send(value(bytes(LARGE)))

    _, stream = await answered(nursery, handler)
    packed, plain, large = stream.inbox
    assert (type(packed), type(plain), type(large)) == (Compressed, bytes, Compressed)
    assert BytesValue.FromString(gzip.decompress(packed)) == value(b"packed")
    assert len(gzip.decompress(large)) > LARGE > 100 * len(large)
    assert stream.encoding == "gzip"


async def test_a_client_that_does_not_accept_it_gets_it_plain(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        call.head.accept_encoding = "identity"
        call.compression = "gzip"
        assert call.compression == "identity"
        await call.send(value(b"x"))

    _, stream = await answered(nursery, handler)
    assert [type(message) for message in stream.inbox] == [bytes]


async def test_compression_is_chosen_before_anything_is_sent(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        with pytest.raises(Exception, match="one of identity, gzip"):
            call.compression = "br"
        await call.start()
        with pytest.raises(Exception, match="before anything is sent"):
            call.compression = "gzip"

    await answered(nursery, handler)


async def test_an_unknown_encoding_is_unimplemented(nursery: trio.Nursery) -> None:
    client = await RawClient(nursery, bidi(_never)).shake_hands()
    status = await client.status(await begin(client, "br"))
    assert (status.code, "identity, gzip" in status.message) == (12, True)


async def _never(call: Any) -> None:
    raise purerpc.InternalError("no handler is to run")


async def test_a_call_that_ends_early_gives_its_room_back(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        await call.receive()
        assert current_inflation().inflated_bytes > LARGE

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = await begin(client, "gzip", encoded(value(bytes(LARGE))), end=False)
    assert (await client.status(stream)).code == 0
    await wait_all_tasks_blocked()
    assert current_inflation().inflated_bytes == 0


async def test_a_call_that_asks_for_the_next_message_has_worked_off_the_last(nursery: trio.Nursery) -> None:
    """It may wait for ever, and others want to send large messages, too."""

    async def handler(call: Any) -> None:
        async for _ in call:
            assert current_inflation().inflated_bytes > LARGE

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = await begin(client, "gzip", encoded(value(bytes(LARGE))), end=False)
    await wait_all_tasks_blocked()
    assert current_inflation().inflated_bytes == 0
    client.wire.outbound.end(stream)
    assert (await client.status(stream)).code == 0


async def test_a_single_request_is_worked_on_until_the_end(nursery: trio.Nursery) -> None:
    async def handler(message: BytesValue) -> BytesValue:
        assert current_inflation().inflated_bytes > LARGE
        return BytesValue()

    client = await RawClient(nursery, server_of("Bidi", Cardinality.UNARY_UNARY, handler)).shake_hands()
    stream = await begin(client, "gzip", encoded(value(bytes(LARGE))), end=False)
    await wait_all_tasks_blocked()
    client.wire.outbound.end(stream)
    assert (await client.status(stream)).code == 0
    assert current_inflation().inflated_bytes == 0


async def test_a_client_that_leaves_its_call_has_worked_off_the_answer(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        call.compression = "gzip"
        await call.send(value(bytes(LARGE)))

    async with connect(nursery, bidi(handler)) as channel:
        async with open_call(channel) as call:
            await call.wait_status()
            assert await call.receive() == value(bytes(LARGE))
            assert current_inflation().inflated_bytes > LARGE
        assert current_inflation().inflated_bytes == 0
