"""`bench rpc`: rows about many streams: broadcasts, memory, opening."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Final

from ride_trio.wire import Stream
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.echo import ENCODED, JOIN_PATH, PATH, PUBLISH_PATH
from ride_trio_loadgen.bench.echo_rows import Figures, Target
from ride_trio_loadgen.bench.wire_client import Peer, Poller

# Peers of a broadcast are spread over so many connections, the same for all engines.
AUDIENCE_CONNECTIONS: Final = 10
# Streams on a connection in the row about memory, if the server lets us have so many.
STREAMS_A_CONNECTION: Final = 1_000
# Opened at once: grpc.aio cancels calls that wait for their handler behind a few thousand others.
BATCH: Final = 100
# The first touch of a page is dear where a virtual machine gets its memory only then, and the last streams would pay
# for it: so as much as server and client need is touched, and freed, before.
TOUCHED_BYTES_A_STREAM: Final = 10_000


class Audience:
    """Peers that have joined, on few connections."""

    def __init__(self, stack: ExitStack, port: int, size: int) -> None:
        self.size = size
        count = min(AUDIENCE_CONNECTIONS, size)
        self.peers = [stack.enter_context(closing(Peer(port))) for _ in range(count)]
        self._poller = stack.enter_context(closing(Poller(self.peers)))
        for begun in range(0, size, BATCH):
            numbers = range(begun, min(begun + BATCH, size))
            for number in numbers:
                peer = self.peers[number % count]
                peer.send(peer.open(JOIN_PATH))
            for peer in self.peers:
                peer.flush()
            self.hear(len(numbers))  # each is welcomed

    def hear(self, count: int) -> None:
        """Read until so many messages have come."""
        while count > 0:
            for peer in self._poller.ready():
                count -= peer.read()
                peer.flush()
        if count:
            raise ValueError(f"{-count} messages more than were sent")


def broadcast(target: Target, size: int) -> float:
    """One message to all, again when all have it; CPU a delivery."""
    with ExitStack() as stack:
        audience = Audience(stack, target.server.port, size)
        publisher = stack.enter_context(closing(Peer(target.server.port)))
        stream = publisher.open(PUBLISH_PATH)

        def run(deliveries: int) -> None:
            for _ in range(deliveries // size or 1):
                publisher.send(stream)
                publisher.flush()
                audience.hear(size)
                while not publisher.read():
                    pass

        return target.cpu_us(run, max(1, target.messages // size) * size)


def broadcast_100(target: Target) -> Figures:
    return {"broadcast-100": broadcast(target, 100)}


def broadcast_1000(target: Target) -> Figures:
    return {"broadcast-1000": broadcast(target, 1_000)}


class Held:
    """Streams that have had one message answered and stay open, on as many connections as they need.

    Args:
        port: The server's.
        message: What each sends.
        expected: What comes back, as `Peer` has it.
        path: The method.
        named: Each has a `user-id` of its own in its metadata.
    """

    def __init__(
        self,
        port: int,
        message: bytes = ENCODED,
        expected: bytes | None = ENCODED,
        path: str = PATH,
        *,
        named: bool = False,
    ) -> None:
        self._named = named
        self._port = port
        self._message = message
        self._expected = expected
        self._path = path
        self.streams: list[tuple[Peer, Stream]] = []
        self.peers: list[Peer] = []

    def open(self, count: int, most: int = STREAMS_A_CONNECTION) -> None:
        """Open streams, each answered before the next batch begins.

        Args:
            count: How many.
            most: On one connection, or what the server allows if that is less.
        """
        while count:
            peer = self._newest(most)
            batch = min(BATCH, count, self._room(peer, most))
            due = peer.arrived + batch
            for _ in range(batch):
                metadata = (("user-id", f"bench-{len(self.streams)}"),) if self._named else ()
                stream = peer.open(self._path, metadata)
                peer.send(stream, message=self._message)
                self.streams.append((peer, stream))
            while peer.arrived < due:
                peer.flush()
                peer.read()
            count -= batch

    def _newest(self, most: int) -> Peer:
        if not self.peers or not self._room(self.peers[-1], most):
            self.peers.append(Peer(self._port, self._expected))
        return self.peers[-1]

    def _room(self, peer: Peer, most: int) -> int:
        return min(most, peer.outbound.peer.max_concurrent_streams) - len(peer.wire.streams)

    def close(self) -> None:
        for peer in self.peers:
            peer.close()


def memory(server: Child, streams: Held, count: int) -> float:
    """Growth of the server's resident memory a stream, bytes."""
    streams.open(BATCH)  # what the first streams bring along is not theirs
    before = server.ask("rss")
    streams.open(count)
    return (server.ask("rss") - before) / count


def idle_streams(server: Child, count: int) -> Figures:
    with closing(Held(server.port)) as streams:
        return {"memory": memory(server, streams, count)}


def opening(server: Child, count: int) -> Figures:
    """CPU of the last tenth of many streams on one connection, in relation to the first tenth's."""
    part = count // 10
    _touch_memory(count * TOUCHED_BYTES_A_STREAM)
    with closing(Held(server.port)) as streams:
        streams.open(BATCH, most=count + BATCH)
        first = _cpu_of(server, streams, part, count + BATCH)
        streams.open(count - 2 * part, most=count + BATCH)
        last = _cpu_of(server, streams, part, count + BATCH)
    return {"opening": last / first, "opening-first": first / part * 1e6, "opening-last": last / part * 1e6}


def _cpu_of(server: Child, streams: Held, count: int, most: int) -> float:
    before = server.ask("cpu")
    streams.open(count, most)
    return server.ask("cpu") - before


def _touch_memory(size: int) -> None:
    assert len(b"x" * size) == size
