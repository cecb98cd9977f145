"""`bench rpc`: its rows, what is promised of each, and what measures them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ride_trio_loadgen.bench import echo_rows, product_rows, stream_rows
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.echo import BARE_TRIO, CORO, GENERATOR, GRPC_AIO, GRPCLIB, PURERPC, SINK
from ride_trio_loadgen.bench.echo_rows import Figures, Target

ECHO_SERVERS: Final = "ride_trio_loadgen.bench.echo_servers"
SESSION_SERVERS: Final = "ride_trio_loadgen.bench.session_servers"
SERVE: Final = "ride-trio serve"
ACKS_ONLY: Final = "grpc.aio, acks only"
GRPC_ENGINES: Final = (CORO, GENERATOR, SINK, GRPC_AIO, GRPCLIB, PURERPC)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Args:
        messages: Echoed in a row with 100 in flight; in dearer rows a fixed part of it.
        rounds: Times that every engine has its turn.
        idle_streams: Held in the row about memory.
        opened: Streams of the row about opening.
        sessions: Held in the product's row about memory.
    """

    messages: int = 20_000
    rounds: int = 5
    idle_streams: int = 10_000
    opened: int = 50_000
    sessions: int = 5_000


@dataclass(frozen=True, slots=True)
class Bound:
    """Ours is to be at most so much of another engine's median, or of 1 where the figure is a ratio itself."""

    at_most: float
    of: str | None = GRPC_AIO


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        name: For the command line.
        title: For the table.
        unit: Of its figures.
        bounds: What has to hold.
        prototype: Of grpc.aio, for orientation (see `PROTOTYPE_NOTE`).
        grpc_go: In the row's unit, for orientation.
    """

    name: str
    title: str
    unit: str = "us"
    bounds: tuple[Bound, ...] = ()
    prototype: str = ""
    grpc_go: str = ""


# The last two columns were not measured in this run: the same method, an earlier run on another machine with two cores.
# "Prototype" is the first version of this engine, grpc-go is google.golang.org/grpc as it comes.
ORIENTATION: Final = "prototype (of grpc.aio) and grpc-go: earlier runs with this method, not measured now"

ROWS: Final = (
    Row("many-a-frame", "echo, 100 messages a frame", bounds=(Bound(1 / 15),), prototype="1/27", grpc_go="2.1"),
    Row("in-flight-100", "echo, 100 in flight", bounds=(Bound(1 / 8),), prototype="1/12", grpc_go="3.4"),
    Row("in-flight-10", "echo, 10 in flight"),
    Row(
        "in-flight-1",
        "echo, 1 in flight",
        bounds=(Bound(0.85), Bound(1.6, BARE_TRIO)),
        prototype="0.56",
        grpc_go="65",
    ),
    Row("p50", "  time there and back, p50", "us"),
    Row("p99", "  time there and back, p99", "us"),
    Row("connections-100", "echo, 100 connections, 1 each", bounds=(Bound(0.6),), prototype="0.36", grpc_go="24"),
    Row("unary-1", "unary, 1 at a time"),
    Row("unary-50", "unary, 50 at a time", bounds=(Bound(1 / 5),), prototype="1/8", grpc_go="20"),
    Row("broadcast-100", "a delivery to 100"),
    Row("broadcast-1000", "a delivery to 1,000", bounds=(Bound(1 / 25),), prototype="1/100", grpc_go="2.4"),
    Row("memory", "an idle stream", "bytes", bounds=(Bound(1 / 5),), prototype="1/8", grpc_go="12,000"),
    Row("opening", "opening: last of first tenth", "x", bounds=(Bound(1.3, None),)),
    Row("opening-first", "  a stream, first tenth"),
    Row("opening-last", "  a stream, last tenth"),
    Row("product-1", "acked position, 1 in flight"),
    Row("product-50", "acked position, 50 in flight"),
    Row("product-memory", "an idle session", "bytes"),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What makes the figures of some rows. Measurements with the same `server` follow each other in one process.

    Args:
        rows: Their names.
        engines: That have these rows.
        measure: Does it.
        server: Which module the process runs.
        alone: A name, if the process has to be a fresh one and nobody else's.
        arguments: More arguments of the process.
        most_rounds: Enough for what hardly varies.
    """

    rows: tuple[str, ...]
    engines: tuple[str, ...]
    measure: Callable[[Child, str, Scale], Figures]
    server: str = ECHO_SERVERS
    alone: str = ""
    arguments: Callable[[Scale], tuple[str, ...]] = lambda _: ()
    most_rounds: int = 1_000


def _echo(measure: Callable[[Target], Figures]) -> Callable[[Child, str, Scale], Figures]:
    return lambda server, engine, scale: measure(Target(server, engine, scale.messages))


MEASUREMENTS: Final = (
    Measurement(("many-a-frame",), GRPC_ENGINES, _echo(echo_rows.packed)),
    Measurement(("in-flight-100",), GRPC_ENGINES, _echo(echo_rows.in_flight_100)),
    Measurement(("in-flight-10",), GRPC_ENGINES, _echo(echo_rows.in_flight_10)),
    Measurement(("in-flight-1", "p50", "p99"), (*GRPC_ENGINES, BARE_TRIO), _echo(echo_rows.ping_pong)),
    Measurement(("connections-100",), (*GRPC_ENGINES, BARE_TRIO), _echo(echo_rows.connections)),
    Measurement(("unary-1",), GRPC_ENGINES, _echo(echo_rows.unary_1)),
    Measurement(("unary-50",), GRPC_ENGINES, _echo(echo_rows.unary_50)),
    Measurement(("broadcast-100",), GRPC_ENGINES, _echo(stream_rows.broadcast_100)),
    Measurement(("broadcast-1000",), GRPC_ENGINES, _echo(stream_rows.broadcast_1000)),
    Measurement(
        ("memory",),
        GRPC_ENGINES,
        lambda server, _, scale: stream_rows.idle_streams(server, scale.idle_streams),
        alone="memory",
        most_rounds=1,
    ),
    Measurement(
        ("opening", "opening-first", "opening-last"),
        (CORO,),
        lambda server, _, scale: stream_rows.opening(server, scale.opened),
        alone="opening",
        arguments=lambda scale: (str(2 * scale.opened + 1_000),),
        most_rounds=3,
    ),
    Measurement(("product-1", "product-50"), (SERVE, ACKS_ONLY), _echo(product_rows.locations), SESSION_SERVERS),
    Measurement(
        ("product-memory",),
        (SERVE, ACKS_ONLY),
        lambda server, _, scale: product_rows.session_memory(server, scale.sessions),
        SESSION_SERVERS,
        alone="memory",
        most_rounds=1,
    ),
)
ENGINES: Final = (*GRPC_ENGINES, BARE_TRIO, SERVE, ACKS_ONLY)
