"""The servers of `bench sessions`: the whole ride server, and the least that grpc.aio could do in its place.

python -m ride_trio_loadgen.bench.session_servers ENGINE
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio_loadgen.bench.echo_asyncio import serve_grpc_aio
from ride_trio_loadgen.bench.questions import ready

SERVICE: Final = "ride.v1.RideStreamService"
METHOD: Final = "Connect"
PATH: Final = f"/{SERVICE}/{METHOD}"
# Nobody is to fall silent while 20,000 sessions are being opened on a busy machine.
_PATIENT: Final = {"heartbeat_timeout_s": "5m"}


def ride_server() -> None:
    """The product: broker, matching, metrics and all."""
    import trio

    from ride_trio.app import serve
    from ride_trio.config import load_settings

    listen = {"grpc_listen_addr": "127.0.0.1:0", "http_listen_addr": "off", "metrics_listen_addr": "127.0.0.1:0"}

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serve, load_settings({**listen, **_PATIENT}))
            ready(bound.grpc.port)

    trio.run(main)


def grpc_aio() -> None:
    """A handler that acks each heartbeat: no broker, no timeout, no metrics."""

    async def connect(envelopes: Any, _context: Any) -> AsyncIterator[Any]:
        async for envelope in envelopes:
            number = str(envelope.heartbeat.seq)
            yield pb.ServerEnvelope(correlation_id=number, ack=pb.Ack(correlation_id=number, success=True))

    serve_grpc_aio(SERVICE, METHOD, connect, pb.ClientEnvelope, pb.ServerEnvelope)


ENGINES: Final[dict[str, Callable[[], None]]] = {"ride-trio serve": ride_server, "grpc.aio, acks only": grpc_aio}

if __name__ == "__main__":
    ENGINES[sys.argv[1]]()
