"""Calls on the server that are cut short: by the client, by time, by themselves."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Call
from ride_trio.wire import ErrorCode
from tests.rpc.desk import KB
from tests.rpc.echo import (
    HANDLERS,
    NAME,
    bidi,
    connect,
    echo_server,
    open_call,
    server_of,
    service_of,
    status_of,
    value,
)
from tests.rpc.peers import RawClient


async def test_rst_stream_cancels_the_handler_at_once_and_no_other(nursery: trio.Nursery) -> None:
    alive: set[int] = set()

    async def handler(call: Any) -> None:
        alive.add(call.stream_id)
        try:
            await trio.sleep_forever()
        finally:
            alive.discard(call.stream_id)

    server = bidi(handler)
    client = await RawClient(nursery, server).shake_hands()
    first, second = client.open(), client.open()
    await client.send()
    await wait_all_tasks_blocked()
    assert alive == {1, 3}
    client.wire.reset(first, ErrorCode.CANCEL)
    await client.send()
    await wait_all_tasks_blocked()
    assert alive == {second.id}
    assert (server.statistics().calls, server.statistics().streams) == (1, 1)
    assert server.metrics.handled("bidi_stream", NAME, "Bidi", "CANCELLED").n == 1


async def test_rst_stream_in_the_same_breath_as_the_call(nursery: trio.Nursery) -> None:
    server = echo_server()
    client = await RawClient(nursery, server).shake_hands()
    for method in ("hangs", "no_such_method"):
        client.wire.reset(client.open(method, b"\n\0"), ErrorCode.CANCEL)
    await client.send()
    await wait_all_tasks_blocked()
    assert server.statistics() == type(server.statistics())(1, 0, 0)
    assert (await client.status(client.open("no_such_method", end=True))).code == 12


async def test_the_deadline_cancels_the_handler(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    cancelled_at: list[float] = []

    async def handler(call: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled_at.append(trio.current_time())

    server = bidi(handler)
    start = trio.current_time()
    async with connect(nursery, server) as channel:
        ended = await status_of(channel, "Bidi", timeout_s=2.5)
    assert ended == ("DEADLINE_EXCEEDED", "the deadline has passed")
    assert cancelled_at == [pytest.approx(start + 2.5)]
    assert server.metrics.handled("bidi_stream", NAME, "Bidi", "DEADLINE_EXCEEDED").n == 1


async def test_a_handler_that_does_not_mind_its_deadline_has_missed_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Whether it swallows the cancellation, shields itself from it, or has been raised out of it."""

    async def handler(call: Any) -> None:
        how = (await call.receive()).value
        with trio.CancelScope(shield=how == b"shields itself"):
            try:
                await trio.sleep(3)
            except trio.Cancelled:
                if how == b"raises":
                    raise purerpc.NotFoundError("too late") from None
        await call.send(KB)

    server = bidi(handler)
    client = await RawClient(nursery, server).shake_hands()
    for how in (b"swallows", b"shields itself", b"raises"):
        stream = client.open("Bidi", value(how).SerializeToString(), timeout_s=1)
        status = await client.status(stream)
        assert (status.code, status.message) == (4, "the deadline has passed")
    assert server.metrics.handled("bidi_stream", NAME, "Bidi", "DEADLINE_EXCEEDED").n == 3


async def test_a_deadline_that_passes_while_the_client_does_not_read(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def handler(call: Any) -> None:
        while True:
            await call.send(KB)

    async with connect(nursery, bidi(handler)) as channel, open_call(channel, timeout_s=1) as call:
        assert (await call.wait_status()).status_code.name == "DEADLINE_EXCEEDED"
        received: list[BytesValue | None] = []
        with pytest.raises(purerpc.DeadlineExceededError):
            await _receive_all(call, received)
        assert received == [KB] * len(received)
        assert len(received) > 60


async def test_a_handler_may_clean_up_after_it_was_cancelled(nursery: trio.Nursery) -> None:
    cleaned = trio.Event()

    async def handler(call: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.lowlevel.checkpoint()
                with pytest.raises(trio.ClosedResourceError):
                    await call.send(KB)
                cleaned.set()

    async with connect(nursery, bidi(handler)) as channel:
        async with open_call(channel):
            await wait_all_tasks_blocked()
        with trio.fail_after(1):
            await cleaned.wait()


async def test_an_early_end_tells_the_client_to_stop_sending(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        await call.receive()
        raise purerpc.ResourceExhaustedError("CONNECTION_LIMIT: full house")

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as call:
        with pytest.raises(purerpc.ResourceExhaustedError):
            await _send_for_ever(call)
        assert call.status is not None
        assert call.status.status_message == "CONNECTION_LIMIT: full house"


async def _fails_while_it_leaves(call: Any) -> None:
    async def bad() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("bad clean-up")

    async with trio.open_nursery() as inner:
        inner.start_soon(bad)
        inner.start_soon(trio.sleep_forever)  # a Cancelled beside the ValueError


@pytest.mark.parametrize("cause", ["reset", "deadline", "shutdown"])
async def test_a_clean_up_that_fails_costs_its_own_call_only(
    nursery: trio.Nursery, cause: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of("Fails", Cardinality.STREAM_STREAM, _fails_while_it_leaves)
    server.add_service(service_of({"hangs": HANDLERS["hangs"]}, "test.Other"))
    async with connect(nursery, server) as channel, channel.open("/test.Other/hangs", BytesValue, BytesValue) as other:
        async with open_call(channel, "Fails", timeout_s=1 if cause == "deadline" else None) as call:
            await wait_all_tasks_blocked()
            if cause == "deadline":
                assert (await call.wait_status()).status_code.name == "DEADLINE_EXCEEDED"
            if cause == "shutdown":
                await server.shutdown(1)
                assert (await call.wait_status()).status_code.name == "UNAVAILABLE"
        await wait_all_tasks_blocked()
        assert "bad clean-up" in caplog.text
        assert "connection" not in caplog.text
        if cause != "shutdown":
            assert other.status is None
    code = {"reset": "CANCELLED", "deadline": "DEADLINE_EXCEEDED", "shutdown": "UNAVAILABLE"}[cause]
    assert server.metrics.handled("bidi_stream", NAME, "Fails", code).n == 1


async def test_what_leaves_a_call_does_not_reach_its_connection(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: Any, status: Any) -> None:
        raise RuntimeError("a fault of the engine's")

    async with connect(nursery, echo_server()) as channel, open_call(channel, "hangs") as other:
        with monkeypatch.context() as patch:
            patch.setattr(Call, "_finish", broken)
            code, message = await status_of(channel, "echo", b"")
        assert (code, "INTERNAL_ERROR" in message) == ("INTERNAL", True)
        assert "a fault of the engine's" in caplog.text
        assert other.status is None


async def _receive_all(call: Any, received: list[BytesValue | None]) -> None:
    while True:
        received.append(await call.receive())


async def _send_for_ever(call: Any) -> None:
    while True:
        await call.send(KB)


async def test_what_a_failed_handler_held_does_not_wait_for_the_garbage_collector(nursery: trio.Nursery) -> None:
    class Large:
        """Stands for a message."""

    held: list[weakref.ref[Large]] = []

    async def handler(call: Any) -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise purerpc.ResourceExhaustedError("too large")

    async with connect(nursery, bidi(handler)) as channel:
        gc.disable()
        try:
            assert (await status_of(channel, "Bidi"))[0] == "RESOURCE_EXHAUSTED"
            assert held[0]() is None
        finally:
            gc.enable()
