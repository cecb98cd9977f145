"""The same echo service under each engine, one a process.

    python -m ride_trio_loadgen.bench.echo_servers ENGINE

prints its port and answers the questions of `questions.py`.
The bidi method is `/bench.Echo/Bidi`, messages are google.protobuf.BytesValue.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from google.protobuf.wrappers_pb2 import BytesValue

from ride_trio_loadgen.bench.questions import ready

SERVICE: Final = "bench.Echo"
METHOD: Final = "Bidi"
PATH: Final = f"/{SERVICE}/{METHOD}"


def _purerpc_service(handler: Callable[..., Any]) -> Any:
    import purerpc

    service = purerpc.Service(SERVICE)
    signature = purerpc.RPCSignature(purerpc.Cardinality.STREAM_STREAM, BytesValue, BytesValue)
    service.add_method(METHOD, handler, signature)
    return service


async def _coroutine(call: Any) -> None:
    async for message in call:
        await call.send(message)


async def _generator(messages: Any) -> AsyncIterator[Any]:
    async for message in messages:
        yield message


def _run_trio(server: Any) -> None:
    import trio

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            ready(await nursery.start(server.serve_async))

    trio.run(main)


def ride_trio(handler: Callable[..., Any] = _coroutine) -> None:
    from ride_trio.rpc import Server

    server = Server(0, host="127.0.0.1")
    server.add_service(_purerpc_service(handler))
    _run_trio(server)


def ride_trio_generator() -> None:
    ride_trio(_generator)


def purerpc() -> None:
    import logging

    import purerpc

    logging.disable(logging.CRITICAL)
    server = purerpc.Server(0)
    server.add_service(_purerpc_service(_generator))
    _run_trio(server)


def serve_grpc_aio(service: str, method: str, handler: Callable[..., Any], request: Any, response: Any) -> None:
    """Serve one bidi method with grpc.aio until the process is killed."""
    import asyncio

    import grpc

    async def main() -> None:
        server = grpc.aio.server()
        bidi = grpc.stream_stream_rpc_method_handler(handler, request.FromString, response.SerializeToString)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: bidi}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready(port)
        await server.wait_for_termination()

    asyncio.run(main())


def grpc_aio() -> None:
    async def bidi(requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for message in requests:
            yield message

    serve_grpc_aio(SERVICE, METHOD, bidi, BytesValue, BytesValue)


def grpclib() -> None:
    import asyncio

    import grpclib.const
    import grpclib.server

    class Echo:
        async def bidi(self, stream: Any) -> None:
            async for message in stream:
                await stream.send_message(message)

        def __mapping__(self) -> dict[str, Any]:
            kind = grpclib.const.Cardinality.STREAM_STREAM
            return {PATH: grpclib.const.Handler(self.bidi, kind, BytesValue, BytesValue)}

    async def main() -> None:
        server = grpclib.server.Server([Echo()])
        await server.start("127.0.0.1", 0)
        listening: Any = server._server
        ready(listening.sockets[0].getsockname()[1])
        await server.wait_closed()

    asyncio.run(main())


ENGINES: Final[dict[str, Callable[[], None]]] = {
    "ride-trio (coroutine)": ride_trio,
    "ride-trio (generator)": ride_trio_generator,
    "grpc.aio": grpc_aio,
    "grpclib": grpclib,
    "purerpc": purerpc,
}

if __name__ == "__main__":
    ENGINES[sys.argv[1]]()
