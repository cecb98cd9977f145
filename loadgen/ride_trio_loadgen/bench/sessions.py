"""`bench sessions`: many heartbeating Connect sessions on few connections; memory, CPU and collector pauses.

Both servers get the same client: SESSIONS streams over CONNECTIONS connections, each sending a heartbeat every
INTERVAL_S, evenly spread. Bytes a session is the growth of resident memory while they connect; CPU a heartbeat is
taken over WINDOW_S of steady running, the ack included.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import trio
from rich.console import Console
from rich.table import Table

from ride_trio.pb.ride.v1 import ride_pb2 as pb
from ride_trio.rpc import Channel
from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.session_servers import ENGINES, PATH

INTERVAL_S: Final = 5.0
WINDOW_S: Final = 20.0
# Sends are made in ticks: often enough that no tick is a burst.
TICK_S: Final = 0.05
# An ack that takes longer is lost.
ACK_TIMEOUT_S: Final = 30.0
# Bound on one engine's run.
TIMEOUT_S: Final = 400.0
BASELINE: Final = "grpc.aio, acks only"


@dataclass(frozen=True, slots=True)
class SessionsResult:
    """One engine's figures."""

    engine: str
    sessions: int
    bytes_a_session: float
    cpu_us_a_heartbeat: float
    longest_pause_ms: float
    sent: int
    acked: int


class Heartbeats:
    """Many sessions on their streams, and what came back."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.sent = 0
        self.acked = 0
        self._acks = trio.lowlevel.ParkingLot()

    async def open(self, stack: AsyncExitStack, port: int, sessions: int, connections: int) -> None:
        """Connection by connection, each stream answered before the next connection comes: grpc.aio cancels calls
        that wait for their handler behind a few thousand others."""
        for number in range(connections):
            channel = await stack.enter_async_context(Channel("127.0.0.1", port))
            opened = [await self._open_one(channel, index) for index in range(number, sessions, connections)]
            for call in opened:
                await self._send(call)
            await self._all_acked()
            self.calls += opened

    async def _open_one(self, channel: Channel, index: int) -> Any:
        call = channel.open(PATH, pb.ClientEnvelope, pb.ServerEnvelope, metadata=[("user-id", f"bench-{index}")])
        await call.start()
        call.set_sink(self._count)
        return call

    async def _send(self, call: Any) -> None:
        self.sent += 1
        await call.send(pb.ClientEnvelope(heartbeat=pb.Heartbeat(seq=self.sent)))

    async def _all_acked(self) -> None:
        with trio.fail_after(ACK_TIMEOUT_S):
            while self.acked < self.sent:
                await self._acks.park()

    def _count(self, envelope: Any) -> bool:
        if envelope is not None:
            self.acked += 1
            if self.acked == self.sent:
                self._acks.unpark_all()
        return True

    async def beat(self, seconds: float) -> None:
        """Every session sends a heartbeat each INTERVAL_S, for some seconds; then the last acks are waited for."""
        ticks = round(INTERVAL_S / TICK_S)
        began = trio.current_time()
        for tick in range(round(seconds / TICK_S)):
            await trio.sleep_until(began + tick * TICK_S)
            for index in range(tick % ticks, len(self.calls), ticks):
                await self._send(self.calls[index])
        await self._all_acked()


async def measure(engine: str, server: Child, sessions: int, connections: int) -> SessionsResult:
    """Open, settle, measure."""
    beats = Heartbeats()
    empty = server.ask("rss")
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(TIMEOUT_S))
        await beats.open(stack, server.port, sessions, connections)
        full, cpu, sent = server.ask("rss"), server.ask("cpu"), beats.sent
        await beats.beat(WINDOW_S)
        cpu = server.ask("cpu") - cpu
        result = SessionsResult(
            engine,
            sessions,
            (full - empty) / sessions,
            cpu / (beats.sent - sent) * 1e6,
            server.ask("gc") * 1e3,
            beats.sent,
            beats.acked,
        )
        for call in beats.calls:
            call.cancel()
    return result


def table(results: list[SessionsResult], connections: int) -> Table:
    """Figures, and ratios to the baseline of the same run."""
    baseline = next(result for result in results if result.engine == BASELINE)
    out = Table(title=f"{results[0].sessions:,} heartbeating sessions over {connections} connections")
    for heading in ("server", "bytes/session", "CPU us/heartbeat", "longest GC pause", "acked"):
        out.add_column(heading, justify="left" if heading == "server" else "right")
    for row in results:
        out.add_row(
            row.engine,
            f"{row.bytes_a_session:,.0f} (1/{baseline.bytes_a_session / row.bytes_a_session:.1f})",
            f"{row.cpu_us_a_heartbeat:.1f} (1/{baseline.cpu_us_a_heartbeat / row.cpu_us_a_heartbeat:.1f})",
            f"{row.longest_pause_ms:.1f} ms",
            "all" if row.sent == row.acked else f"{row.acked:,} of {row.sent:,}",
        )
    return out


def main(sessions: int = 20_000, connections: int = 200) -> bool:
    """Run and print; True if every heartbeat was acked."""
    results = []
    for engine in ENGINES:
        with child("ride_trio_loadgen.bench.session_servers", engine) as server:
            results.append(trio.run(measure, engine, server, sessions, connections))
    Console().print(table(results, connections))
    return all(result.sent == result.acked for result in results)
