"""`bench slow-peer`: what peers that stop reading cost everybody else in their zone.

HEALTHY sessions in one zone send positions; each position is acked and broadcast to all others. Rounds alternate:
without, and with SLOW peers that are in the zone too, go on sending heartbeats, and never read a byte. The figure is
the ack time of the healthy sessions, from when a message was due.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

import trio
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio.rpc import Channel
from ride_trio.wire import ClientConnection, Limits
from ride_trio.wire.headers import RequestHead
from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.session_servers import PATH

HEALTHY: Final = 40
SLOW: Final = 5
RATE_HZ: Final = 5.0
ROUND_S: Final = 6.0
ENGINE: Final = "ride-trio serve"
# Everybody is here.
LATITUDE: Final = 37.775
LONGITUDE: Final = -122.415
SLOW_HEARTBEAT_S: Final = 0.5
# A small socket buffer fills at once, so that the server meets a full one early in the round.
RECEIVE_BUFFER_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Round:
    """Ack times of the healthy sessions, ms."""

    p50_ms: float
    p99_ms: float


def _location(sequence: int) -> pb.ClientEnvelope:
    update = pb.LocationUpdate(latitude=LATITUDE, longitude=LONGITUDE, sequence=sequence)
    return pb.ClientEnvelope(location_update=update)


class Healthy:
    """One session that sends, reads, and notes how long its acks took."""

    def __init__(self, call: Any, offset_s: float) -> None:
        self._call = call
        self._offset_s = offset_s
        self._due: dict[str, float] = {}
        self._acks = trio.lowlevel.ParkingLot()
        self.ack_s: list[float] = []

    def take(self, envelope: Any) -> bool:
        if envelope is not None and envelope.WhichOneof("body") == "ack":
            self.ack_s.append(trio.current_time() - self._due.pop(envelope.correlation_id))
            if not self._due:
                self._acks.unpark_all()
        return True

    async def run(self, seconds: float) -> None:
        self._call.set_sink(self.take)
        began = trio.current_time() + self._offset_s
        for number in range(round(seconds * RATE_HZ)):
            due = began + number / RATE_HZ
            await trio.sleep_until(due)
            self._due[str(number)] = due
            await self._call.send(_location(number))
        with trio.fail_after(10):
            while self._due:
                await self._acks.park()


async def slow_peer(port: int, name: str) -> None:
    """Join the zone, say that we are alive again and again, and never read."""
    with trio.socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        await sock.connect(("127.0.0.1", port))
        connection = ClientConnection(Limits())
        stream = connection.open(RequestHead(PATH, authority="bench", metadata=(("user-id", name),)))
        message: Message = _location(0)
        while True:
            connection.outbound.send_message(stream, message.SerializeToString())
            data = connection.outbound.take_output()
            while data:
                data = data[await sock.send(data) :]
            message = pb.ClientEnvelope(heartbeat=pb.Heartbeat(seq=1))
            await trio.sleep(SLOW_HEARTBEAT_S)


async def _one_slow_peer(port: int, name: str) -> None:
    """The server ends a peer that does not read: then another one comes."""
    while True:
        try:
            await slow_peer(port, name)
        except OSError:
            await trio.sleep(SLOW_HEARTBEAT_S)


@asynccontextmanager
async def _sessions(port: int, tag: str) -> AsyncIterator[list[Healthy]]:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(Channel("127.0.0.1", port))
        healthy = []
        for number in range(HEALTHY):
            metadata = [("user-id", f"{tag}-{number}")]
            call = await stack.enter_async_context(
                channel.open(PATH, pb.ClientEnvelope, pb.ServerEnvelope, metadata=metadata)
            )
            healthy.append(Healthy(call, number / HEALTHY / RATE_HZ))
        yield healthy


async def one_round(port: int, tag: str, slow: int) -> Round:
    """A round with or without slow peers."""
    async with trio.open_nursery() as nursery:
        for number in range(slow):
            nursery.start_soon(_one_slow_peer, port, f"{tag}-slow-{number}")
        async with _sessions(port, tag) as healthy, trio.open_nursery() as senders:
            for session in healthy:
                senders.start_soon(session.run, ROUND_S)
        nursery.cancel_scope.cancel()
    times = [1e3 * seconds for session in healthy for seconds in session.ack_s]
    return Round(median(times), quantiles(times, n=100)[98])


async def run(server: Child, rounds: int) -> tuple[list[Round], list[Round]]:
    """Alternate: without, with."""
    without, beside = [], []
    for number in range(rounds):
        without.append(await one_round(server.port, f"a{number}", 0))
        beside.append(await one_round(server.port, f"b{number}", SLOW))
    return without, beside


def main(rounds: int = 5) -> bool:
    """Run and print; True if the median p99 beside slow peers is at most twice that without."""
    with child("ride_trio_loadgen.bench.session_servers", ENGINE) as server:
        before = server.ask("rss")
        without, beside = trio.run(run, server, rounds)
        growth_mib = (server.ask("rss") - before) / 2**20
    alone, together = (median(r.p99_ms for r in rows) for rows in (without, beside))
    table = Table(title=f"ack times of {HEALTHY} sessions in one zone, {RATE_HZ:g} positions a second each")
    for heading in ("", "p50 ms", "p99 ms", "p99 of without"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("without", f"{median(r.p50_ms for r in without):.2f}", f"{alone:.2f}", "1.0")
    row = f"{median(r.p50_ms for r in beside):.2f}", f"{together:.2f}", f"{together / alone:.2f}"
    table.add_row(f"beside {SLOW} that never read", *row)
    Console().print(table)
    Console().print(f"server memory grew by {growth_mib:.1f} MiB over {2 * rounds} rounds")
    return together <= 2 * alone
