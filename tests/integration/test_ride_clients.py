"""The ride service under stock clients, over real sockets, with the server in a process of its own."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio_cli.server_process import ServerProcess, server_process
from tests.integration.puppet import PUPPETS, Heard, Puppet, puppet
from tests.integration.scrape import becomes, metric

Status = pb.RideStatusUpdate

LISTEN = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "log_level": "warning",
}
HEARTBEAT_TIMEOUT_S = 2.0
SETTINGS = {
    **LISTEN,
    "match_window_s": "100ms",
    "match_timeout_s": "1s",
    "heartbeat_timeout_s": f"{HEARTBEAT_TIMEOUT_S:g}s",
}
HERE = {"latitude": 37.7749, "longitude": -122.4194}
ACTIVE = "ride_stream_active_sessions"
OK, ABORTED, UNAVAILABLE = 0, 10, 14


@pytest.fixture
async def server() -> AsyncIterator[ServerProcess]:
    async with server_process(SETTINGS) as running:
        yield running


def acks(heard: Heard) -> list[tuple[str, bool]]:
    return [(ack.correlation_id, ack.success) for ack in heard.of("ack")]


async def location(client: Puppet, who: str, sequence: int, **where: Any) -> None:
    await client.send(who, location_update=pb.LocationUpdate(sequence=sequence, **{**HERE, **where}))


async def status(client: Puppet, who: str, value: Any, ride_id: str = "") -> None:
    await client.send(who, ride_status_update=Status(status=value, ride_id=ride_id))


async def heartbeat(client: Puppet, who: str, seq: int) -> None:
    await client.send(who, heartbeat=pb.Heartbeat(seq=seq))


async def driver_comes(client: Puppet) -> Heard:
    """A driver with a heartbeat, a position and AVAILABLE, all acked in order."""
    driver = await client.open("driver", "driver-1")
    await heartbeat(client, "driver", 1)
    await location(client, "driver", 2)
    await status(client, "driver", Status.STATUS_AVAILABLE)
    await client.until(lambda: len(driver.envelopes) >= 3)
    assert acks(driver) == [("1", True), ("2", True), ("", True)]
    return driver


@pytest.mark.parametrize("name", PUPPETS)
async def test_a_stock_client_holds_sessions_that_are_acked_hear_each_other_and_are_matched(
    name: str, server: ServerProcess
) -> None:
    async with puppet(name, str(server.grpc)) as client:
        driver = await driver_comes(client)
        rider = await client.open("rider", "rider-1")
        await location(client, "rider", 7, bearing=90.0, speed_mps=1.5)
        await client.until(lambda: driver.of("broadcast_event") and rider.of("ack"))
        (heard,) = driver.of("broadcast_event")
        assert (heard.topic, heard.user_id) == ("3777:-12241", "rider-1")
        assert struct.unpack("<4d", heard.payload) == (HERE["latitude"], HERE["longitude"], 90.0, 1.5)
        assert rider.of("broadcast_event") == []

        await status(client, "rider", Status.STATUS_LOOKING, "r-1")
        await client.until(lambda: driver.of("match_event") and rider.of("match_event"))
        for side in (driver, rider):
            (match,) = side.of("match_event")
            assert (match.ride_id, match.driver_id, match.rider_id) == ("r-1", "driver-1", "rider-1")
            assert match.surge_multiplier == 1.0
        assert acks(rider) == [("7", True), ("r-1", True)]

        for side in (driver, rider):
            assert all(a < b for a, b in pairwise(envelope.lamport_time for envelope in side.envelopes))
        for who in ("driver", "rider"):
            await client.order(who, half_close=True)
        await client.until(lambda: driver.ended and rider.ended)
        assert (driver.ended, rider.ended) == ((OK, ""), (OK, ""))
    assert await metric(server, "ride_match_total", outcome="matched") == 1


@pytest.mark.parametrize("name", PUPPETS)
async def test_a_silent_client_is_ended_after_the_timeout_with_a_status_that_says_so(
    name: str, server: ServerProcess
) -> None:
    async with puppet(name, str(server.grpc)) as client:
        heard = await client.open("quiet", "quiet-1")
        await heartbeat(client, "quiet", 1)
        await client.until(lambda: heard.of("ack"))
        assert await metric(server, ACTIVE) == 1
        await client.until(lambda: heard.ended)
        assert heard.ended is not None
        code, details = heard.ended
        assert code == UNAVAILABLE
        assert details.startswith("NO_HEARTBEAT: ")
        assert await metric(server, ACTIVE) == 0
        assert await metric(server, "ride_stream_heartbeat_miss_total") == 1


@pytest.mark.parametrize("name", [name for name in PUPPETS if name != "stock_purerpc"])
async def test_a_cancelled_call_is_gone_from_the_gauge_within_a_second(name: str, server: ServerProcess) -> None:
    """Stock purerpc's client has no way to cancel a call; its connection can be killed, below."""
    async with puppet(name, str(server.grpc)) as client:
        heard = await client.open("rider", "rider-1")
        await heartbeat(client, "rider", 1)
        await client.until(lambda: heard.of("ack"))
        await client.order("rider", cancel=True)
        await client.until(lambda: heard.ended)
        await becomes(server, lambda value: value == 0, 1.0, ACTIVE)
        assert await metric(server, "ride_stream_heartbeat_miss_total") == 0


