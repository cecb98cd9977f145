"""Set up with the first user, torn down with the last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from purerpc import Service
from trio.testing import wait_all_tasks_blocked

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc import Server
from ride_trio.rpc.services import Provided, Services
from tests.rpc.echo import HANDLERS, NAME, ask, connect, service_of


class Provider:
    """Makes the echo service, slowly, and notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.fails = False

    async def set_up(self) -> Service:
        self.events.append("up")
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise ValueError("no")
        return service_of(HANDLERS)

    async def tear_down(self) -> None:
        self.events.append("down")

    def server(self) -> Server:
        server = Server(0, host="127.0.0.1")
        server.add_service(setup_fn=self.set_up, teardown_fn=self.tear_down, name=NAME)
        return server


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def _call_and_wait(nursery: trio.Nursery, server: Server, leave: trio.Event) -> None:
    async with connect(nursery, server) as channel:
        assert await ask(channel, "unary", b"x") == [b"x"]
        await leave.wait()


async def test_the_first_connection_may_leave_first(nursery: trio.Nursery, provider: Provider) -> None:
    server = provider.server()
    async with trio.open_nursery() as connections:
        leave = trio.Event()
        connections.start_soon(_call_and_wait, nursery, server, leave)
        await wait_all_tasks_blocked()
        async with connect(nursery, server) as second:
            leave.set()
            await wait_all_tasks_blocked()
            assert server.statistics().connections == 1
            assert provider.events == ["up"]
            assert await ask(second, "unary", b"2") == [b"2"]
    await wait_all_tasks_blocked()
    assert provider.events == ["up", "down"]
    leave.set()
    await _call_and_wait(nursery, server, leave)
    await wait_all_tasks_blocked()
    assert provider.events == ["up", "down"] * 2


async def test_connections_that_come_at_once_find_one_set_up(nursery: trio.Nursery, provider: Provider) -> None:
    server, leave = provider.server(), trio.Event()
    async with trio.open_nursery() as clients:
        for _ in range(5):
            clients.start_soon(_call_and_wait, nursery, server, leave)
        await wait_all_tasks_blocked()
        assert provider.events == ["up"]
        leave.set()
    await wait_all_tasks_blocked()
    assert provider.events == ["up", "down"]


async def test_a_connection_beside_a_listener(provider: Provider) -> None:
    server = provider.server()
    async with trio.open_nursery() as connections, trio.open_nursery() as listener:
        await listener.start(server.serve_async)
        async with connect(connections, server) as channel:
            listener.cancel_scope.cancel()
            await wait_all_tasks_blocked()
            assert provider.events == ["up"]
            with trio.CancelScope(shield=True):
                assert await ask(channel, "unary", b"x") == [b"x"]
    assert provider.events == ["up", "down"]


async def test_a_set_up_that_fails_takes_down_what_is_up_and_may_be_tried_again(provider: Provider) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def other() -> AsyncIterator[Service]:
        events.append("up")
        yield Service("test.Other")
        events.append("down")

    services = Services(EngineMetrics())
    echo = Provided(None, provider.set_up, provider.tear_down)
    services.providers["test.Echo"] = echo
    provider.fails = True
    with pytest.raises(ValueError, match="no"):
        await services.__aenter__()
    assert services.names == frozenset()
    provider.fails = False
    services.providers = {"test.Other": other(), "test.Echo": echo}
    async with services:
        assert services.names == {"test.Echo"}
        assert repr(services) == "<Services test.Other, test.Echo: 1 users>"
    assert events == ["up", "down"]
    assert services.methods == {}
    assert provider.events == ["up", "up", "down"]


async def test_what_ends_the_last_user_reaches_the_services() -> None:
    """A context manager with a nursery would wait for its tasks for ever if it did not hear of the error."""

    @asynccontextmanager
    async def busy() -> AsyncIterator[Service]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield service_of(HANDLERS)

    services = Services(EngineMetrics())
    services.providers[NAME] = busy()
    with trio.fail_after(1), pytest.raises(ExceptionGroup) as caught:
        async with services:
            raise OSError("in use")
    assert caught.group_contains(OSError, match="in use")
