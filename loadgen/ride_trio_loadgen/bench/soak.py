"""`bench soak`: a day's shape against the engine: what stays behind when everybody has gone?

RUSH_HOURS times the number of workers swells and ebbs away. A worker opens a connection, has some calls of random kinds
on it, one after the other or beside each other, and leaves, politely or not; connections meet the server's ages. In
each ebb the server's memory is read: the first WARM_UP are the warm-up, and of those after the smallest may be at most
MOST_GROWTH_BYTES above its end (the smallest: how many of its pages the allocator gives back in an ebb is a matter of
chance). When all have gone, the server has to have the tasks that it began with, and nothing else.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import purerpc
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from rich.console import Console

from ride_trio.rpc import Channel, ClientCall, Connectivity
from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.echo import PATH, UNARY_PATH
from ride_trio_loadgen.bench.soak_server import GRACE_S, MAX_IDLE_S

RUSH_HOURS: Final = 5
WARM_UP: Final = 3
MOST_WORKERS: Final = 60
# In an ebb nobody is there for a moment: this part of a rush hour.
EBB: Final = 0.2
MOST_GROWTH_BYTES: Final = 4 * 2**20
SEED: Final = 20
# No call takes longer: it is an error.
CALL_TIMEOUT_S: Final = 20.0
# After the last worker has left, connections that were torn away may take this to be missed, s.
SETTLE_S: Final = 15.0
_LEFT: Final = ("connections", "calls", "streams", "held")
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset

# What a call may fail with, and as what it is counted then: its connection got too old, or had too much to write that
# this client, which shares two processors with the server, has not read yet.
_BORNE: Final = {"max_age": "calls of connections too old", "REFUSED_STREAM": "calls refused for now"}

Call = ClientCall[BytesValue, BytesValue]


@dataclass(frozen=True, slots=True)
class SoakResult:
    """What was done, and what was left."""

    seconds: float
    done: dict[str, int]
    ebb_bytes: list[float]
    left: dict[str, float]

    @property
    def growth_bytes(self) -> float:
        return min(self.ebb_bytes[WARM_UP:]) - self.ebb_bytes[WARM_UP - 1]

    @property
    def holds(self) -> bool:
        return self.growth_bytes <= MOST_GROWTH_BYTES and not any(self.left.values())


class Worker:
    """Somebody with a connection.

    Args:
        port: The server's.
        random: Its own.
        done: Where all count.
    """

    def __init__(self, port: int, random: Random, done: Counter[str]) -> None:
        self._port = port
        self._random = random
        self._done = done

    async def visit(self) -> None:
        """Connect, do something, leave."""
        try:
            await self._visit()
        except* purerpc.RpcFailedError as group:
            # On a machine that is too busy a client may be sent away as idle before it has begun.
            if group.subgroup(lambda error: not isinstance(error, ExceptionGroup) and "max_idle" not in str(error)):
                raise
            self._done["too late"] += 1

    async def _visit(self) -> None:
        tcp = await trio.open_tcp_stream("127.0.0.1", self._port)
        kinds: tuple[Callable[[Channel], Awaitable[None]], ...] = (
            *(4 * (self._calls,)),
            self._stay,
            self._idle_connection,
        )
        async with Channel("127.0.0.1", self._port, stream=tcp) as channel:
            await self._random.choice(kinds)(channel)
            if self._random.random() < 0.2 and channel.state is Connectivity.READY:
                tcp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                await tcp.aclose()
                self._done["connections torn away"] += 1
        self._done["connections"] += 1

    async def _calls(self, channel: Channel) -> None:
        kinds = (self._unary, self._talk, self._reset, self._half_close, self._silent, self._large, self._late)
        async with trio.open_nursery() as nursery:
            for _ in range(self._random.randint(1, 20)):
                nursery.start_soon(self._one, self._random.choice(kinds), channel)
                await trio.sleep(self._random.random() / 50)

    async def _one(self, kind: Callable[[Channel], Awaitable[None]], channel: Channel) -> None:
        with trio.fail_after(CALL_TIMEOUT_S):
            try:
                await kind(channel)
            except purerpc.RpcFailedError as error:
                borne = next((what for what in _BORNE if what in str(error)), None)
                if borne is None:
                    raise
                self._done[_BORNE[borne]] += 1

    def _open(self, channel: Channel, path: str = PATH, **options: Any) -> Call:
        return channel.open(path, BytesValue, BytesValue, **options)

    async def _echo(self, call: Call, size: int) -> None:
        message = BytesValue(value=self._random.randbytes(size))
        await call.send(message)
        if await call.receive() != message:
            raise ValueError("an echo is not what was sent")

    async def _unary(self, channel: Channel) -> None:
        async with self._open(channel, UNARY_PATH) as call:
            await call.send(BytesValue(value=b"x"))
            await call.done_sending()
            await call.receive()
            await call.wait_status()
        self._done["unary calls"] += 1

    async def _talk(self, channel: Channel) -> None:
        async with self._open(channel) as call:
            for _ in range(self._random.randint(1, 50)):
                await self._echo(call, self._random.randint(0, 500))
            await call.done_sending()
            await call.wait_status()
        self._done["talks"] += 1

    async def _reset(self, channel: Channel) -> None:
        async with self._open(channel) as call:
            if self._random.random() < 0.5:
                await self._echo(call, 100)
        self._done["resets"] += 1

    async def _half_close(self, channel: Channel) -> None:
        async with self._open(channel) as call:
            for _ in range(10):
                await call.send(BytesValue(value=b"x"))
            await call.done_sending()
            if len([message async for message in call]) != 10:
                raise ValueError("answers are missing after a half-close")
        self._done["half-closed"] += 1

    async def _silent(self, channel: Channel) -> None:
        async with self._open(channel) as call:
            await trio.sleep(self._random.random())
            await self._echo(call, 1)
        self._done["idle calls"] += 1

    async def _large(self, channel: Channel) -> None:
        async with self._open(channel, compression=self._random.choice(("identity", "gzip"))) as call:
            await self._echo(call, self._random.randint(50_000, 500_000))
        self._done["large messages"] += 1

    async def _late(self, channel: Channel) -> None:
        with suppress(purerpc.DeadlineExceededError):  # before it had a connection
            async with self._open(channel, timeout_s=self._random.random() / 10) as call:
                status = await call.wait_status()
                if status.status_code.name != "DEADLINE_EXCEEDED":
                    raise purerpc.RpcFailedError(status)
        self._done["deadlines"] += 1

    async def _stay(self, channel: Channel) -> None:
        await self._one(self._outstay, channel)

    async def _outstay(self, channel: Channel) -> None:
        """Talk for a while, until sent away maybe; then half of them stay in the middle of a call."""
        async with self._open(channel) as call:
            for _ in range(self._random.randint(10, 60)):
                await self._echo(call, 50)
                await trio.sleep(0.05)
                if channel.state is not Connectivity.READY and self._random.random() < 0.5:
                    self._done["connections aged"] += 1
                    return

    async def _idle_connection(self, channel: Channel) -> None:
        with trio.fail_after(MAX_IDLE_S + GRACE_S + CALL_TIMEOUT_S):
            await channel.wait_for_state_change(Connectivity.READY)
        self._done["connections sent away idle"] += 1


async def _rush_hour(port: int, random: Random, seconds: float, done: Counter[str]) -> None:
    """More and more workers, and then fewer and fewer."""
    began = trio.current_time()
    busy = seconds * (1 - EBB)

    async def work(number: int) -> None:
        # The wave: this worker is there while it is higher than its place in line.
        phase = math.asin((number + 1) / (MOST_WORKERS + 1)) / math.pi
        await trio.sleep(busy * phase)
        worker = Worker(port, Random(random.random()), done)
        while trio.current_time() < began + busy * (1 - phase):
            await worker.visit()

    async with trio.open_nursery() as nursery:
        for number in range(MOST_WORKERS):
            nursery.start_soon(work, number)


async def _settled(server: Child, tasks: float) -> dict[str, float]:
    """What the server has left when all have gone: wait until it is nothing, but not for ever."""
    with trio.move_on_after(SETTLE_S):
        while True:
            left = {what: server.ask(what) for what in _LEFT} | {"tasks": server.ask("tasks") - tasks}
            if not any(left.values()):
                return left
            await trio.sleep(0.1)
    return left


async def run(server: Child, seconds: float) -> SoakResult:
    """All rush hours."""
    random, done = Random(SEED), Counter[str]()
    tasks = server.ask("tasks")
    ebb_bytes = []
    for _ in range(RUSH_HOURS):
        await _rush_hour(server.port, random, seconds / RUSH_HOURS, done)
        left = await _settled(server, tasks)
        ebb_bytes.append(server.ask("rss"))
    return SoakResult(seconds, dict(done), ebb_bytes, left)


def soak(seconds: float) -> SoakResult:
    """A soak against a server of its own."""
    with child("ride_trio_loadgen.bench.soak_server") as server:
        return trio.run(run, server, seconds)


def main(seconds: float, json_file: Path | None = None) -> bool:
    """Run and print; True if nothing is left and memory is flat."""
    result = soak(seconds)
    console = Console(highlight=False)
    console.print(f"in {seconds:g} s: " + ", ".join(f"{count:,} {what}" for what, count in result.done.items()))
    console.print("server memory in the ebbs, MiB: " + ", ".join(f"{size / 2**20:.1f}" for size in result.ebb_bytes))
    console.print("left at the end: " + ", ".join(f"{count:g} {what}" for what, count in result.left.items()))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result), indent=1))
    return result.holds
