"""The servers of `bench log`: the whole server with a log of its own, and those that its figures stand beside.

    python -m ride_trio_loadgen.bench.log_servers serve DATA_DIR [SETTING=VALUE ...]
    python -m ride_trio_loadgen.bench.log_servers echo
    python -m ride_trio_loadgen.bench.log_servers empty
    python -m ride_trio_loadgen.bench.log_servers bare-send BYTES PEERS

prints its port and answers the questions of `questions.py`; `serve` those about its log, too: commits, commit_bytes (of
all of them), syncs, cold_reads, consumers (that are there now), consumed (records), freed (bytes).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, ProduceMessageResponse
from ride_trio_loadgen.bench.questions import ready

SERVE: Final = "serve"
ECHO: Final = "echo"
EMPTY: Final = "empty"
BARE_SEND: Final = "bare-send"
MODULE: Final = "ride_trio_loadgen.bench.log_servers"
_LISTEN: Final = {"grpc_listen_addr": "127.0.0.1:0", "http_listen_addr": "off", "metrics_listen_addr": "127.0.0.1:0"}
_SERVICE: Final = "takhin.v1.TakhinService"


def serve(data_dir: str, *settings: str) -> None:
    """The product, with some settings other than the default ones."""
    import trio

    from ride_trio.app import App, raise_open_files_limit
    from ride_trio.config import load_settings

    given = dict(setting.split("=", 1) for setting in settings)

    async def main() -> None:
        app = App(load_settings({**_LISTEN, **given, "data_dir": data_dir, "log_level": "warning"}))
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(app.run)
            ready(bound.grpc.port, **_questions(app.metrics.log))

    raise_open_files_limit()
    trio.run(main)


def _questions(metrics: Any) -> dict[str, Callable[[], float]]:
    """Read in another thread than where they are counted: each is one integer, or a sum that is off by one at most."""
    return {
        "commits": lambda: sum(metrics.commit_bytes.counts),
        "commit_bytes": lambda: metrics.commit_bytes.total,
        "syncs": lambda: sum(metrics.sync_time.counts),
        "consumers": lambda: metrics.consumers.n,
        "cold_reads": lambda: metrics.cold_reads.n,
        "consumed": lambda: sum(cell.n for cell in list(metrics.consumed.cells.values())),
        "freed": lambda: metrics.freed.n,
    }


def echo() -> None:
    """Our engine, and each ProduceMessageRequest comes back on its stream as it is. As a ProduceMessageResponse it
    reads well: topic and partition have the same numbers in both, and no other field has the same type."""
    import purerpc
    import trio

    from ride_trio.app import tune_gc
    from ride_trio.rpc import Server
    from ride_trio_loadgen.bench.echo_trio import echo_sink

    kind = purerpc.Cardinality.STREAM_STREAM
    service = purerpc.Service(_SERVICE)
    service.add_method(
        "ProduceMessageStream",
        echo_sink,
        purerpc.RPCSignature(kind, ProduceMessageRequest, ProduceMessageRequest),
    )
    server = Server(0, host="127.0.0.1")
    server.add_service(service)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(server.serve_async)
            tune_gc()
            ready(port)

    trio.run(main)


def empty() -> None:
    """grpc.aio, whose ProduceMessage does nothing."""
    import grpc

    from ride_trio_loadgen.bench.echo_asyncio import run_grpc_aio

    async def produce(_request: Any, _context: Any) -> ProduceMessageResponse:
        return ProduceMessageResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        produce, ProduceMessageRequest.FromString, ProduceMessageResponse.SerializeToString
    )
    run_grpc_aio(_SERVICE, {"ProduceMessage": handler})


def bare_send(size: str, peers: str) -> None:
    """Plain sockets: a message to each peer when it comes, and one to all for each byte of the publisher, who comes
    last. There is nothing else: no event loop, no bound on who does not read."""
    from ride_trio.app import raise_open_files_limit

    raise_open_files_limit()
    message, sends = bytes(int(size)), []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        ready(listener.getsockname()[1])
        for _ in range(int(peers)):
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.send(message)
            sends.append(sock.send)
        publisher, _ = listener.accept()
        while publisher.recv(1):
            for send in sends:
                send(message)


# A process imports its own server only: what others bring along would count in its memory.
SERVERS: Final[dict[str, Callable[..., None]]] = {SERVE: serve, ECHO: echo, EMPTY: empty, BARE_SEND: bare_send}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](*sys.argv[2:])
