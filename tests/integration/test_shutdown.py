"""SIGTERM while clients are busy."""

from __future__ import annotations

from typing import Any

import trio

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio.rpc import Channel, Connectivity
from ride_trio_cli.server_process import server_process
from tests.integration.puppet import puppet

CONNECT = "/ride.v1.RideStreamService/Connect"
GRACE_S = 5.0
SETTINGS = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "shutdown_grace_s": f"{GRACE_S:g}s",
    "log_level": "warning",
}
UNAVAILABLE = 14
SESSIONS = 20


async def keep_talking(call: Any, task_status: trio.TaskStatus[None]) -> None:
    """Positions, fifty a second, until the call ends; whatever is answered is taken."""
    call.set_sink(lambda _envelope: True)
    sequence = 0
    while call.status is None:
        sequence += 1
        update = pb.LocationUpdate(latitude=37.7749, longitude=-122.4194, sequence=sequence)
        call.send_nowait(pb.ClientEnvelope(location_update=update))
        if sequence == 10:
            task_status.started()
        await trio.sleep(0.02)


async def test_clients_see_goaway_and_a_clean_end_and_the_process_exits_0_in_time() -> None:
    async with server_process(SETTINGS) as server, Channel(server.grpc.host, server.grpc.port) as channel:
        async with trio.open_nursery() as nursery:
            calls = []
            for number in range(SESSIONS):
                call = channel.open(
                    CONNECT, pb.ClientEnvelope, pb.ServerEnvelope, metadata=[("user-id", f"user-{number}")]
                )
                await call.start()
                calls.append(call)
                await nursery.start(keep_talking, call)
            began = trio.current_time()
            exit_code = await server.stop(GRACE_S)
            took_s = trio.current_time() - began
            with trio.fail_after(GRACE_S):
                statuses = [await call.wait_status() for call in calls]
        assert exit_code == 0
        assert took_s < GRACE_S
        assert channel.state is not Connectivity.READY
        assert {status.int_value for status in statuses} == {UNAVAILABLE}
        assert all(status.status_message.startswith("SHUTDOWN: ") for status in statuses)


async def test_a_stock_client_sees_the_reason() -> None:
    async with server_process(SETTINGS) as server, puppet("grpcio_sync", str(server.grpc)) as client:
        heard = await client.open("user", "user-1")
        await client.send("user", heartbeat=pb.Heartbeat(seq=1))
        await client.until(lambda: heard.of("ack"))
        assert await server.stop(GRACE_S) == 0
        await client.until(lambda: heard.ended)
        assert heard.ended is not None
        code, details = heard.ended
        assert code == UNAVAILABLE
        assert details.startswith("SHUTDOWN: ")


async def test_who_said_hello_is_told_how_to_come_back() -> None:
    async with server_process(SETTINGS) as server, Channel(server.grpc.host, server.grpc.port) as channel:
        async with channel.open(CONNECT, pb.ClientEnvelope, pb.ServerEnvelope) as call:
            await call.send(pb.ClientEnvelope(hello=pb.Hello(role=pb.Hello.ROLE_DRIVER)))
            welcome = await call.receive()
            assert welcome is not None
            assert welcome.WhichOneof("body") == "welcome"
            server.process.terminate()
            goodbye = await call.receive()
            assert goodbye is not None
            assert goodbye.disconnect.code == "SHUTDOWN"
            assert goodbye.disconnect.reconnect
            assert goodbye.disconnect.backoff_ms > 0
        assert await server.stop(GRACE_S) == 0
