"""The whole server in one process, over real sockets of the loopback interface."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import purerpc
import pytest
import trio

from ride_trio import app
from ride_trio.app import App, Bound
from ride_trio.config import Settings
from ride_trio.errors import ListenError
from ride_trio.eventlog import EventLog
from ride_trio.eventlog.partitioner import key_hash
from ride_trio.metrics import LogMetrics
from ride_trio.pb.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesRequest, ConsumeMessagesResponse
from ride_trio.rpc import Channel, ClientCall, Connectivity
from ride_trio.services.ride_journal import PARTITIONS
from ride_trio.values import Address
from tests.services.desk import events
from tests.services.house import at, bodies, heartbeat, hello, status

PATIENCE_S = 20.0
LOOPBACK = Address("127.0.0.1", 0)
SETTINGS = replace(
    Settings(),
    grpc_listen_addr=LOOPBACK,
    http_listen_addr=LOOPBACK,
    metrics_listen_addr=LOOPBACK,
    match_window_s=0.05,
    shutdown_grace_s=3.0,
)
RideClient = ClientCall[ClientEnvelope, ServerEnvelope]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What the server changes for its whole process."""
    thresholds, limits = gc.get_threshold(), resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
async def bound() -> AsyncIterator[Bound]:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            yield await nursery.start(_serve, SETTINGS)
        nursery.cancel_scope.cancel()


async def _serve(settings: Settings, ended: trio.Event | None = None, *, task_status: trio.TaskStatus[Bound]) -> None:
    await app.serve(replace(settings, data_dir=os.environ["DATA_DIR"]), task_status=task_status)
    if ended is not None:
        ended.set()


def connect(channel: Channel, user_id: str) -> RideClient:
    return channel.open(
        "/ride.v1.RideStreamService/Connect", ClientEnvelope, ServerEnvelope, metadata=(("user-id", user_id),)
    )


async def say(call: RideClient, *envelopes: ClientEnvelope) -> None:
    for envelope in envelopes:
        await call.send(envelope)


async def hear(call: RideClient, body: str) -> ServerEnvelope:
    """The next envelope with this body."""
    while (envelope := await anext(aiter(call))).WhichOneof("body") != body:
        pass
    return envelope


async def fetch(address: Address, path: str) -> tuple[int, str]:
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([chunk async for chunk in stream]).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def metric(address: Address, line: str) -> float:
    """The value of a sample, by its name and labels as exposed; 0 if there is none."""
    _, body = await fetch(address, "/metrics")
    return next((float(row.rpartition(" ")[2]) for row in body.splitlines() if row.startswith(line + " ")), 0.0)


async def becomes(address: Address, line: str, value: float) -> None:
    while await metric(address, line) != value:  # noqa: ASYNC110 - what is scraped has no event
        await trio.sleep(0.02)


async def consume(channel: Channel, topic: str, user_id: str) -> list[dict[str, Any]]:
    """What of a user's there is in a topic that rides write to, and no other user's."""
    partition = key_hash(user_id.encode()) % PARTITIONS
    request = ConsumeMessagesRequest(topic=topic, partition=partition, offset=-1, max_batches=1, max_wait_ms=10_000)
    method = "/takhin.v1.TakhinService/ConsumeMessages"
    consuming: ClientCall[Any, Any] = channel.open(method, ConsumeMessagesRequest, ConsumeMessagesResponse)
    async with consuming as call:
        await call.send(request)
        await call.done_sending()
        found = [record async for response in call for record in response.records]
    assert {record.key for record in found} == {user_id.encode()}
    return [json.loads(record.value) for record in found]


async def serving(port: int) -> HealthCheckResponse.ServingStatus:
    async with Channel("127.0.0.1", port) as channel:
        check: ClientCall[Any, Any] = channel.open(
            "/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse
        )
        async with check as call:
            await call.send(HealthCheckRequest(service="ride.v1.RideStreamService"))
            await call.done_sending()
            answer: HealthCheckResponse = await anext(aiter(call))
            return answer.status


# -------------------------------------------------------------------- serving


