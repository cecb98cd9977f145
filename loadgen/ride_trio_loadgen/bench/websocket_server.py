"""The server of `bench websockets`: the product, with room for all of one machine's clients."""

from __future__ import annotations

from typing import Final

import trio

from ride_trio.app import serve
from ride_trio.config import load_settings
from ride_trio_loadgen.bench.questions import ready

SETTINGS: Final = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "127.0.0.1:0",
    "metrics_listen_addr": "127.0.0.1:0",
    "heartbeat_timeout_s": "10m",
    "keepalive_time_s": "10m",
    "max_connections_per_peer": "1000000",
    "log_level": "warning",
}


async def main() -> None:
    """Serve until the bench goes."""
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(serve, load_settings(SETTINGS))
        assert bound.http is not None
        ready(bound.http.port)


if __name__ == "__main__":
    trio.run(main)
