"""`bench log`: rows about many consumers that follow one partition, and about those that stop reading.

A record is produced when all have the one before: so each goes out alone, which is the dearest way.
"""

from __future__ import annotations

import socket
from contextlib import closing
from time import perf_counter
from typing import Final

import trio

from ride_trio.app import raise_open_files_limit
from ride_trio.pb.takhin.v1.takhin_pb2 import (
    ConsumeMessagesRequest,
    ConsumeMessagesResponse,
    ProduceMessageRequest,
    Record,
)
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.log_load import LogLoad, create_topic, run, until
from ride_trio_loadgen.bench.log_produce import plan_of
from ride_trio_loadgen.bench.log_servers import BARE_SEND
from ride_trio_loadgen.bench.log_setup import Figure, Figures, LogServer, Scale, Setup
from ride_trio_loadgen.bench.stream_rows import BATCH
from ride_trio_loadgen.bench.wire_client import FRAMING_BYTES, TIMEOUT_S, AnyPeer, Peer, Poller, RawPeer, connect
from ride_trio_loadgen.log_cast import SERVICE

TOPIC: Final = "tails"
RECORD_BYTES: Final = 100
PRODUCE: Final = f"{SERVICE}/ProduceMessageStream"
CONSUME: Final = f"{SERVICE}/ConsumeMessages"
# What a tail asks for: from the topic's first record on, which tells it that it is there.
FOLLOW: Final = ConsumeMessagesRequest(topic=TOPIC, offset=-1).SerializeToString()
RECORD: Final = ProduceMessageRequest(
    topic=TOPIC, record=Record(value=bytes(RECORD_BYTES)), required_acks=-1
).SerializeToString()
# A delivery as tails get it, about: offsets are a byte longer or shorter.
DELIVERY: Final = ConsumeMessagesResponse(
    topic=TOPIC,
    high_watermark=1_000,
    records=[Record(value=bytes(RECORD_BYTES), timestamp=1_700_000_000_000, offset=1_000)],
).SerializeToString()
FEW_CONNECTIONS: Final = 10
# On many connections a delivery is that much dearer for the client, and fewer are enough.
MANY_CONNECTIONS_SHARE: Final = 5
# Records that those who stop reading could get, while their memory is looked at and before.
STOPPED_BYTES: Final = 10_240
STOPPED_CACHE: Final = "32MiB"
RECEIVE_BUFFER_BYTES: Final = 4_096


class Publisher:
    """Produces a record at a time on a stream; each is answered when it is on disk."""

    def __init__(self, port: int) -> None:
        self._peer = Peer(port, expected=None)
        self._poller = Poller([self._peer])
        self._stream = self._peer.open(PRODUCE)

    def publish(self) -> None:
        self._peer.send(self._stream, message=RECORD)
        self._peer.flush()

    def hear(self) -> None:
        """Wait for the answer."""
        hear(self._poller, 1)

    def close(self) -> None:
        self._poller.close()
        self._peer.close()


class Tails:
    """Consumers that each have had the topic's first record.

    Args:
        port: Of a server whose topic has one record.
        count: How many there are to be.
        connections: That they share.
    """

    def __init__(self, port: int, count: int, connections: int) -> None:
        self.peers = [Peer(port, expected=None) for _ in range(connections)]
        self._poller = Poller(self.peers)
        self._count = count
        for begun in range(0, count, BATCH):
            numbers = range(begun, min(begun + BATCH, count))
            for number in numbers:
                peer = self.peers[number % connections]
                peer.request(CONSUME, FOLLOW)
                peer.flush()
            hear(self._poller, len(numbers))

    def hear(self) -> None:
        """Wait until each has had one more."""
        hear(self._poller, self._count)

    def close(self) -> None:
        self._poller.close()
        for peer in self.peers:
            peer.close()


def hear(poller: Poller[AnyPeer], count: int) -> None:
    """Read until so many messages have come."""
    give_up = perf_counter() + TIMEOUT_S
    while count > 0:
        if perf_counter() > give_up:
            raise TimeoutError(f"{count} messages have not come within {TIMEOUT_S:g} s")
        for peer in poller.ready():
            count -= peer.read()
            peer.flush()
    if count:
        raise ValueError(f"{-count} messages more than were sent")


