"""`bench websockets`: what very many idle WebSockets cost the server, and whether it still answers among them.

Each one is a session with a name, opened by a handshake over plain HTTP; nobody says anything after that. Bytes a
socket is the growth of resident memory while they connect, the kernel's buffers not among it. Then one of them sends
heartbeats, and the time to each ack is taken.
"""

from __future__ import annotations

import resource
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import trio
from rich.console import Console

from ride_trio_loadgen.bench.child import Child, child

# Handshakes at once; the server takes 1,024 connections that have not become WebSockets yet.
AT_ONCE: Final = 100
HEARTBEATS: Final = 100
TIMEOUT_S: Final = 300.0
# What an idle one may cost, with its session.
MOST_BYTES: Final = 40_000
# Files that each side has open besides.
SPARE_FILES: Final = 200
_MASK: Final = bytes(4)
_HEARTBEAT: Final = b'{"heartbeat":{"seq":"1"}}'
_FRAME: Final = bytes((0x81, 0x80 | len(_HEARTBEAT))) + _MASK + _HEARTBEAT


@dataclass(frozen=True, slots=True)
class IdleResult:
    """What they cost."""

    sockets: int
    bytes_a_socket: float
    cpu_us_a_handshake: float
    worst_ack_ms: float

    @property
    def holds(self) -> bool:
        return self.bytes_a_socket <= MOST_BYTES


async def open_one(port: int, number: int) -> trio.SocketStream:
    """A WebSocket in the name of `idle-NUMBER`.

    Raises:
        ValueError: the server did not accept it.
    """
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    lines = (
        f"GET /ws?user_id=idle-{number} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
        "Sec-WebSocket-Protocol: ride.v1.json",
    )
    await stream.send_all("\r\n".join((*lines, "", "")).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        chunk = await stream.receive_some()
        if not chunk:
            raise ValueError(f"the server refused a WebSocket: {answer!r}")
        answer += bytes(chunk)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise ValueError(f"the server refused a WebSocket: {answer!r}")
    return stream


async def measure(server: Child, sockets: int) -> IdleResult:
    """Open, look, ask."""
    opened: list[trio.SocketStream] = []

    async def open_and_keep(number: int, stack: AsyncExitStack) -> None:
        opened.append(await stack.enter_async_context(await open_one(server.port, number)))

    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(TIMEOUT_S))
        empty, cpu = server.ask("rss"), server.ask("cpu")
        for first in range(0, sockets, AT_ONCE):
            async with trio.open_nursery() as nursery:
                for number in range(first, min(first + AT_ONCE, sockets)):
                    nursery.start_soon(open_and_keep, number, stack)
        full, cpu = server.ask("rss"), server.ask("cpu") - cpu
        worst_s = await worst_ack_s(opened[0])
    return IdleResult(sockets, (full - empty) / sockets, cpu / sockets * 1e6, worst_s * 1e3)


async def worst_ack_s(stream: trio.SocketStream) -> float:
    """The longest time from a heartbeat to its ack."""
    worst = 0.0
    for _ in range(HEARTBEATS):
        began = trio.current_time()
        await stream.send_all(_FRAME)
        answer = b""
        while b"success" not in answer:
            chunk = await stream.receive_some()
            if not chunk:
                raise ValueError("the server closed a WebSocket that was alive")
            answer += bytes(chunk)
        worst = max(worst, trio.current_time() - began)
    return worst


def main(sockets: int = 10_000) -> bool:
    """Run and print; True if an idle one costs no more than it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if sockets + SPARE_FILES > hard:
        raise ValueError(f"{sockets} sockets need as many files, and this process may open {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with child("ride_trio_loadgen.bench.websocket_server") as server:
        result = trio.run(measure, server, sockets)
    Console().print(
        f"{result.sockets:,} idle WebSockets: {result.bytes_a_socket:,.0f} bytes each (at most {MOST_BYTES:,}), "
        f"{result.cpu_us_a_handshake:,.0f} us of CPU a handshake, worst of {HEARTBEATS} acks among them "
        f"{result.worst_ack_ms:.1f} ms"
    )
    return result.holds
