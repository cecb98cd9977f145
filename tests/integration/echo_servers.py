"""The echo service under foreign servers: each a context manager that gives its port.

Methods of `test.Echo` are unary, split, join and echo as in tests/rpc/echo.py, and

    meta        echoes; initial and trailing metadata tell what it was called with
    not_found   ends NOT_FOUND with the request's text
    hangs       waits until it is cancelled
    early       reads one message, then ends ABORTED
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
import grpc.aio
import grpclib.const
import grpclib.server
from google.protobuf.wrappers_pb2 import BytesValue

NAME = "test.Echo"
# Seconds that a server gets to start or to stop.
PATIENCE_S = 10.0


def value(data: bytes) -> BytesValue:
    return BytesValue(value=data)


def _handlers(methods: dict[str, tuple[str, Callable[..., Any]]]) -> Any:
    """For grpcio: name -> (kind, function)."""
    made = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(function, BytesValue.FromString, BytesValue.SerializeToString)
        for name, (kind, function) in methods.items()
    }
    return grpc.method_handlers_generic_handler(NAME, made)


def _told(metadata: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f"echo-{name}", data) for name, data in metadata if name in {"user-id", "trace-bin"})


# ---------------------------------------------------------------- grpcio, threads


@contextmanager
def grpcio() -> Iterator[int]:
    cancelled = threading.Event()

    def split(request: BytesValue, context: Any) -> Iterator[BytesValue]:
        return (value(bytes((byte,))) for byte in request.value)

    def meta(requests: Iterator[BytesValue], context: Any) -> Iterator[BytesValue]:
        context.send_initial_metadata(_told(context.invocation_metadata()))
        context.set_trailing_metadata((("echo-last", "yes"),))
        yield from requests

    def not_found(request: BytesValue, context: Any) -> BytesValue:
        context.abort(grpc.StatusCode.NOT_FOUND, request.value.decode())
        raise AssertionError

    def hangs(requests: Iterator[BytesValue], context: Any) -> Iterator[BytesValue]:
        context.add_callback(cancelled.set)
        cancelled.wait(PATIENCE_S)
        return iter(())

    def early(requests: Iterator[BytesValue], context: Any) -> Iterator[BytesValue]:
        next(requests)
        context.abort(grpc.StatusCode.ABORTED, "enough")
        return iter(())

    server = grpc.server(ThreadPoolExecutor(8))
    methods: dict[str, tuple[str, Callable[..., Any]]] = {
        "unary": ("unary_unary", lambda request, context: request),
        "split": ("unary_stream", split),
        "join": ("stream_unary", lambda requests, context: value(b"".join(r.value for r in requests))),
        "echo": ("stream_stream", lambda requests, context: requests),
        "meta": ("stream_stream", meta),
        "not_found": ("unary_unary", not_found),
        "hangs": ("stream_stream", hangs),
        "early": ("stream_stream", early),
    }
    server.add_generic_rpc_handlers((_handlers(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait(PATIENCE_S)


# ---------------------------------------------------------------- asyncio, in a thread


@contextmanager
def _in_a_thread(serve: Callable[[Callable[[int], None], asyncio.Event], Awaitable[None]]) -> Iterator[int]:
    """Run an asyncio server; it tells its port and stops at an event."""
    port: list[int] = []
    ready = threading.Event()
    stop: list[Callable[[], Any]] = []

    async def main() -> None:
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(event.set))

        def started(number: int) -> None:
            port.append(number)
            ready.set()

        await serve(started, event)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield port[0]
    finally:
        stop[0]()
        thread.join(PATIENCE_S)


def grpcio_aio() -> AbstractContextManager[int]:
    return _in_a_thread(_serve_grpcio_aio)


async def _serve_grpcio_aio(started: Callable[[int], None], stop: asyncio.Event) -> None:
    async def unary(request: BytesValue, context: Any) -> BytesValue:
        return request

    async def split(request: BytesValue, context: Any) -> AsyncIterator[BytesValue]:
        for byte in request.value:
            yield value(bytes((byte,)))

    async def join(requests: AsyncIterator[BytesValue], context: Any) -> BytesValue:
        return value(b"".join([request.value async for request in requests]))

    async def echo(requests: AsyncIterator[BytesValue], context: Any) -> AsyncIterator[BytesValue]:
        async for request in requests:
            yield request

    async def meta(requests: AsyncIterator[BytesValue], context: Any) -> AsyncIterator[BytesValue]:
        await context.send_initial_metadata(_told(context.invocation_metadata()))
        context.set_trailing_metadata((("echo-last", "yes"),))
        async for request in requests:
            yield request

    async def not_found(request: BytesValue, context: Any) -> BytesValue:
        await context.abort(grpc.StatusCode.NOT_FOUND, request.value.decode())
        raise AssertionError

    async def hangs(requests: AsyncIterator[BytesValue], context: Any) -> AsyncIterator[BytesValue]:
        await asyncio.sleep(PATIENCE_S)
        yield value(b"")

    async def early(requests: AsyncIterator[BytesValue], context: Any) -> AsyncIterator[BytesValue]:
        await anext(aiter(requests))
        await context.abort(grpc.StatusCode.ABORTED, "enough")
        yield value(b"")

    server = grpc.aio.server()
    methods: dict[str, tuple[str, Callable[..., Any]]] = {
        "unary": ("unary_unary", unary),
        "split": ("unary_stream", split),
        "join": ("stream_unary", join),
        "echo": ("stream_stream", echo),
        "meta": ("stream_stream", meta),
        "not_found": ("unary_unary", not_found),
        "hangs": ("stream_stream", hangs),
        "early": ("stream_stream", early),
    }
    server.add_generic_rpc_handlers((_handlers(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    started(port)
    await stop.wait()
    await server.stop(0)


# ---------------------------------------------------------------- grpclib


class _Grpclib:
    async def unary(self, stream: Any) -> None:
        await stream.send_message(await stream.recv_message())

    async def split(self, stream: Any) -> None:
        for byte in (await stream.recv_message()).value:
            await stream.send_message(value(bytes((byte,))))

    async def join(self, stream: Any) -> None:
        await stream.send_message(value(b"".join([message.value async for message in stream])))

    async def echo(self, stream: Any) -> None:
        async for message in stream:
            await stream.send_message(message)

    async def meta(self, stream: Any) -> None:
        await stream.send_initial_metadata(metadata=_told(stream.metadata.items()))
        await self.echo(stream)
        await stream.send_trailing_metadata(metadata=(("echo-last", "yes"),))

    async def not_found(self, stream: Any) -> None:
        message = (await stream.recv_message()).value.decode()
        raise grpclib.exceptions.GRPCError(grpclib.const.Status.NOT_FOUND, message)

    async def hangs(self, stream: Any) -> None:
        await asyncio.sleep(PATIENCE_S)

    async def early(self, stream: Any) -> None:
        await stream.recv_message()
        raise grpclib.exceptions.GRPCError(grpclib.const.Status.ABORTED, "enough")

    def __mapping__(self) -> dict[str, Any]:
        kind = grpclib.const.Cardinality
        kinds = {"unary": kind.UNARY_UNARY, "not_found": kind.UNARY_UNARY, "split": kind.UNARY_STREAM}
        names = ("unary", "split", "join", "echo", "meta", "not_found", "hangs", "early")
        return {
            f"/{NAME}/{name}": grpclib.const.Handler(
                getattr(self, name), kinds.get(name, kind.STREAM_STREAM), BytesValue, BytesValue
            )
            for name in names
        }


def grpclib_server() -> AbstractContextManager[int]:
    return _in_a_thread(_serve_grpclib)


async def _serve_grpclib(started: Callable[[int], None], stop: asyncio.Event) -> None:
    server = grpclib.server.Server([_Grpclib()])
    await server.start("127.0.0.1", 0)
    started(server._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]
    await stop.wait()
    server.close()
    await server.wait_closed()


SERVERS: list[Callable[[], AbstractContextManager[int]]] = [grpcio, grpcio_aio, grpclib_server]
