"""`bench rpc`: what an echoed message and a unary call cost, and how long one takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter
from typing import Final

from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.echo import BARE_TRIO, UNARY_PATH
from ride_trio_loadgen.bench.wire_client import EchoedPeer, Peer, Poller

PACKED: Final = 100
CONNECTIONS: Final = 100
# A part of what is measured is sent first, to warm up allocator, caches and windows.
WARM_UP_SHARE: Final = 10

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Target:
    """A server to be measured: its process, its engine's name, how many messages are to be echoed."""

    server: Child
    engine: str
    messages: int

    def connect(self) -> Peer:
        return EchoedPeer(self.server.port) if self.engine == BARE_TRIO else Peer(self.server.port)

    def cpu_us(self, run: Callable[[int], object], count: int) -> float:
        """Warm up, then the server's CPU for each of `count`, us."""
        run(max(1, count // WARM_UP_SHARE))
        before = self.server.ask("cpu")
        run(count)
        return (self.server.ask("cpu") - before) / count * 1e6


def packed(target: Target) -> Figures:
    """Many messages in each frame; the next frame follows when all of them are back."""
    with closing(Peer(target.server.port)) as peer:
        stream = peer.open()

        def run(count: int) -> None:
            for begun in range(0, count, PACKED):
                due = peer.arrived + min(PACKED, count - begun)
                peer.send_packed(stream, min(PACKED, count - begun))
                while peer.arrived < due:
                    peer.flush()
                    peer.read()

        return {"many-a-frame": target.cpu_us(run, target.messages)}


def in_flight(target: Target, window: int, count: int) -> float:
    """One message a frame on one connection; what comes back is sent again at once."""
    with closing(target.connect()) as peer:
        stream = peer.open()

        def run(count: int) -> None:
            sent, left = min(window, count), count
            peer.send(stream, sent)
            while left:
                peer.flush()
                arrived = peer.read()
                left -= arrived
                again = min(arrived, count - sent)
                peer.send(stream, again)
                sent += again

        return target.cpu_us(run, count)


def in_flight_10(target: Target) -> Figures:
    return {"in-flight-10": in_flight(target, 10, max(1, target.messages // 2))}


def in_flight_100(target: Target) -> Figures:
    return {"in-flight-100": in_flight(target, 100, target.messages)}


def ping_pong(target: Target) -> Figures:
    """One in flight: CPU, and how long each message takes there and back."""
    with closing(target.connect()) as peer:
        stream = peer.open()
        seconds: list[float] = []

        def run(count: int) -> None:
            seconds.clear()
            for _ in range(count):
                began = perf_counter()
                peer.send(stream)
                peer.flush()
                while not peer.read():
                    peer.flush()
                seconds.append(perf_counter() - began)

        cpu_us = target.cpu_us(run, max(2, target.messages // 5))
    cuts = quantiles(seconds, n=100)
    return {"in-flight-1": cpu_us, "p50": cuts[49] * 1e6, "p99": cuts[98] * 1e6}


@contextmanager
def _many(target: Target) -> Iterator[list[Peer]]:
    peers: list[Peer] = []
    try:
        for _ in range(CONNECTIONS):
            peers.append(target.connect())
        yield peers
    finally:
        for peer in peers:
            peer.close()


def connections(target: Target) -> Figures:
    """One in flight on each of many connections."""
    with _many(target) as peers, closing(Poller(peers)) as poller:
        streams = {peer: peer.open() for peer in peers}

        def run(count: int) -> None:
            sent, left = min(len(peers), count), count
            for peer in peers[:sent]:
                peer.send(streams[peer])
                peer.flush()
            while left:
                for peer in poller.ready():
                    arrived = peer.read()
                    left -= arrived
                    again = min(arrived, count - sent)
                    peer.send(streams[peer], again)
                    sent += again
                    peer.flush()

        return {"connections-100": target.cpu_us(run, max(CONNECTIONS, target.messages // 2))}


def unary(target: Target, concurrent: int, count: int) -> float:
    """Calls on one connection; each that ends makes room for the next one."""
    with closing(Peer(target.server.port)) as peer:

        def run(count: int) -> None:
            first, begun = peer.ended, 0
            while peer.ended - first < count:
                while begun < count and begun - (peer.ended - first) < concurrent:
                    peer.request(UNARY_PATH)
                    begun += 1
                peer.flush()
                peer.read()

        cpu_us = target.cpu_us(run, count)
        if peer.arrived != peer.ended:
            raise ValueError(f"{peer.ended} calls brought {peer.arrived} messages")
        return cpu_us


def unary_1(target: Target) -> Figures:
    return {"unary-1": unary(target, 1, max(1, target.messages // 10))}


def unary_50(target: Target) -> Figures:
    return {"unary-50": unary(target, 50, max(1, target.messages // 5))}
