"""`bench rpc`: the product's rows: positions in real Connect sessions, beside grpc.aio that does nothing but ack."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.echo_rows import Figures, Target
from ride_trio_loadgen.bench.session_servers import PATH
from ride_trio_loadgen.bench.stream_rows import Held, memory
from ride_trio_loadgen.bench.wire_client import Peer

# Many in flight: what a session's outbox holds at least.
WINDOW: Final = 50
# One place for all positions of a session: driving about is another cost. `sequence` goes back as the ack's id.
LOCATION: Final = pb.ClientEnvelope(
    location_update=pb.LocationUpdate(latitude=37.775, longitude=-122.415, bearing=90, speed_mps=8, sequence=12_345)
).SerializeToString()
# Memory is measured without positions: sessions in one zone would hear each other's.
HEARTBEAT: Final = pb.ClientEnvelope(heartbeat=pb.Heartbeat(seq=1)).SerializeToString()


def acked(target: Target, window: int, count: int) -> float:
    """Positions of one session with so many in flight; CPU an ack."""
    with closing(Peer(target.server.port, expected=None)) as peer:
        stream = peer.open(PATH, (("user-id", "bench"),))

        def run(count: int) -> None:
            sent, left = min(window, count), count
            peer.send(stream, sent, LOCATION)
            while left:
                peer.flush()
                arrived = peer.read()
                left -= arrived
                again = min(arrived, count - sent)
                peer.send(stream, again, LOCATION)
                sent += again

        return target.cpu_us(run, count)


def locations(target: Target) -> Figures:
    one = acked(target, 1, max(1, target.messages // 5))
    return {"product-1": one, "product-50": acked(target, WINDOW, target.messages)}


def session_memory(server: Child, count: int) -> Figures:
    with closing(Held(server.port, HEARTBEAT, None, PATH, named=True)) as sessions:
        return {"product-memory": memory(server, sessions, count)}
