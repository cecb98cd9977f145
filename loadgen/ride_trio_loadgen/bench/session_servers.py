"""The servers of `bench sessions`: the whole ride server, and the least that grpc.aio could do in its place.

python -m ride_trio_loadgen.bench.session_servers ENGINE
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ride_trio.pb.ride.v1 import ride_pb2 as pb
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

    listen = {"grpc_listen_addr": "127.0.0.1:0", "metrics_listen_addr": "127.0.0.1:0"}

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serve, load_settings({**listen, **_PATIENT}))
            ready(bound.grpc.port)

    trio.run(main)


def grpc_aio() -> None:
    """A handler that acks each heartbeat: no broker, no timeout, no metrics."""
    import asyncio

    import grpc

    async def connect(envelopes: Any, context: Any) -> AsyncIterator[Any]:
        async for envelope in envelopes:
            number = str(envelope.heartbeat.seq)
            yield pb.ServerEnvelope(correlation_id=number, ack=pb.Ack(correlation_id=number, success=True))

    async def main() -> None:
        server = grpc.aio.server(options=[("grpc.max_concurrent_streams", 10_000)])
        handler = grpc.stream_stream_rpc_method_handler(
            connect, pb.ClientEnvelope.FromString, pb.ServerEnvelope.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready(port)
        await server.wait_for_termination()

    asyncio.run(main())


ENGINES: Final[dict[str, Callable[[], None]]] = {"ride-trio serve": ride_server, "grpc.aio, acks only": grpc_aio}

if __name__ == "__main__":
    ENGINES[sys.argv[1]]()
