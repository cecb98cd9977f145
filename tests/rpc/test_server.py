from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import purerpc
import pytest
import trio
from purerpc import Service
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Channel, Connectivity, Server, ServerStatistics
from tests.rpc.desk import KB
from tests.rpc.echo import HANDLERS, NAME, ask, bidi, connect, echo_server, open_call, service_of, status_of
from tests.rpc.streams import HangingStream

NOBODY = ServerStatistics(connections=0, calls=0, streams=0)


# ---------------------------------------------------------------- listening


async def test_port_0_becomes_the_real_one(nursery: trio.Nursery) -> None:
    server = Server(0, host="127.0.0.1")
    assert (await nursery.start(server.serve_async)) == server.port != 0
    assert repr(server) == f"<Server 127.0.0.1:{server.port}, 0 connections>"


@pytest.mark.parametrize("host", [None, "", "127.0.0.1", "localhost", "::1"])
async def test_a_host_can_be_bound(nursery: trio.Nursery, host: str | None) -> None:
    server = echo_server(host=host)
    port = await nursery.start(server.serve_async)
    async with Channel(host or "127.0.0.1", port) as channel:
        assert await ask(channel, "unary", b"hello") == [b"hello"]


async def test_a_port_in_use_is_an_os_error() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(Server(0, host="127.0.0.1").serve_async)
        with pytest.raises(OSError, match="in use"):
            await Server(port, host="127.0.0.1").serve_async()
        nursery.cancel_scope.cancel()


async def test_many_connections_and_calls_leave_nothing_behind(nursery: trio.Nursery) -> None:
    server = echo_server()
    port = await nursery.start(server.serve_async)
    idle = _tasks()

    async def client() -> None:
        async with Channel("127.0.0.1", port) as channel, trio.open_nursery() as calls:
            for method in ("unary", "join", "echo", "echo_call"):
                calls.start_soon(ask, channel, method, b"x")

    async with trio.open_nursery() as clients:
        for _ in range(10):
            clients.start_soon(client)
    await wait_all_tasks_blocked(0.02)
    assert server.statistics() == NOBODY
    assert server.metrics.connections.n == 0
    assert server.metrics.accepted.n == 10
    assert server.metrics.handled("unary", NAME, "unary", "OK").n == 10
    assert _tasks() == idle


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


# ---------------------------------------------------------------- services


async def test_unknown_services_and_methods_are_told_apart(channel: Channel) -> None:
    assert await status_of(channel, "nothing") == ("UNIMPLEMENTED", "service 'test.Echo' has no method 'nothing'")
    async with channel.open("/no.Such/Method", type(KB), type(KB)) as call:
        status = await call.wait_status()
    assert (status.status_code.name, status.status_message) == ("UNIMPLEMENTED", "there is no service 'no.Such' here")


async def test_services_can_be_added_in_the_ways_of_purerpc() -> None:
    events: list[str] = []

    async def setup() -> Service:
        events.append("setup")
        return service_of(HANDLERS)

    async def teardown() -> None:
        await trio.lowlevel.checkpoint()
        events.append("teardown")

    @asynccontextmanager
    async def managed() -> AsyncIterator[Service]:
        events.append("enter")
        try:
            yield service_of(HANDLERS, "second.Name")
        finally:
            events.append("exit")

    server = Server(0)
    server.add_service(setup_fn=setup, teardown_fn=teardown, name=NAME)
    server.add_service(context_manager=managed(), name="second.Name")
    server.add_service(service_of(HANDLERS, "third.Name"))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(server.serve_async)
        async with Channel("127.0.0.1", port) as channel:
            for name in (NAME, "second.Name", "third.Name"):
                async with channel.open(f"/{name}/unary", type(KB), type(KB)) as call:
                    await call.send(KB)
                    await call.done_sending()
                    assert await call.receive() == KB
        assert events == ["setup", "enter"]
        nursery.cancel_scope.cancel()
    assert events == ["setup", "enter", "exit", "teardown"]


async def test_adding_a_service_wrongly_is_a_value_error() -> None:
    service = service_of(HANDLERS)
    for wrong in ({}, {"service": service, "setup_fn": trio.sleep}, {"setup_fn": trio.sleep}):
        with pytest.raises(ValueError, match=r"one of service|has no name"):
            Server(0).add_service(**wrong)  # type: ignore[arg-type]


async def test_a_stock_servicer_is_served(nursery: trio.Nursery) -> None:
    class Greeter(purerpc.Servicer):
        async def Greet(self, input_message: Any) -> Any:
            return input_message

        @property
        def service(self) -> Service:
            return service_of({"Greet": (purerpc.Cardinality.UNARY_UNARY, self.Greet)})

    server = Server(0)
    server.add_service(Greeter().service)
    async with connect(nursery, server) as channel:
        assert await ask(channel, "Greet", b"x") == [b"x"]


