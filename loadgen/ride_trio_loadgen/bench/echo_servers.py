"""The same echo service (see `echo`) under each engine, one a process.

    python -m ride_trio_loadgen.bench.echo_servers ENGINE [MAX_STREAMS [GIVE_UP_MS]]

prints its port and answers the questions of `questions.py`. MAX_STREAMS, of our engines, is how many streams a
connection may have open, GIVE_UP_MS what handshakes and pings may take instead of the default times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from ride_trio_loadgen.bench.echo import (
    BARE_TRIO,
    CORO,
    GENERATOR,
    GRPC_AIO,
    GRPCLIB,
    METHOD,
    PATH,
    PURERPC,
    SERVICE,
    SINK,
)

__all__ = ["ENGINES", "METHOD", "PATH", "SERVICE"]


def _coroutine(max_streams: int | None = None, give_up_ms: int | None = None) -> None:
    from ride_trio_loadgen.bench.echo_trio import coroutines, ride_trio

    ride_trio(coroutines(), max_streams, give_up_ms)


def _generator(max_streams: int | None = None) -> None:
    from ride_trio_loadgen.bench.echo_trio import generators, ride_trio

    ride_trio(generators(), max_streams)


def _sink(max_streams: int | None = None) -> None:
    from ride_trio_loadgen.bench.echo_trio import ride_trio, sinks

    ride_trio(sinks(), max_streams)


def _grpc_aio() -> None:
    from ride_trio_loadgen.bench.echo_asyncio import grpc_aio

    grpc_aio()


def _grpclib() -> None:
    from ride_trio_loadgen.bench.echo_asyncio import grpclib

    grpclib()


def _purerpc() -> None:
    from ride_trio_loadgen.bench.echo_trio import stock_purerpc

    stock_purerpc()


def _bare_trio() -> None:
    from ride_trio_loadgen.bench.echo_trio import bare_trio

    bare_trio()


# A process imports its own engine only: what others bring along would count in its memory.
ENGINES: Final[dict[str, Callable[..., None]]] = {
    CORO: _coroutine,
    GENERATOR: _generator,
    SINK: _sink,
    GRPC_AIO: _grpc_aio,
    GRPCLIB: _grpclib,
    PURERPC: _purerpc,
    BARE_TRIO: _bare_trio,
}

if __name__ == "__main__":
    ENGINES[sys.argv[1]](*(int(argument) for argument in sys.argv[2:]))
