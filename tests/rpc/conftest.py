"""Fixtures of the engine's tests: an echo server and a channel to it, over memory streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from ride_trio.rpc import Channel, Server
from tests.rpc.desk import Desk
from tests.rpc.echo import connect, echo_server


@pytest.fixture
def server() -> Server:
    return echo_server()


@pytest.fixture
async def channel(nursery: trio.Nursery, server: Server) -> AsyncIterator[Channel]:
    async with connect(nursery, server) as channel:
        yield channel


@pytest.fixture
def desk(nursery: trio.Nursery) -> Desk:
    return Desk(nursery)
