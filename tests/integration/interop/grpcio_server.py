"""gRPC's TestService on grpcio's server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from tests.integration.interop import messages as m


def _begin(context: Any, *, compressed: bool = False) -> None:
    if compressed:
        context.set_compression(grpc.Compression.Gzip)
    metadata = tuple(context.invocation_metadata())
    found = [row for row in metadata if row[0] == m.ECHO_INITIAL]
    if found:
        context.send_initial_metadata(found)
    context.set_trailing_metadata([row for row in metadata if row[0] == m.ECHO_TRAILING])


def _abort_if_asked(request: Any, context: Any) -> None:
    if request.response_status.code:
        code = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def _empty(request: Any, context: Any) -> Any:
    _begin(context)
    return m.Empty()


def _unary(request: Any, context: Any) -> Any:
    _begin(context, compressed=request.response_compressed.value)
    _abort_if_asked(request, context)
    return m.SimpleResponse(payload=m.Payload(body=bytes(request.response_size)))


def _answer(request: Any, context: Any) -> Iterator[Any]:
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield m.OutputResponse(payload=m.Payload(body=bytes(wanted.size)))


def _output(request: Any, context: Any) -> Iterator[Any]:
    _begin(context, compressed=any(wanted.compressed.value for wanted in request.response_parameters))
    yield from _answer(request, context)


def _input(requests: Iterator[Any], context: Any) -> Any:
    _begin(context)
    return m.InputResponse(aggregated_payload_size=sum(len(request.payload.body) for request in requests))


def _duplex(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    _begin(context)
    for request in requests:
        _abort_if_asked(request, context)
        yield from _answer(request, context)


HANDLERS: dict[str, Callable[..., Any]] = {
    "EmptyCall": _empty,
    "UnaryCall": _unary,
    "StreamingOutputCall": _output,
    "StreamingInputCall": _input,
    "FullDuplexCall": _duplex,
}


@contextmanager
def grpcio_server() -> Iterator[int]:
    """TestService on a port of this machine, in threads."""
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {}
    for name, handler in HANDLERS.items():
        request, response, many_in, many_out = m.METHODS[name]
        kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}_rpc_method_handler"
        handlers[name] = getattr(grpc, kind)(handler, request.FromString, response.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(m.SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None)
