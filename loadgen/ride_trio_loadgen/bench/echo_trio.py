"""The echo service on trio: ours in each of its styles, stock purerpc, and an echo of plain bytes.

Generators know nothing but their messages, so a peer that joins gets a memory channel; ours writes to the calls
themselves, one serialization for all of them: as coroutines with `send_encoded`, synchronously with a source each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import purerpc
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from ride_trio_loadgen.bench.echo import METHOD, SERVICE
from ride_trio_loadgen.bench.questions import ready

# Messages that may wait for a peer; one that is further behind loses its place.
BACKLOG: Final = 1_000
# A publisher waits for slow peers no longer than this.
PUBLISH_TIMEOUT_S: Final = 5.0

Handler = Callable[..., Any]


async def unary(message: Any) -> Any:
    return message


# ---------------------------------------------------------------------- coroutines


async def echo_call(call: Any) -> None:
    async for message in call:
        await call.send(message)


def coroutines() -> dict[str, Handler]:
    """Handlers that take the call."""
    joined: set[Any] = set()

    async def join(call: Any) -> None:
        welcome = await call.receive()
        joined.add(call)
        try:
            await call.send(welcome)
            await call.receive()
        finally:
            joined.discard(call)

    async def publish(call: Any) -> None:
        async for message in call:
            data = message.SerializeToString()
            with trio.move_on_after(PUBLISH_TIMEOUT_S):
                for peer in tuple(joined):
                    await peer.send_encoded(data)
            await call.send(message)

    return {METHOD: echo_call, "Join": join, "Publish": publish, "Unary": unary}


# ---------------------------------------------------------------------- plain functions below coroutines


async def echo_sink(call: Any) -> None:
    """Echo inside the read pass."""
    over = trio.Event()

    def take(message: Any) -> bool:
        if message is None:
            over.set()
        elif not call.send_nowait(message):
            raise purerpc.ResourceExhaustedError("read faster")
        return True

    call.set_sink(take)
    await over.wait()


class Listener:
    """A peer that has joined, with what waits for it."""

    __slots__ = ("_waiting", "call", "pull", "push")

    def __init__(self, call: Any) -> None:
        self.call = call
        self._waiting: deque[bytes] = deque(maxlen=BACKLOG)
        self.push = self._waiting.append
        call.set_source(self._pull)

    def _pull(self) -> bytes | None:
        return self._waiting.popleft() if self._waiting else None


def sinks() -> dict[str, Handler]:
    """Handlers whose messages are taken and sent by plain functions."""
    joined: set[Listener] = set()

    async def join(call: Any) -> None:
        welcome = await call.receive()
        listener = Listener(call)
        await call.send(welcome)
        joined.add(listener)
        try:
            await call.receive()
        finally:
            joined.discard(listener)

    async def publish(call: Any) -> None:
        async for message in call:
            data = message.SerializeToString()
            for listener in joined:
                listener.push(data)
                listener.call.wake_source()
            await call.send(message)

    return {METHOD: echo_sink, "Join": join, "Publish": publish, "Unary": unary}


# ---------------------------------------------------------------------- generators


async def echo_generator(messages: Any) -> AsyncIterator[Any]:
    async for message in messages:
        yield message


def generators() -> dict[str, Handler]:
    """purerpc's style."""
    joined: set[trio.MemorySendChannel[Any]] = set()

    async def join(messages: Any) -> AsyncIterator[Any]:
        send, receive = trio.open_memory_channel[Any](BACKLOG)
        joined.add(send)
        try:
            yield await messages.__anext__()
            async for message in receive:
                yield message
        finally:
            joined.discard(send)

    async def publish(messages: Any) -> AsyncIterator[Any]:
        async for message in messages:
            for peer in tuple(joined):
                try:
                    peer.send_nowait(message)
                except trio.WouldBlock:
                    peer.close()
                    joined.discard(peer)
            yield message

    return {METHOD: echo_generator, "Join": join, "Publish": publish, "Unary": unary}


# ---------------------------------------------------------------------- servers


def service_of(handlers: Mapping[str, Handler]) -> purerpc.Service:
    """The echo service with these handlers."""
    service = purerpc.Service(SERVICE)
    for name, handler in handlers.items():
        kind = purerpc.Cardinality.UNARY_UNARY if name == "Unary" else purerpc.Cardinality.STREAM_STREAM
        service.add_method(name, handler, purerpc.RPCSignature(kind, BytesValue, BytesValue))
    return service


def _run(server: Any) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            ready(await nursery.start(server.serve_async))

    trio.run(main)


def ride_trio(handlers: Mapping[str, Handler], max_streams: int | None = None, give_up_ms: int | None = None) -> None:
    """Ours, with Python's own thresholds for the garbage collector as the other engines; for very many streams with
    those of `ride-trio serve`: the row is about what the engine does, not about when Python looks at every object."""
    from ride_trio.app import raise_open_files_limit, tune_gc
    from ride_trio.rpc import Keepalive, Limits, Server

    limits, keepalive = Limits(), Keepalive()
    if max_streams is not None:
        limits = Limits(max_concurrent_streams=max_streams)
        raise_open_files_limit()
        tune_gc()
    if give_up_ms is not None:
        time_s = give_up_ms / 1e3
        keepalive = Keepalive(time_s=time_s, timeout_s=time_s, handshake_timeout_s=time_s)
    server = Server(0, host="127.0.0.1", limits=limits, keepalive=keepalive)
    server.add_service(service_of(handlers))
    _run(server)


def stock_purerpc() -> None:
    import logging

    logging.disable(logging.CRITICAL)
    server = purerpc.Server(0)
    server.add_service(service_of(generators()))
    _run(server)


async def _echo_bytes(stream: trio.SocketStream) -> None:
    try:
        while data := await stream.receive_some():
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


def bare_trio() -> None:
    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        ready(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(_echo_bytes, listeners)

    trio.run(main)