def tails(setup: Setup) -> Figures:
    """Server CPU of a delivery on few connections, and on one for each beside a bare send."""
    raise_open_files_limit()
    scale = setup.scale
    few, rate = _deliver(setup, FEW_CONNECTIONS, scale.deliveries)
    many, _ = _deliver(setup, scale.tails, max(1, scale.deliveries // MANY_CONNECTIONS_SHARE))
    bare = _send(setup, max(1, scale.deliveries // MANY_CONNECTIONS_SHARE))
    return {"tails-10": Figure(few), "tails-10-rate": Figure(rate), "tails-1000": Figure(many, bare)}


def _deliver(setup: Setup, connections: int, deliveries: int) -> tuple[float, float]:
    """CPU us a delivered record, and records a second."""
    count = setup.scale.tails
    with setup.log_server() as server:
        run(create_topic, server.port, TOPIC, 1)
        with closing(Publisher(server.port)) as publisher:
            publisher.publish()
            publisher.hear()
            with closing(Tails(server.port, count, connections)) as following:
                cpu_s, began = server.child.ask("cpu"), perf_counter()
                for _ in range(deliveries):
                    publisher.publish()
                    following.hear()
                    publisher.hear()
                cpu_s, taken_s = server.child.ask("cpu") - cpu_s, perf_counter() - began
        consumed = server.child.ask("consumed")
    if consumed != count * (1 + deliveries):
        raise ValueError(f"{count} consumers were sent {consumed:.0f} records, not {1 + deliveries} each")
    return cpu_s / deliveries / count * 1e6, deliveries / taken_s


def _send(setup: Setup, deliveries: int) -> float:
    """CPU us a bare send of as many bytes."""
    count = setup.scale.tails
    size = FRAMING_BYTES + len(DELIVERY)
    with setup.other_server(BARE_SEND, str(size), str(count)) as server:
        peers = [RawPeer(server.port, len(DELIVERY)) for _ in range(count)]
        try:
            with closing(Poller(peers)) as poller, connect(server.port) as publisher:
                hear(poller, count)
                return _sends(server, publisher, poller, count, deliveries)
        finally:
            for peer in peers:
                peer.close()


def _sends(server: Child, publisher: socket.socket, poller: Poller[RawPeer], count: int, deliveries: int) -> float:
    before = server.ask("cpu")
    for _ in range(deliveries):
        publisher.send(b"x")
        hear(poller, count)
    return (server.ask("cpu") - before) / deliveries / count * 1e6


# ---------------------------------------------------------------------- who stops reading


def stopped(setup: Setup) -> Figures:
    """Growth of the server's memory, for each consumer that has stopped reading, while others go on producing."""
    count = setup.scale.stopped
    with setup.log_server(log_cache_bytes=STOPPED_CACHE) as server:
        run(create_topic, server.port, TOPIC, 1)
        with closing(Publisher(server.port)) as publisher:
            publisher.publish()
            publisher.hear()
        with closing(Tails(server.port, count, FEW_CONNECTIONS)) as idle:
            for peer in idle.peers:
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            growth, records = run(_grow, server, setup.scale)
            there = server.child.ask("consumers")
    if there != count:
        raise ValueError(f"{there:.0f} of {count} consumers are still there")
    return {"stopped": Figure(growth / count), "stopped-missed": Figure(records * STOPPED_BYTES / 1e6)}


async def _grow(server: LogServer, scale: Scale) -> tuple[float, int]:
    """Bytes, and records that were produced meanwhile."""
    load = LogLoad(plan_of(server.port, TOPIC, STOPPED_BYTES), partitions=1)

    async def look() -> tuple[float, int]:
        await until(lambda: load.tally.acked * STOPPED_BYTES >= scale.filling_bytes)
        before, acked = await _resident(server.child), load.tally.acked
        await trio.sleep(scale.seconds)
        return await _resident(server.child) - before, load.tally.acked - acked

    return await load.produce(look)


async def _resident(server: Child) -> float:
    return await trio.to_thread.run_sync(server.ask, "rss")
