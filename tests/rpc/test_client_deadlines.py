"""A client does not need its server to know that its time is up."""

from __future__ import annotations

import purerpc
import pytest
import trio
from purerpc import StatusCode
from trio.testing import MockClock

from ride_trio.wire import ErrorCode
from ride_trio.wire.events import StreamReset
from tests.rpc.desk import Taker
from tests.rpc.echo import open_call, value
from tests.rpc.test_channel import raw_server


async def test_the_calls_own_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    connecting, server = await raw_server()
    async with connecting as channel, open_call(channel, timeout_s=5) as call:
        began = trio.current_time()
        with pytest.raises(purerpc.DeadlineExceededError, match="the deadline has passed"):
            await call.receive()
        assert trio.current_time() - began == pytest.approx(5)
        with pytest.raises(purerpc.DeadlineExceededError):
            await call.send(value(b"x"))
        reset = await server.until_event(StreamReset)
        assert isinstance(reset, StreamReset)
        assert reset.code == ErrorCode.CANCEL


async def test_a_deadline_of_trios_around_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    connecting, server = await raw_server()
    async with connecting as channel:
        call = open_call(channel, timeout_s=60)
        with trio.move_on_after(5):
            async with call:
                request = await server.request()
                await call.receive()
        assert call.status is not None
        assert call.status.status_code is StatusCode.DEADLINE_EXCEEDED
        assert request.id == 1


async def test_a_sink_hears_of_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    connecting, _ = await raw_server()
    taker = Taker()
    async with connecting as channel, open_call(channel, timeout_s=5) as call:
        call.set_sink(taker)
        assert (await call.wait_status()).status_code is StatusCode.DEADLINE_EXCEEDED
        assert taker.taken == [None]


async def test_a_call_that_ends_in_time_leaves_no_task(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    connecting, server = await raw_server()
    async with connecting as channel:
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with open_call(channel, timeout_s=1_000) as call:
            await server.answer(await server.request())
            assert (await call.wait_status()).int_value == 0
        await trio.sleep(1)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