@pytest.mark.parametrize("name", PUPPETS)
async def test_the_sessions_of_a_killed_client_are_gone_from_the_gauge_within_a_second(
    name: str, server: ServerProcess
) -> None:
    async with puppet(name, str(server.grpc)) as client:
        for who in ("a", "b", "c"):
            heard = await client.open(who, who)
            await heartbeat(client, who, 1)
            await client.until(lambda heard=heard: heard.of("ack"))
        assert await metric(server, ACTIVE) == 3
        client.process.kill()
        await becomes(server, lambda value: value == 0, 1.0, ACTIVE)


async def test_a_newer_session_of_the_user_takes_over(server: ServerProcess) -> None:
    async with puppet("grpcio_aio", str(server.grpc)) as client:
        older = await client.open("older", "user-1")
        await heartbeat(client, "older", 1)
        await client.until(lambda: older.of("ack"))
        newer = await client.open("newer", "user-1")
        await heartbeat(client, "newer", 1)
        await client.until(lambda: older.ended and newer.of("ack"))
        assert older.ended is not None
        assert older.ended[0] == ABORTED
        assert older.ended[1].startswith("SESSION_TAKEN_OVER: ")
        assert await metric(server, ACTIVE) == 1


async def test_nobody_near_is_a_second_ack_that_says_so(server: ServerProcess) -> None:
    async with puppet("grpcio_sync", str(server.grpc)) as client:
        rider = await client.open("rider", "rider-1")
        await location(client, "rider", 1, latitude=10.0)
        await status(client, "rider", Status.STATUS_LOOKING, "r-9")
        await client.order("rider", half_close=True)
        await client.until(lambda: rider.ended)
        assert rider.ended == (OK, "")
        first, second = rider.of("ack")[1:]
        assert (first.correlation_id, first.success) == ("r-9", True)
        assert (second.correlation_id, second.success) == ("r-9", False)
        assert second.detail.startswith("NO_DRIVER_FOUND: ")


@pytest.mark.parametrize(
    "body",
    [
        {"location_update": pb.LocationUpdate(latitude=91.0)},
        {"location_update": pb.LocationUpdate(longitude=float("nan"))},
        {"heartbeat": pb.Heartbeat(user_id="somebody-else")},
        {},
    ],
    ids=["latitude", "nan", "user", "empty"],
)
async def test_bad_input_is_acked_with_the_reason_and_the_stream_lives_on(
    body: dict[str, Any], server: ServerProcess
) -> None:
    async with puppet("grpcio_aio", str(server.grpc)) as client:
        heard = await client.open("user", "user-1")
        await client.send("user", **body)
        await heartbeat(client, "user", 5)
        await client.until(lambda: len(heard.of("ack")) == 2)
        refused, good = heard.of("ack")
        assert not refused.success
        assert refused.detail.startswith("BAD_REQUEST: ")
        assert (good.correlation_id, good.success) == ("5", True)
