"""A test service with all four cardinalities, its handlers in both styles, and what the tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import purerpc
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality, RPCSignature, Service

from ride_trio.rpc import Channel, ClientCall, Server

NAME = "test.Echo"
Handler = Callable[..., Any]

CARDINALITIES = {
    "unary": Cardinality.UNARY_UNARY,
    "split": Cardinality.UNARY_STREAM,
    "join": Cardinality.STREAM_UNARY,
    "echo": Cardinality.STREAM_STREAM,
}


def value(data: bytes) -> BytesValue:
    return BytesValue(value=data)


def signature(cardinality: Cardinality) -> RPCSignature:
    return RPCSignature(cardinality, BytesValue, BytesValue)


def service_of(handlers: dict[str, tuple[Cardinality, Handler]], name: str = NAME) -> Service:
    """A service made of plain functions."""
    service = Service(name)
    for method, (cardinality, handler) in handlers.items():
        service.add_method(method, handler, signature(cardinality))
    return service


def server_of(name: str, cardinality: Cardinality, handler: Handler, **options: Any) -> Server:
    """A server with one method, of the service `test.Echo`, that listens nowhere."""
    server = Server(0, **options)
    server.add_service(service_of({name: (cardinality, handler)}))
    return server


def bidi(handler: Handler, **options: Any) -> Server:
    """A server whose `/test.Echo/Bidi` is this handler."""
    return server_of("Bidi", Cardinality.STREAM_STREAM, handler, **options)


# ---------------------------------------------------------------- purerpc's style


async def unary(message: BytesValue) -> BytesValue:
    return message


async def split(message: BytesValue) -> AsyncIterator[BytesValue]:
    """Each byte as a message of its own."""
    for byte in message.value:
        yield value(bytes((byte,)))


async def join(messages: AsyncIterator[BytesValue]) -> BytesValue:
    return value(b"".join([message.value async for message in messages]))


async def echo(messages: AsyncIterator[BytesValue]) -> AsyncIterator[BytesValue]:
    async for message in messages:
        yield message


# ---------------------------------------------------------------- ours: the call is what is sent on


async def unary_request(message: BytesValue, request: Any) -> BytesValue:
    await request.start((("method", request.method_name),))
    return message


async def split_call(message: BytesValue, request: Any) -> None:
    for byte in message.value:
        await request.send(value(bytes((byte,))))


async def join_call(call: Any) -> BytesValue:
    return value(b"".join([message.value async for message in call]))


async def echo_call(call: Any) -> None:
    async with trio.open_nursery():  # where a generator may not yield
        async for message in call:
            await call.send(message)


# ---------------------------------------------------------------- ways to end badly


async def not_found(message: BytesValue) -> BytesValue:
    raise purerpc.NotFoundError(message.value.decode())


async def fails(message: BytesValue) -> BytesValue:
    raise ValueError("a secret")


async def hangs(call: Any) -> None:
    await trio.sleep_forever()


HANDLERS: dict[str, tuple[Cardinality, Handler]] = {
    "unary": (Cardinality.UNARY_UNARY, unary),
    "unary_request": (Cardinality.UNARY_UNARY, unary_request),
    "split": (Cardinality.UNARY_STREAM, split),
    "split_call": (Cardinality.UNARY_STREAM, split_call),
    "join": (Cardinality.STREAM_UNARY, join),
    "join_call": (Cardinality.STREAM_UNARY, join_call),
    "echo": (Cardinality.STREAM_STREAM, echo),
    "echo_call": (Cardinality.STREAM_STREAM, echo_call),
    "not_found": (Cardinality.UNARY_UNARY, not_found),
    "fails": (Cardinality.UNARY_UNARY, fails),
    "hangs": (Cardinality.STREAM_STREAM, hangs),
}


def echo_server(**options: Any) -> Server:
    """A server with everything above, that listens nowhere."""
    server = Server(0, **options)
    server.add_service(service_of(HANDLERS))
    return server


# ---------------------------------------------------------------- the client's end


def connect(nursery: trio.Nursery, server: Server, **options: Any) -> Channel:
    """A channel to the server over memory streams; to be entered."""
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    return Channel("memory", 0, stream=ours, **options)


def open_call(channel: Channel, method: str = "Bidi", **options: Any) -> ClientCall[BytesValue, BytesValue]:
    return channel.open(f"/{NAME}/{method}", BytesValue, BytesValue, **options)


async def ask(channel: Channel, method: str, *requests: bytes) -> list[bytes]:
    """Send the requests, half-close, return all answers. Raises the call's status."""
    async with open_call(channel, method) as call:
        for request in requests:
            await call.send(value(request))
        await call.done_sending()
        return [message.value async for message in call]


async def status_of(channel: Channel, method: str, *requests: bytes, **options: Any) -> tuple[str, str]:
    """How a call ends: its status' name and message."""
    async with open_call(channel, method, **options) as call:
        for request in requests:
            await call.send(value(request))
        await call.done_sending()
        status = await call.wait_status()
        return status.status_code.name, status.status_message
