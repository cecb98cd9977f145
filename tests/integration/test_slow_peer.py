"""A peer that stops reading: bounded memory, counted drops, and nobody else notices."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio.rpc import Channel
from ride_trio.wire import ClientConnection, Limits
from ride_trio.wire.headers import RequestHead
from ride_trio_cli.server_process import server_process
from tests.integration.scrape import becomes, metric

CONNECT = "/ride.v1.RideStreamService/Connect"
BUFFER = 64
SETTINGS = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "outbound_buffer": str(BUFFER),
    "heartbeat_timeout_s": "60s",
    "log_level": "warning",
}
HERE = {"latitude": 37.7749, "longitude": -122.4194}
# More than socket buffers, the flow-control window and OUTBOUND_BUFFER hold together.
POSITIONS = 20_000
SENDERS = 4
# What a session that is not read may cost: 64 KiB of window, 128 KiB of write buffer, the messages of its outbox.
GROWTH_BYTES = 8 * 2**20


def location(sequence: int) -> pb.ClientEnvelope:
    return pb.ClientEnvelope(location_update=pb.LocationUpdate(sequence=sequence, **HERE))


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def never_reads(port: int, task_status: trio.TaskStatus[None]) -> None:
    """Join the zone over a raw socket, then leave every byte where it is."""
    with trio.socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", port))
        connection = ClientConnection(Limits())
        stream = connection.open(RequestHead(CONNECT, authority="test", metadata=(("user-id", "never-reads"),)))
        connection.outbound.send_message(stream, location(1).SerializeToString())
        await sock.send(connection.outbound.take_output())
        task_status.started()
        await trio.sleep_forever()


async def talk(channel: Channel, name: str, positions: int) -> int:
    """Send positions into the zone, each after the ack of the one before; the number of acks."""
    acked = 0
    async with channel.open(CONNECT, pb.ClientEnvelope, pb.ServerEnvelope, metadata=[("user-id", name)]) as call:
        for sequence in range(positions):
            await call.send(location(sequence))
            while (envelope := await call.receive()) is not None:
                if envelope.WhichOneof("body") == "ack":
                    assert envelope.correlation_id == str(sequence)
                    acked += 1
                    break
    return acked


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux's /proc")
async def test_memory_stays_bounded_drops_are_counted_and_others_get_their_acks() -> None:
    acked: list[int] = []

    async def sender(channel: Channel, name: str) -> None:
        acked.append(await talk(channel, name, POSITIONS // SENDERS))

    async with server_process(SETTINGS) as server, trio.open_nursery() as nursery:
        await nursery.start(never_reads, server.grpc.port)
        await becomes(server, lambda value: value == 1, 5.0, "ride_stream_active_sessions")
        async with Channel("127.0.0.1", server.grpc.port) as channel:
            await talk(channel, "warm-up", 200)
            before = resident_bytes(server.process.pid)
            with trio.fail_after(60):
                async with trio.open_nursery() as senders:
                    for number in range(SENDERS):
                        senders.start_soon(sender, channel, f"sender-{number}")
            grown = resident_bytes(server.process.pid) - before
        assert acked == [POSITIONS // SENDERS] * SENDERS
        assert await metric(server, "ride_stream_dropped_total", reason="conflated") > POSITIONS / 4
        assert grown < GROWTH_BYTES
        nursery.cancel_scope.cancel()