async def test_a_rider_and_a_driver_meet_and_operators_see_it(bound: Bound) -> None:
    async with Channel("127.0.0.1", bound.grpc.port) as channel:  # noqa: SIM117 - two lines are easier to read
        async with connect(channel, "ann") as rider, connect(channel, "dan") as driver:
            await say(driver, hello(plate="XY 1"), at(), status("AVAILABLE"))
            await hear(driver, "welcome")
            await say(rider, at(), status("LOOKING", "r"))
            assert (await hear(driver, "broadcast_event")).broadcast_event.user_id == "ann"
            matches = [(await hear(call, "match_event")).match_event for call in (rider, driver)]
            assert matches[0] == matches[1]
            assert matches[0].vehicle_plate == "XY 1"
            await becomes(bound.metrics, "ride_stream_active_sessions", 2)
            assert await metric(bound.metrics, 'ride_match_total{outcome="matched"}') == 1
            rider.cancel()
            await becomes(bound.metrics, "ride_stream_active_sessions", 1)


async def test_health_reflection_and_readiness(bound: Bound) -> None:
    assert await serving(bound.grpc.port) == HealthCheckResponse.SERVING
    assert await fetch(bound.metrics, "/readyz") == (200, "OK\n")
    names = {service.name for service in App(SETTINGS)._services}
    assert names == {"ride.v1.RideStreamService", "takhin.v1.TakhinService", "grpc.health.v1.Health"}


async def test_bytes_that_are_no_envelope_end_the_call(bound: Bound) -> None:
    async with Channel("127.0.0.1", bound.grpc.port) as channel, connect(channel, "ann") as call:
        await call.send_encoded(b"\xff\xff\xff")
        assert (await call.wait_status()).status_code is purerpc.StatusCode.INVALID_ARGUMENT


async def test_a_client_that_does_not_read_holds_up_nobody(bound: Bound) -> None:
    """Its window is 64 KiB, some 700 broadcasts; then come OUTBOUND_BUFFER more, then the newest of each sender."""
    mates, turns = 4, 400
    async with Channel("127.0.0.1", bound.grpc.port) as channel, Channel("127.0.0.1", bound.grpc.port) as other:  # noqa: SIM117 - as above
        async with connect(other, "stuck") as stuck:
            await say(stuck, at())
            await hear(stuck, "ack")
            stuck.set_sink(lambda envelope: envelope is None)
            async with trio.open_nursery() as nursery:
                for number in range(mates):
                    nursery.start_soon(_drive_around, channel, f"mate {number}", turns)
            assert await metric(bound.metrics, "ride_stream_active_sessions") == 1
            assert await metric(bound.metrics, 'ride_stream_dropped_total{reason="conflated"}') > 100


async def _drive_around(channel: Channel, user_id: str, turns: int) -> None:
    async with connect(channel, user_id) as call:
        for turn in range(turns):
            await say(call, at(sequence=turn))
            while (await hear(call, "ack")).ack.correlation_id != str(turn):
                pass
        await call.done_sending()
        assert (await call.wait_status()).status_code is purerpc.StatusCode.OK


# -------------------------------------------------------------------- rides in the log


async def test_a_ride_can_be_consumed_while_it_lasts() -> None:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            bound = await nursery.start(_serve, replace(SETTINGS, log_locations=True))
            async with Channel("127.0.0.1", bound.grpc.port) as channel:  # noqa: SIM117 - as above
                async with connect(channel, "ann") as rider, connect(channel, "dan") as driver:
                    await say(driver, at(), status("AVAILABLE"), at(37.78))
                    await say(rider, at(), status("LOOKING", "r"))
                    eta_s = (await hear(driver, "match_event")).match_event.eta_seconds
                    (match,) = await consume(channel, "ride.matches", "ann")
                    (opened,) = await consume(channel, "ride.sessions", "ann")
                    (position,) = await consume(channel, "ride.locations", "dan")
        nursery.cancel_scope.cancel()
    assert match == {"event": "matched", "ride_id": "r", "rider_id": "ann", "driver_id": "dan", "eta_s": eta_s}
    assert (opened["event"], opened["user_id"]) == ("opened", "ann")
    assert (position["event"], position["latitude"]) == ("position", 37.78)


async def test_what_happens_at_the_end_is_in_the_log_too() -> None:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(_serve, SETTINGS)
            async with Channel("127.0.0.1", bound.grpc.port) as channel, connect(channel, "ann") as call:
                await say(call, heartbeat())
                await hear(call, "ack")
                signal.raise_signal(signal.SIGTERM)
                await call.wait_status()
        assert await _sessions_on_disk() == [("opened", None), ("ended", "shutdown")]


