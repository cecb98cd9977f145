from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Limits
from ride_trio.wire import ErrorCode
from ride_trio.wire.events import GoAwayReceived, ResponseReceived, StreamReset
from ride_trio.wire.frames import MAX_STREAM_ID
from ride_trio.wire.hpack import encode
from tests.rpc.echo import NAME, bidi, echo_server
from tests.rpc.peers import RawClient


async def test_a_header_that_cannot_be_read_is_an_internal_error(nursery: trio.Nursery) -> None:
    """gRPC leaves INVALID_ARGUMENT to applications."""
    client = await RawClient(nursery, echo_server()).shake_hands()
    stream = client.open("unary", end=True)
    client.wire.outbound.output.clear()
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/test.Echo/unary"), (b"te", b"trailers"))
    block = encode((*fields, (b"content-type", b"application/grpc"), (b"grpc-timeout", b"soon")))
    await client.send(len(block).to_bytes(3, "big") + b"\1\5" + stream.id.to_bytes(4, "big") + block)
    trailers = await client.status(stream)
    assert trailers.code == 13
    assert "grpc-timeout 'soon'" in trailers.message


async def test_what_is_no_grpc_gets_an_http_answer(nursery: trio.Nursery) -> None:
    client = await RawClient(nursery, echo_server()).shake_hands()
    stream = client.open("unary", end=True)
    client.wire.outbound.output.clear()
    block = encode(((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x")))
    await client.send(len(block).to_bytes(3, "big") + b"\1\5" + stream.id.to_bytes(4, "big") + block)
    response = await client.until_event(ResponseReceived)
    assert isinstance(response, ResponseReceived)
    assert response.head.http_status == 405


async def test_more_calls_than_allowed_are_refused(nursery: trio.Nursery) -> None:
    server = echo_server(limits=Limits(max_concurrent_streams=2))
    client = await RawClient(nursery, server).shake_hands()
    for _ in range(3):
        client.open("hangs")
    reset = await client.until_event(StreamReset)
    assert isinstance(reset, StreamReset)
    assert (reset.stream.id, reset.code) == (5, ErrorCode.REFUSED_STREAM)
    assert server.statistics().calls == 2


async def test_handlers_that_still_clean_up_count(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A client that opens and resets, again and again, can't pile up handlers."""

    async def slow_to_leave(call: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(5, shield=True):
                await trio.sleep_forever()

    server = bidi(slow_to_leave, limits=Limits(max_concurrent_streams=10))
    client = await RawClient(nursery, server).shake_hands()
    for _ in range(100):
        stream = client.open()
        await client.send()
        await wait_all_tasks_blocked()
        client.wire.reset(stream, ErrorCode.CANCEL)
        await client.send()
        await wait_all_tasks_blocked()
    assert server.statistics().calls == 20
    await trio.sleep(6)
    assert server.statistics().calls == 0


async def test_goaway_names_the_last_call_that_is_served(nursery: trio.Nursery) -> None:
    server = echo_server()
    client = await RawClient(nursery, server).shake_hands()
    served = client.open("echo", b"\n\1x")
    await client.send()
    await wait_all_tasks_blocked()
    nursery.start_soon(server.shutdown, 5)
    warning = await client.until_event(GoAwayReceived)
    assert warning == GoAwayReceived(MAX_STREAM_ID, ErrorCode.NO_ERROR, b"")
    client.events.clear()
    goaway = await client.until_event(GoAwayReceived)
    assert goaway == GoAwayReceived(served.id, ErrorCode.NO_ERROR, b"")
    late = client.open("echo")
    reset = await client.until_event(StreamReset)
    assert isinstance(reset, StreamReset)
    assert (reset.stream, reset.code) == (late, ErrorCode.REFUSED_STREAM)
    client.wire.outbound.end(served)
    assert (await client.status(served)).code == 0
    await client.until_closed()


async def test_a_call_that_is_opened_and_reset_in_one_breath_is_counted(nursery: trio.Nursery) -> None:
    server = echo_server()
    client = await RawClient(nursery, server).shake_hands()
    client.wire.reset(client.open("hangs"), ErrorCode.CANCEL)
    await client.send()
    await wait_all_tasks_blocked()
    assert server.statistics().calls == 0
    assert server.metrics.handled("bidi_stream", NAME, "hangs", "CANCELLED").n == 1


@pytest.mark.parametrize("end", ["leaves", "breaks a rule", "is torn away"])
async def test_an_ended_connection_leaves_no_circle_for_the_garbage_collector(
    nursery: trio.Nursery, end: str, autojump_clock: MockClock
) -> None:
    server = echo_server()
    client = await RawClient(nursery, server).shake_hands()
    client.open("hangs")
    client.open("echo_call", b"\n\1x")
    await client.until_event(ResponseReceived)
    ended = weakref.ref(next(iter(server._links)))
    gc.collect()
    gc.disable()
    try:
        if end == "leaves":
            await client.stream.send_eof()
        elif end == "breaks a rule":
            await client.send(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0")  # WINDOW_UPDATE of 0
        await trio.sleep(1)
        await client.stream.aclose()
        await trio.sleep(1)
        assert not server._links
        assert ended() is None
    finally:
        gc.enable()
