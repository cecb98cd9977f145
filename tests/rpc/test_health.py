from __future__ import annotations

import purerpc
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.pb.grpc.health.v1 import health_grpc, health_pb2
from ride_trio.rpc import Channel, Server
from ride_trio.rpc.health import HealthService

Request, Response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
Status = Response.ServingStatus


@pytest.fixture
def health() -> HealthService:
    health = HealthService()
    health.set("", True)
    health.set("ride.v1.RideStreamService", False)
    return health


@pytest.fixture
def server(health: HealthService) -> Server:
    server = Server(0)
    server.add_service(health.service)
    return server


async def test_check_tells_the_state(channel: Channel) -> None:
    stub = health_grpc.HealthStub(channel)
    assert (await stub.Check(Request())).status == Status.SERVING
    assert (await stub.Check(Request(service="ride.v1.RideStreamService"))).status == Status.NOT_SERVING
    with pytest.raises(purerpc.NotFoundError, match=r"no service 'other'"):
        await stub.Check(Request(service="other"))


async def test_watch_tells_each_change_once(health: HealthService, channel: Channel) -> None:
    path = "/grpc.health.v1.Health/Watch"
    with trio.fail_after(5):
        async with channel.open(path, Request, Response) as call:
            await call.send(Request(service="new"))
            await call.done_sending()
            assert await call.receive() == Response(status=Status.SERVICE_UNKNOWN)
            health.set("new", True)
            assert await call.receive() == Response(status=Status.SERVING)
            health.set("new", True)
            health.set("other", False)
            await wait_all_tasks_blocked()
            health.set("new", False)
            assert await call.receive() == Response(status=Status.NOT_SERVING)


async def test_stop_tells_watchers_and_ends_their_calls(health: HealthService, channel: Channel) -> None:
    with trio.fail_after(5):
        async with channel.open("/grpc.health.v1.Health/Watch", Request, Response) as call:
            await call.send(Request())
            await call.done_sending()
            assert await call.receive() == Response(status=Status.SERVING)
            health.stop()
            assert await call.receive() == Response(status=Status.NOT_SERVING)
            with pytest.raises(purerpc.UnavailableError, match="stopping"):
                await call.receive()
    stub = health_grpc.HealthStub(channel)
    assert (await stub.Check(Request())).status == Status.NOT_SERVING
