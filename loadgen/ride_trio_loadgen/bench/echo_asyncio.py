"""The echo service on asyncio: grpc.aio and grpclib, as their users write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from google.protobuf.wrappers_pb2 import BytesValue

from ride_trio_loadgen.bench.echo import METHOD, SERVICE
from ride_trio_loadgen.bench.questions import ready

# Messages that may wait for a peer.
BACKLOG: Final = 1_000


def serve_grpc_aio(service: str, method: str, handler: Callable[..., Any], request: Any, response: Any) -> None:
    """Serve one bidi method with grpc.aio until the process is killed."""
    import grpc

    bidi = grpc.stream_stream_rpc_method_handler(handler, request.FromString, response.SerializeToString)
    run_grpc_aio(service, {method: bidi})


def run_grpc_aio(service: str, handlers: Mapping[str, Any]) -> None:
    """Serve some methods with grpc.aio until the process is killed."""
    import grpc

    async def main() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, dict(handlers)),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready(port)
        await server.wait_for_termination()

    asyncio.run(main())


async def _echo(requests: Any, _context: Any) -> AsyncIterator[Any]:
    async for message in requests:
        yield message


async def _unary(request: Any, _context: Any) -> Any:
    return request


def _queues() -> dict[str, Callable[..., Any]]:
    """Broadcast with a queue for each peer, from which its handler yields: a fifth cheaper than `context.write`."""
    joined: set[asyncio.Queue[Any]] = set()

    async def join(requests: Any, _context: Any) -> AsyncIterator[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue(BACKLOG)
        joined.add(queue)
        try:
            yield await requests.__anext__()
            while True:
                yield await queue.get()
        finally:
            joined.discard(queue)

    async def publish(requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for message in requests:
            for queue in joined:
                queue.put_nowait(message)
            yield message

    return {"Join": join, "Publish": publish}


def grpc_aio() -> None:
    import grpc

    streams = {METHOD: _echo, **_queues()}
    handlers = {
        name: grpc.stream_stream_rpc_method_handler(handler, BytesValue.FromString, BytesValue.SerializeToString)
        for name, handler in streams.items()
    }
    handlers["Unary"] = grpc.unary_unary_rpc_method_handler(_unary, BytesValue.FromString, BytesValue.SerializeToString)
    run_grpc_aio(SERVICE, handlers)


class _Grpclib:
    """grpclib's handlers; those that have joined are written to directly."""

    def __init__(self) -> None:
        self._joined: set[Any] = set()

    async def bidi(self, stream: Any) -> None:
        async for message in stream:
            await stream.send_message(message)

    async def unary(self, stream: Any) -> None:
        await stream.send_message(await stream.recv_message())

    async def join(self, stream: Any) -> None:
        welcome = await stream.recv_message()
        self._joined.add(stream)
        try:
            await stream.send_message(welcome)
            await stream.recv_message()
        finally:
            self._joined.discard(stream)

    async def publish(self, stream: Any) -> None:
        async for message in stream:
            for peer in tuple(self._joined):
                await peer.send_message(message)
            await stream.send_message(message)

    def __mapping__(self) -> dict[str, Any]:
        from grpclib.const import Cardinality, Handler

        methods = {METHOD: self.bidi, "Unary": self.unary, "Join": self.join, "Publish": self.publish}
        kinds = {"Unary": Cardinality.UNARY_UNARY}
        return {
            f"/{SERVICE}/{name}": Handler(method, kinds.get(name, Cardinality.STREAM_STREAM), BytesValue, BytesValue)
            for name, method in methods.items()
        }


def grpclib() -> None:
    from grpclib.server import Server

    async def main() -> None:
        server = Server([_Grpclib()])
        await server.start("127.0.0.1", 0)
        listening: Any = server._server
        ready(listening.sockets[0].getsockname()[1])
        await server.wait_closed()

    asyncio.run(main())
