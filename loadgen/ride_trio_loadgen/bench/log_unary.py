"""`bench log`: many callers of ProduceMessage, beside as many of a grpc.aio server whose handler does nothing."""

from __future__ import annotations

from contextlib import closing
from time import perf_counter
from typing import Final

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, Record
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.log_load import create_topic, ends_of, run
from ride_trio_loadgen.bench.log_produce import WARM_UP_SHARE
from ride_trio_loadgen.bench.log_servers import EMPTY
from ride_trio_loadgen.bench.log_setup import Figure, Figures, Setup
from ride_trio_loadgen.bench.wire_client import TIMEOUT_S, Peer
from ride_trio_loadgen.log_cast import SERVICE

CALLERS: Final = 64
RECORD_BYTES: Final = 100
TOPIC: Final = "unary"
PATH: Final = f"{SERVICE}/ProduceMessage"
REQUEST: Final = ProduceMessageRequest(
    topic=TOPIC, record=Record(value=bytes(RECORD_BYTES)), required_acks=-1
).SerializeToString()


def unary(setup: Setup) -> Figures:
    """Calls a second, and the server's CPU for one."""
    with setup.log_server() as server:
        run(create_topic, server.port, TOPIC, 1)
        rate, cpu_us, calls = _measure(server.child, setup.scale.seconds)
        stored = sum(run(ends_of, server.port, TOPIC).ends)
    if stored != calls:
        raise ValueError(f"{calls} calls were answered, {stored} records are stored")
    with setup.other_server(EMPTY) as empty:
        empty_rate, empty_cpu_us, _ = _measure(empty, setup.scale.seconds)
    return {"unary-64": Figure(rate, empty_rate), "unary-64-server": Figure(cpu_us, empty_cpu_us)}


def _measure(server: Child, seconds: float) -> tuple[float, float, int]:
    """Calls a second; CPU us a call; calls in all."""
    with closing(Peer(server.port, expected=None)) as peer:
        _call(peer, seconds / WARM_UP_SHARE)
        first, cpu_s, began = peer.ended, server.ask("cpu"), perf_counter()
        _call(peer, seconds)
        taken_s, calls = perf_counter() - began, peer.ended - first
        return calls / taken_s, (server.ask("cpu") - cpu_s) / calls * 1e6, peer.ended


def _call(peer: Peer, seconds: float) -> None:
    """For so long, as many calls at a time on one connection; each that ends makes room for the next one."""
    until, begun = perf_counter() + seconds, peer.ended + CALLERS
    for _ in range(CALLERS):
        peer.request(PATH, REQUEST)
    while peer.ended < begun:
        peer.flush()
        ended, now = peer.ended, perf_counter()
        peer.read()
        if now < until:
            for _ in range(peer.ended - ended):
                peer.request(PATH, REQUEST)
            begun += peer.ended - ended
        elif now > until + TIMEOUT_S:
            raise TimeoutError(f"{begun - peer.ended} calls were not answered within {TIMEOUT_S:g} s")
