"""RideStreamService under stock `purerpc.Server`, called by stock purerpc stubs, over a real socket."""

import socket
from collections.abc import AsyncIterator

import purerpc
import pytest
import trio

from ride_trio.config import Settings
from ride_trio.matching import run_matching
from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceStub
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.services import RideContext, RideStreamService
from tests.services.house import at, heartbeat, status
from tests.services.purerpc_adapter import PurerpcRideStreamService

PATIENCE_S = 20.0


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a running purerpc server. A port of our choice: it sets SO_REUSEPORT, so 0 would do as well."""
    metrics = RideMetrics()
    context = RideContext.build(Settings(match_window_s=0.05), metrics, trio.current_time)
    async with trio.open_nursery() as nursery:
        server = purerpc.Server(0)
        server.add_service(PurerpcRideStreamService(RideStreamService(context), nursery).service)
        nursery.start_soon(run_matching, context.dispatcher, metrics, 0.05)
        yield await nursery.start(_serve, server)
        nursery.cancel_scope.cancel()


async def _serve(server: purerpc.Server, task_status: trio.TaskStatus[int]) -> None:
    await server.serve_async(task_status=task_status)


class Client:
    """One user's stream over a stock purerpc channel."""

    def __init__(self, stub: RideStreamServiceStub, user_id: str) -> None:
        self._send, receive = trio.open_memory_channel[ClientEnvelope](10)
        self.answers: AsyncIterator[ServerEnvelope] = stub.Connect(receive, metadata=(("user-id", user_id),))

    async def say(self, *envelopes: ClientEnvelope) -> None:
        for envelope in envelopes:
            await self._send.send(envelope)

    async def hear(self, body: str) -> ServerEnvelope:
        """The next envelope with this body."""
        while (envelope := await anext(self.answers)).WhichOneof("body") != body:
            pass
        return envelope

    def half_close(self) -> None:
        self._send.close()


async def test_riders_and_drivers_meet_under_stock_purerpc(port: int) -> None:
    assert socket.getaddrinfo("127.0.0.1", port)
    with trio.fail_after(PATIENCE_S):
        async with (
            purerpc.insecure_channel("127.0.0.1", port) as one,
            purerpc.insecure_channel("127.0.0.1", port) as two,
        ):
            driver = Client(RideStreamServiceStub(one), "dan")
            rider = Client(RideStreamServiceStub(two), "ann")
            await driver.say(heartbeat(1), at(sequence=2), status("AVAILABLE", message_id="m"))
            acked = [(await driver.hear("ack")).ack.correlation_id for _ in range(3)]
            await rider.say(at(), status("LOOKING", "r"))
            assert (await driver.hear("broadcast_event")).broadcast_event.user_id == "ann"
            matches = [(await client.hear("match_event")).match_event for client in (rider, driver)]
            assert acked == ["1", "2", "m"]
            assert [(match.rider_id, match.driver_id) for match in matches] == [("ann", "dan")] * 2
            rider.half_close()
            with pytest.raises(StopAsyncIteration):
                await rider.hear("nothing more")


async def test_a_status_arrives_under_stock_purerpc(port: int) -> None:
    with trio.fail_after(PATIENCE_S):
        async with purerpc.insecure_channel("127.0.0.1", port) as channel:
            stub = RideStreamServiceStub(channel)
            older, newer = Client(stub, "ann"), Client(stub, "ann")
            await older.say(heartbeat())
            await older.hear("ack")
            await newer.say(heartbeat())
            await newer.hear("ack")
            with pytest.raises(purerpc.AbortedError, match="SESSION_TAKEN_OVER: "):
                await older.hear("nothing more")