async def _sessions_on_disk() -> list[tuple[str, str | None]]:
    log = EventLog(Path(os.environ["DATA_DIR"]), LogMetrics())
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        found = await events(log, "ride.sessions")
        nursery.cancel_scope.cancel()
    return [(event["event"], event.get("reason")) for event in found]


# -------------------------------------------------------------------- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_ends_sessions_and_calls_and_then_the_server(number: signal.Signals) -> None:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(_serve, SETTINGS)
            async with Channel("127.0.0.1", bound.grpc.port) as channel:  # noqa: SIM117 - as above
                async with connect(channel, "ann") as plain, connect(channel, "dan") as knowing:
                    await say(knowing, hello())
                    await say(plain, heartbeat())
                    await hear(knowing, "welcome")
                    await hear(plain, "ack")
                    signal.raise_signal(number)
                    with pytest.raises(purerpc.UnavailableError, match="SHUTDOWN: "):
                        await hear(plain, "nothing more")
                    assert bodies([await anext(aiter(knowing))]) == ["disconnect"]
                    assert channel.state is not Connectivity.READY


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    began, ended = trio.current_time(), trio.Event()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(_serve, SETTINGS, ended)
            stream = await trio.open_tcp_stream("127.0.0.1", bound.grpc.port)  # says nothing, reads nothing
            async with Channel("127.0.0.1", bound.grpc.port) as channel, connect(channel, "stuck") as stuck:
                await say(stuck, hello())
                await hear(stuck, "welcome")
                stuck.set_sink(lambda envelope: False)
                began = trio.current_time()
                signal.raise_signal(signal.SIGTERM)
                await ended.wait()
            await stream.aclose()
    assert trio.current_time() - began < SETTINGS.shutdown_grace_s + 1


async def test_the_second_signal_does_not_wait() -> None:
    settings, ended = replace(SETTINGS, shutdown_grace_s=600.0), trio.Event()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(_serve, settings, ended)
            async with Channel("127.0.0.1", bound.grpc.port) as channel:
                watch: ClientCall[Any, Any] = channel.open(
                    "/grpc.health.v1.Health/Watch", HealthCheckRequest, HealthCheckResponse
                )
                async with watch as call:  # has no end of its own
                    await call.send(HealthCheckRequest())
                    await call.done_sending()
                    answers = aiter(call)
                    assert (await anext(answers)).status == HealthCheckResponse.SERVING
                    signal.raise_signal(signal.SIGTERM)
                    assert (await anext(answers)).status == HealthCheckResponse.NOT_SERVING
                    assert (await fetch(bound.metrics, "/readyz"))[0] == 503
                    signal.raise_signal(signal.SIGTERM)
                    await ended.wait()


# -------------------------------------------------------------------- starting


@pytest.mark.parametrize("name", ["grpc_listen_addr", "http_listen_addr", "metrics_listen_addr"])
async def test_an_address_in_use_is_named(name: str) -> None:
    (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = Address("127.0.0.1", taken.socket.getsockname()[1])
    async with taken:
        with pytest.raises(ListenError, match=f"^{name.upper()}=127.0.0.1:{address.port}: "):
            await app.serve(replace(SETTINGS, data_dir=os.environ["DATA_DIR"], **{name: address}))


async def test_a_host_that_is_not_ours_is_named() -> None:
    address = Address("no-such-host.invalid", 0)
    with pytest.raises(ListenError, match=r"GRPC_LISTEN_ADDR=no-such-host\.invalid:0: "):
        await app.serve(replace(SETTINGS, data_dir=os.environ["DATA_DIR"], grpc_listen_addr=address))


async def test_all_interfaces_get_one_port() -> None:
    anywhere = Address("", 0)
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(_serve, replace(SETTINGS, grpc_listen_addr=anywhere, metrics_listen_addr=anywhere))
        assert (await fetch(Address("127.0.0.1", bound.metrics.port), "/healthz"))[0] == 200
        nursery.cancel_scope.cancel()


def test_the_soft_limit_of_open_files_becomes_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (100, 4_096)
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: found.append(new))
    app.raise_open_files_limit()
    limits = (4_096, 4_096)
    app.raise_open_files_limit()
    monkeypatch.undo()
    assert found == [(4_096, 4_096)]


async def test_the_garbage_collector_is_tuned(bound: Bound) -> None:
    assert gc.get_threshold() == app.GC_THRESHOLDS
    assert gc.get_freeze_count() > 0
