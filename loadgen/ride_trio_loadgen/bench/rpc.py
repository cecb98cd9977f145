"""`bench rpc`: server CPU a message for the same bidi echo under each engine, with the same client for all.

One stream, one message a DATA frame, WINDOW messages in flight. Rounds are interleaved (every engine once a round),
so that a noisy neighbour hits all of them; the figure is the median of the rounds, the ratio is to grpc.aio's median.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import trio
from google.protobuf.wrappers_pb2 import BytesValue
from rich.table import Table

from ride_trio.rpc import Channel
from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.echo_servers import ENGINES, PATH

WINDOW: Final = 100
MESSAGE: Final = BytesValue(value=b"x" * 64)
BASELINE: Final = "grpc.aio"
OURS: Final = "ride-trio (coroutine)"
# Messages that warm up allocator, caches and windows, not counted.
WARM_UP: Final = 2_000
# Bound on a round: the slowest peer needs about 0.2 ms a message.
ROUND_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class EchoResult:
    """Server CPU microseconds a message (one in, one out), a value a round."""

    engine: str
    cpu_us: tuple[float, ...]

    @property
    def median_us(self) -> float:
        return median(self.cpu_us)


async def echo(port: int, count: int, server: Child) -> float:
    """Send `count` messages with WINDOW in flight; the server's CPU, us a message."""
    async with (
        Channel("127.0.0.1", port) as channel,
        channel.open(PATH, BytesValue, BytesValue) as call,
    ):
        await _exchange(call, WARM_UP)
        before = server.ask("cpu")
        await _exchange(call, count)
        return (server.ask("cpu") - before) / count * 1e6


async def _exchange(call: Any, count: int) -> None:
    for _ in range(WINDOW):
        await call.send(MESSAGE)
    for left in range(count, 0, -1):
        if await call.receive() is None:
            raise RuntimeError(f"the server ended the echo: {call.status}")
        if left > WINDOW:
            await call.send(MESSAGE)


async def run(messages: int, rounds: int, engines: tuple[str, ...]) -> list[EchoResult]:
    """All engines, round by round."""
    values: dict[str, list[float]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            with child("ride_trio_loadgen.bench.echo_servers", engine) as server, trio.fail_after(ROUND_TIMEOUT_S):
                values[engine].append(await echo(server.port, messages, server))
    return [EchoResult(engine, tuple(rows)) for engine, rows in values.items()]


def table(results: list[EchoResult]) -> Table:
    """Median, spread and ratio to the baseline."""
    baseline = next(result.median_us for result in results if result.engine == BASELINE)
    out = Table(title=f"bidi echo, one message a frame, {WINDOW} in flight: server CPU a message")
    for heading in ("engine", "us a message", "min - max", f"of {BASELINE}"):
        out.add_column(heading, justify="left" if heading == "engine" else "right")
    for result in results:
        spread = f"{min(result.cpu_us):.1f} - {max(result.cpu_us):.1f}"
        out.add_row(result.engine, f"{result.median_us:.1f}", spread, f"1/{baseline / result.median_us:.1f}")
    return out


def main(messages: int = 20_000, rounds: int = 5) -> bool:
    """Run and print; True if our engine needs at most a fifth of grpc.aio's CPU."""
    from rich.console import Console

    results = trio.run(run, messages, rounds, tuple(ENGINES))
    Console().print(table(results))
    medians = {result.engine: result.median_us for result in results}
    return medians[OURS] <= medians[BASELINE] / 5