# ---------------------------------------------------------------- shutdown


async def test_shutdown_lets_calls_finish_and_refuses_new_ones() -> None:
    finish = trio.Event()

    async def handler(call: Any) -> None:
        await call.receive()
        await finish.wait()
        await call.send(KB)

    server = bidi(handler)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(server.serve_async)
        async with Channel("127.0.0.1", port) as channel, open_call(channel) as call:
            await call.send(KB)
            await wait_all_tasks_blocked(0.01)
            nursery.start_soon(server.shutdown, 5)
            await wait_all_tasks_blocked(0.01)
            assert channel.state is not Connectivity.READY
            with pytest.raises(purerpc.UnavailableError, match="cannot connect"):
                await open_call(channel).__aenter__()
            with pytest.raises(purerpc.UnavailableError, match="cannot connect"):
                await Channel("127.0.0.1", port).__aenter__()
            finish.set()
            assert await call.receive() == KB
            assert (await call.wait_status()).status_code.name == "OK"
            with trio.fail_after(1):
                await channel.wait_for_state_change(Connectivity.READY)
    assert server.statistics() == NOBODY


async def test_shutdown_takes_no_longer_than_the_calls(server: Server, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery, connect(nursery, server) as channel, open_call(channel, "echo") as call:
        await wait_all_tasks_blocked()
        start = trio.current_time()
        nursery.start_soon(_end_after, call, 7)
        await server.shutdown(100)
        assert trio.current_time() - start == pytest.approx(7)
        await server.shutdown(100)
        assert trio.current_time() - start == pytest.approx(7)


async def _end_after(call: Any, seconds: float) -> None:
    await trio.sleep(seconds)
    await call.done_sending()


async def test_a_call_that_reaches_a_server_that_goes_is_refused_for_a_retry(nursery: trio.Nursery) -> None:
    server = echo_server()
    async with connect(nursery, server) as channel, open_call(channel, "hangs"):
        await wait_all_tasks_blocked()
        async with open_call(channel, "unary") as crossing:
            nursery.start_soon(server.shutdown, 5)
            status = await crossing.wait_status()
    assert status.status_code.name == "UNAVAILABLE"


async def test_after_the_grace_time_calls_are_cancelled(autojump_clock: MockClock) -> None:
    server = echo_server()
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, theirs)
        async with Channel("memory", 0, stream=ours) as channel, open_call(channel, "hangs") as call:
            await wait_all_tasks_blocked()
            start = trio.current_time()
            await server.shutdown(3)
            assert 3 <= trio.current_time() - start < 4
            status = await call.wait_status()
            assert (status.status_code.name, status.status_message) == (
                "UNAVAILABLE",
                "SHUTDOWN: the server is stopping",
            )
    assert server.statistics() == NOBODY
    assert server.metrics.handled("bidi_stream", NAME, "hangs", "UNAVAILABLE").n == 1


async def test_a_handler_that_will_not_go_is_left_behind_in_bounded_time(autojump_clock: MockClock) -> None:
    async def stubborn(call: Any) -> None:
        with trio.move_on_after(60, shield=True):
            await trio.sleep_forever()

    server = bidi(stubborn)
    async with trio.open_nursery() as nursery, connect(nursery, server) as channel, open_call(channel):
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await server.shutdown(3)
        assert trio.current_time() - start == pytest.approx(4)


@pytest.mark.parametrize("swallows", [True, False], ids=["does not close", "does not read"])
async def test_a_peer_that_does_nothing_does_not_hold_a_shutdown_up(swallows: bool, autojump_clock: MockClock) -> None:
    server = echo_server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, HangingStream(swallows=swallows))
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await server.shutdown(3)
        assert trio.current_time() - start <= 4
    assert server.statistics() == NOBODY


async def test_who_comes_during_a_shutdown_is_sent_away(nursery: trio.Nursery) -> None:
    server = echo_server()
    await server.shutdown(0)
    ours, theirs = trio.testing.memory_stream_pair()
    await server.serve_stream(theirs)
    assert await ours.receive_some() == b""


async def test_a_server_that_is_shut_down_does_not_serve() -> None:
    server = echo_server(host="127.0.0.1")
    await server.shutdown(0)
    with trio.fail_after(1):
        await server.serve_async()
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_async)


async def test_a_shutdown_while_services_are_set_up() -> None:
    setting_up = trio.Event()

    async def set_up() -> Service:
        setting_up.set()
        await wait_all_tasks_blocked()
        return service_of(HANDLERS)

    server = Server(0, host="127.0.0.1")
    server.add_service(setup_fn=set_up, name=NAME)
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_async)
            await setting_up.wait()
            await server.shutdown(0)
