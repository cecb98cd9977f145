"""What a session is, over every transport, from one place: the whole server, real sockets."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from ride_trio import app
from ride_trio.app import Bound
from ride_trio.config import Settings
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, Observe
from ride_trio.values import Address
from tests.integration.transports import TRANSPORTS, connected, ending, hear
from tests.services.house import at, heartbeat, hello, status

PATIENCE_S = 30.0
LOOPBACK = Address("127.0.0.1", 0)
Serve = Callable[..., Any]


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Bound]:
    """The whole server while the block runs."""
    there = {f"{name}_listen_addr": LOOPBACK for name in ("grpc", "http", "metrics")}
    given = replace(Settings(), **there, match_window_s=0.05, data_dir=os.environ["DATA_DIR"], **settings)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(app.serve, given)
            nursery.cancel_scope.cancel()


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_everything_is_answered_in_order(transport: str) -> None:
    async with served() as bound, connected(transport, bound, "ann") as client:
        named = ClientEnvelope(message_id="m", location_update=at().location_update)
        await client.say(hello(message_id="h"), at(sequence=7), heartbeat(8), status("LOOKING", "r"), named)
        answers = [await client.receive() for _ in range(5)]
        assert [answer.correlation_id for answer in answers] == ["h", "7", "8", "r", "m"]
        assert answers[0].welcome.heartbeat_timeout_ms == 15_000
        assert [answer.ack.success for answer in answers[1:]] == [True] * 4
        times = [answer.lamport_time for answer in answers]
        assert times == sorted(set(times))


async def test_what_makes_no_sense_is_refused_and_the_session_lives_on(transport: str) -> None:
    async with served() as bound, connected(transport, bound, "ann") as client:
        for wrong, code in (
            (at(91.0), "BAD_REQUEST"),
            (heartbeat(user_id="bob"), "BAD_REQUEST"),
            (status("LOOKING"), "BAD_REQUEST"),
            (status("AT_PICKUP"), "ILLEGAL_TRANSITION"),
            (ClientEnvelope(message_id="empty"), "BAD_REQUEST"),
        ):
            await client.say(wrong)
            ack = (await client.receive()).ack
            assert (ack.success, ack.detail.partition(":")[0]) == (False, code)
        await client.say(heartbeat(2))
        assert (await client.receive()).ack.success


@pytest.mark.parametrize("others", TRANSPORTS)
async def test_neighbours_hear_each_other_and_are_matched(transport: str, others: str) -> None:
    async with (
        served() as bound,
        connected(transport, bound, "ann") as rider,
        connected(others, bound, "dan") as driver,
    ):
        await driver.say(hello(plate="XY 1"), at(37.7701), status("AVAILABLE"))
        await hear(driver, "ack")
        await rider.say(at(37.77), status("LOOKING", "r"))
        assert (await hear(driver, "broadcast_event")).broadcast_event.user_id == "ann"
        matches = [(await hear(client, "match_event")).match_event for client in (rider, driver)]
        assert matches[0] == matches[1]
        assert (matches[0].vehicle_plate, matches[0].pickup_latitude) == ("XY 1", 37.77)
        await driver.say(at(37.7702))
        assert (await hear(rider, "broadcast_event")).broadcast_event.user_id == "dan"


@pytest.mark.parametrize("newer", TRANSPORTS)
async def test_a_newer_session_takes_over(transport: str, newer: str) -> None:
    async with served() as bound, connected(transport, bound, "ann") as old:
        await old.say(hello())
        await hear(old, "welcome")
        async with connected(newer, bound, "ann") as new:
            assert not (await hear(old, "disconnect")).disconnect.reconnect
            assert await ending(old) == "SESSION_TAKEN_OVER"
            await new.say(heartbeat())
            assert (await hear(new, "ack")).ack.success


async def test_silence_ends_it(transport: str) -> None:
    async with served(heartbeat_timeout_s=0.3) as bound, connected(transport, bound, "ann") as client:
        await client.say(hello())
        assert (await hear(client, "disconnect")).disconnect.code == "NO_HEARTBEAT"
        assert await ending(client) == "NO_HEARTBEAT"


async def test_nobody_found(transport: str) -> None:
    async with served(match_timeout_s=0.2) as bound, connected(transport, bound, "ann") as client:
        await client.say(at(), status("LOOKING", "r"))
        answers = [await client.receive() for _ in range(3)]
        assert answers[2].ack.detail.startswith("NO_DRIVER_FOUND: ")


async def test_a_full_server(transport: str) -> None:
    async with served(max_sessions=1) as bound, connected(transport, bound, "ann") as first:
        await first.say(heartbeat())
        await first.receive()
        async with connected(transport, bound, "bob") as second:
            assert await ending(second) == "CONNECTION_LIMIT"


async def test_bytes_that_are_no_envelope_end_it(transport: str) -> None:
    async with served() as bound, connected(transport, bound, "ann") as client:
        await client.say_bytes(b"\xff\xff")
        code = await ending(client)
        assert code == "BAD_REQUEST" if transport != "grpc" else code.startswith("a message of 2 bytes is not a valid")


async def test_the_server_stops(transport: str, tmp_path: Path) -> None:
    ended = trio.Event()

    async def serve(*, task_status: trio.TaskStatus[Bound]) -> None:
        there = {f"{name}_listen_addr": LOOPBACK for name in ("grpc", "http", "metrics")}
        await app.serve(replace(Settings(), **there, data_dir=str(tmp_path)), task_status=task_status)
        ended.set()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serve)
            async with connected(transport, bound, "ann") as client:
                await client.say(hello())
                await hear(client, "welcome")
                signal.raise_signal(signal.SIGTERM)
                assert (await hear(client, "disconnect")).disconnect.reconnect
                assert await ending(client) == "SHUTDOWN"
            await ended.wait()


async def test_an_observer_sees_who_is_where(transport: str) -> None:
    async with (
        served() as bound,
        connected("grpc", bound, "dan") as driver,
        connected(transport, bound, "olga") as observer,
    ):
        await driver.say(at(37.77, bearing=90.0, speed_mps=8.0), status("AVAILABLE"))
        await driver.receive()
        await observer.say(ClientEnvelope(message_id="o", observe=Observe(max_rate_hz=5.0)))
        assert (await hear(observer, "ack")).ack.correlation_id == "o"
        snapshot = (await hear(observer, "city_view")).city_view
        assert (snapshot.snapshot, snapshot.total, len(snapshot.changed)) == (True, 1, 16)
        await driver.say(at(37.78, sequence=2, bearing=90.0, speed_mps=8.0))
        change = (await hear(observer, "city_view")).city_view
        assert (change.snapshot, change.changed[4:8], change.changed[13:15]) == (
            False,
            (37_780_000).to_bytes(4, "little"),
            bytes((64, 8)),
        )
        await observer.say(ClientEnvelope(message_id="end", observe=Observe()))
        assert (await hear(observer, "ack")).ack.correlation_id == "end"
