"""RideStreamService under stock `purerpc.Server`, called by stock purerpc stubs, over a real socket."""

from collections.abc import AsyncIterator
from typing import Any

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
    """One user's stream over a stock purerpc channel.

    The stub's generator yields inside a nursery of its own, so it has to be run from one task, from end to end.
    """

    def __init__(self, channel: Any, user_id: str, nursery: trio.Nursery) -> None:
        self._send, says = trio.open_memory_channel[ClientEnvelope](10)
        heard, self._heard = trio.open_memory_channel[ServerEnvelope](100)
        self.status: purerpc.Status | None = None
        answers = RideStreamServiceStub(channel).Connect(says, metadata=(("user-id", user_id),))
        nursery.start_soon(self._run, answers, heard)

    async def _run(self, answers: AsyncIterator[ServerEnvelope], heard: trio.MemorySendChannel[ServerEnvelope]) -> None:
        with heard:
            try:
                async for envelope in answers:
                    await heard.send(envelope)
                self.status = purerpc.Status(purerpc.StatusCode.OK)
            except* purerpc.RpcFailedError as group:
                failure = group.exceptions[0]
                assert isinstance(failure, purerpc.RpcFailedError)
                self.status = failure.status

    async def say(self, *envelopes: ClientEnvelope) -> None:
        for envelope in envelopes:
            await self._send.send(envelope)

    async def hear(self, body: str) -> ServerEnvelope:
        """The next envelope with this body."""
        while (envelope := await self._heard.receive()).WhichOneof("body") != body:
            pass
        return envelope

    async def hear_status(self) -> str:
        """The status, after all that was said before it."""
        async for _ in self._heard:
            pass
        assert self.status is not None
        return f"{self.status.status_code.name} {self.status.status_message}".strip()

    def half_close(self) -> None:
        self._send.close()


async def test_riders_and_drivers_meet_under_stock_purerpc(port: int) -> None:
    with trio.fail_after(PATIENCE_S):
        async with (
            purerpc.insecure_channel("127.0.0.1", port) as one,
            purerpc.insecure_channel("127.0.0.1", port) as two,
            trio.open_nursery() as nursery,
        ):
            driver, rider = Client(one, "dan", nursery), Client(two, "ann", nursery)
            await driver.say(heartbeat(1), at(sequence=2), status("AVAILABLE", message_id="m"))
            acked = [(await driver.hear("ack")).ack.correlation_id for _ in range(3)]
            await rider.say(at(), status("LOOKING", "r"))
            assert (await driver.hear("broadcast_event")).broadcast_event.user_id == "ann"
            matches = [(await client.hear("match_event")).match_event for client in (rider, driver)]
            assert acked == ["1", "2", "m"]
            assert [(match.rider_id, match.driver_id) for match in matches] == [("ann", "dan")] * 2
            for client in (rider, driver):
                client.half_close()
                assert await client.hear_status() == "OK"


async def test_a_status_arrives_under_stock_purerpc(port: int) -> None:
    with trio.fail_after(PATIENCE_S):
        async with purerpc.insecure_channel("127.0.0.1", port) as channel, trio.open_nursery() as nursery:
            older = Client(channel, "ann", nursery)
            await older.say(heartbeat())
            await older.hear("ack")
            newer = Client(channel, "ann", nursery)
            await newer.say(heartbeat())
            await newer.hear("ack")
            assert (await older.hear_status()).startswith("ABORTED SESSION_TAKEN_OVER: ")
            newer.half_close()
            assert await newer.hear_status() == "OK"
