"""gRPC's TestService on our server."""

from __future__ import annotations

from typing import Any

import purerpc
import trio

from ride_trio.rpc import Server
from ride_trio.rpc.status import error_for
from tests.integration.interop import messages as m


async def _begin(call: Any, *, compressed: bool = False) -> None:
    """Headers and trailers echo what the case asks for."""
    if compressed:
        call.compression = "gzip"
    found = [(name, value) for name, value in call.metadata if name == m.ECHO_INITIAL]
    call.trailing_metadata = [(name, value) for name, value in call.metadata if name == m.ECHO_TRAILING]
    if found:
        await call.start(found)


def _check_compression(request: Any, call: Any) -> None:
    if request.HasField("expect_compressed") and request.expect_compressed.value != call.received_compressed:
        raise purerpc.InvalidArgumentError("the message is not compressed as it says it is")


def _raise_status(request: Any) -> None:
    if request.HasField("response_status") and request.response_status.code:
        raise error_for(request.response_status.code, request.response_status.message)


async def empty_call(message: Any, request: Any) -> Any:
    await _begin(request)
    return m.Empty()


async def unary_call(message: Any, request: Any) -> Any:
    _check_compression(message, request)
    await _begin(request, compressed=message.response_compressed.value)
    _raise_status(message)
    return m.SimpleResponse(payload=m.Payload(body=bytes(message.response_size)))


async def _answer(message: Any, call: Any) -> None:
    for wanted in message.response_parameters:
        await trio.sleep(wanted.interval_us / 1e6)
        reply = m.OutputResponse(payload=m.Payload(body=bytes(wanted.size)))
        await call.send(reply, compress=wanted.compressed.value)


async def streaming_output_call(message: Any, request: Any) -> None:
    await _begin(request, compressed=any(wanted.compressed.value for wanted in message.response_parameters))
    _raise_status(message)
    await _answer(message, request)


async def streaming_input_call(call: Any) -> Any:
    await _begin(call)
    size = 0
    async for message in call:
        _check_compression(message, call)
        size += len(message.payload.body)
    return m.InputResponse(aggregated_payload_size=size)


async def full_duplex_call(call: Any) -> None:
    await _begin(call)
    async for message in call:
        _raise_status(message)
        await _answer(message, call)


HANDLERS = {
    "EmptyCall": empty_call,
    "UnaryCall": unary_call,
    "StreamingOutputCall": streaming_output_call,
    "StreamingInputCall": streaming_input_call,
    "FullDuplexCall": full_duplex_call,
}


def our_server() -> Server:
    """TestService, listening nowhere yet."""
    service = purerpc.Service(m.SERVICE)
    for name, handler in HANDLERS.items():
        request, response, many_in, many_out = m.METHODS[name]
        kinds = {
            (False, False): purerpc.Cardinality.UNARY_UNARY,
            (False, True): purerpc.Cardinality.UNARY_STREAM,
            (True, False): purerpc.Cardinality.STREAM_UNARY,
            (True, True): purerpc.Cardinality.STREAM_STREAM,
        }
        service.add_method(name, handler, purerpc.RPCSignature(kinds[many_in, many_out], request, response))
    server = Server(0, host="127.0.0.1")
    server.add_service(service)
    return server
