"""A handler that a test drives from outside, sinks and sources that do what it says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import trio
from google.protobuf.wrappers_pb2 import BytesValue
from trio.testing import wait_all_tasks_blocked

from ride_trio.rpc import Call, Channel, Limits, Server
from tests.rpc.echo import bidi, connect, open_call, value
from tests.rpc.peers import RawClient

KB = value(bytes(1_000))
WINDOW = Limits().stream_window


class Desk:
    """A handler that a test drives from outside: it waits, while the test uses its call."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.server = bidi(self.handle)
        self.leave = trio.Event()
        self.error: BaseException | None = None

    async def handle(self, call: Any) -> None:
        self.call: Call[BytesValue, BytesValue] = call
        try:
            await self.leave.wait()
        except trio.Cancelled as error:
            self.error = error
            raise

    async def client(self, *messages: BytesValue, limits: Limits | None = None) -> Any:
        """A client whose call has begun with these messages."""
        call = await self.nursery.start(hold_call, connect(self.nursery, self.server, limits=limits))
        for message in messages:
            await call.send(message)
        await wait_all_tasks_blocked()
        return call


async def hold_call(channel: Channel, *, task_status: trio.TaskStatus[Any]) -> None:
    """Keep a channel and a call open until the test's end."""
    async with channel, open_call(channel) as call:
        task_status.started(call)
        await trio.sleep_forever()


class Taker:
    """A sink that notes what it is given; it holds when `room` is used up."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.taken: list[bytes | None] = []

    def __call__(self, message: BytesValue | None) -> bool:
        if message is not None and not self.room:
            return False
        self.room -= 1
        self.taken.append(None if message is None else message.value)
        return True


class Giver:
    """A source that gives what is in `queue`."""

    def __init__(self, *messages: bytes) -> None:
        self.queue = deque(messages)

    def __call__(self) -> bytes | None:
        return value(self.queue.popleft()).SerializeToString() if self.queue else None


def letters(text: str) -> list[BytesValue]:
    return [value(letter.encode()) for letter in text]


async def socket_client(desk: Desk) -> Any:
    port = await desk.nursery.start(desk.server.serve_async)
    call = await desk.nursery.start(hold_call, Channel("127.0.0.1", port))
    await until(lambda: hasattr(desk, "call"))
    return call


async def tcp_client(nursery: trio.Nursery, server: Server, port: int) -> RawClient:
    client = RawClient(nursery, server)
    await client.stream.aclose()
    client.stream = await trio.open_tcp_stream("127.0.0.1", port)
    return await client.shake_hands()


async def until(done: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not done():  # noqa: ASYNC110 - what is waited for happens in the kernel, too
            await trio.sleep(0.001)


async def settle() -> None:
    """Let what is on its way over real sockets arrive."""
    await wait_all_tasks_blocked(0.02)
