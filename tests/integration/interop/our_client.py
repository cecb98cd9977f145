"""The cases, played by our channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import purerpc
import pytest
import trio

from ride_trio.rpc import Channel
from tests.integration.interop import messages as m
from tests.integration.interop.grpcio_client import (
    LARGE_REQUEST,
    LARGE_RESPONSE,
    SIZES_IN,
    SIZES_OUT,
    SPECIAL,
    _asking,
    payload,
)


def call(channel: Channel, name: str, **options: Any) -> Any:
    request, response, _, _ = m.METHODS[name]
    return channel.open(f"/{m.SERVICE}/{name}", request, response, **options)


async def ask(channel: Channel, name: str, *requests: Any, **options: Any) -> list[Any]:
    """Send all, half-close, and read to the end. Raises the status."""
    async with call(channel, name, **options) as open_call:
        for request in requests:
            await open_call.send(request)
        await open_call.done_sending()
        return [reply async for reply in open_call]


async def empty_unary(channel: Channel) -> None:
    assert await ask(channel, "EmptyCall", m.Empty()) == [m.Empty()]


async def large_unary(channel: Channel) -> None:
    request = m.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    (reply,) = await ask(channel, "UnaryCall", request)
    assert reply.payload.body == bytes(LARGE_RESPONSE)


async def client_streaming(channel: Channel) -> None:
    (reply,) = await ask(channel, "StreamingInputCall", *[m.InputRequest(payload=payload(size)) for size in SIZES_IN])
    assert reply.aggregated_payload_size == sum(SIZES_IN)


async def server_streaming(channel: Channel) -> None:
    replies = await ask(channel, "StreamingOutputCall", _asking(*SIZES_OUT))
    assert [len(reply.payload.body) for reply in replies] == list(SIZES_OUT)


async def ping_pong(channel: Channel) -> None:
    async with call(channel, "FullDuplexCall") as open_call:
        for size_in, size_out in zip(SIZES_IN, SIZES_OUT, strict=True):
            request = _asking(size_out)
            request.payload.body = bytes(size_in)
            await open_call.send(request)
            assert len((await open_call.receive()).payload.body) == size_out
        await open_call.done_sending()
        assert await open_call.receive() is None


async def empty_stream(channel: Channel) -> None:
    assert await ask(channel, "FullDuplexCall") == []


async def timeout_on_sleeping_server(channel: Channel) -> None:
    with pytest.raises(purerpc.DeadlineExceededError):
        await ask(channel, "FullDuplexCall", _asking(1, interval_us=500_000), timeout_s=0.05)


async def cancel_after_begin(channel: Channel) -> None:
    async with call(channel, "StreamingInputCall") as open_call:
        open_call.cancel()
    assert open_call.status.status_code is purerpc.StatusCode.CANCELLED


async def cancel_after_first_response(channel: Channel) -> None:
    async with call(channel, "FullDuplexCall") as open_call:
        await open_call.send(_asking(31_415))
        assert len((await open_call.receive()).payload.body) == 31_415
        open_call.cancel()
    assert open_call.status.status_code is purerpc.StatusCode.CANCELLED


async def _status(channel: Channel, code: int, text: str) -> None:
    wanted = m.EchoStatus(code=code, message=text)
    for name, request in (
        ("UnaryCall", m.SimpleRequest(response_status=wanted)),
        ("FullDuplexCall", m.OutputRequest(response_status=wanted)),
    ):
        with pytest.raises(purerpc.UnknownError) as caught:
            await ask(channel, name, request)
        assert caught.value.status.status_message == text


async def status_code_and_message(channel: Channel) -> None:
    await _status(channel, 2, "test status message")


async def special_status_message(channel: Channel) -> None:
    await _status(channel, 2, SPECIAL)


async def _missing(channel: Channel, path: str) -> None:
    async with channel.open(path, m.Empty, m.Empty) as open_call:
        await open_call.send(m.Empty())
        with pytest.raises(purerpc.UnimplementedError):
            await open_call.receive()


async def unimplemented_method(channel: Channel) -> None:
    await _missing(channel, f"/{m.SERVICE}/UnimplementedCall")


async def unimplemented_service(channel: Channel) -> None:
    await _missing(channel, "/grpc.testing.UnimplementedService/UnimplementedCall")


async def custom_metadata(channel: Channel) -> None:
    metadata = ((m.ECHO_INITIAL, "test_initial_metadata_value"), (m.ECHO_TRAILING, b"\xab\xab\xab"))
    for name, request in (("UnaryCall", m.SimpleRequest(response_size=1)), ("FullDuplexCall", _asking(1))):
        async with call(channel, name, metadata=metadata) as open_call:
            await open_call.send(request)
            await open_call.done_sending()
            assert len([reply async for reply in open_call]) == 1
        assert metadata[0] in open_call.initial_metadata
        assert metadata[1] in open_call.trailing_metadata


async def client_compressed_unary(channel: Channel) -> None:
    request = m.SimpleRequest(response_size=1, payload=payload(LARGE_REQUEST))
    assert len(await ask(channel, "UnaryCall", request, compression="gzip")) == 1
    assert len(await ask(channel, "UnaryCall", request)) == 1


async def server_compressed_unary(channel: Channel) -> None:
    for compressed in (True, False):
        wanted = m.SimpleRequest(response_compressed=m.BoolValue(value=compressed), response_size=LARGE_RESPONSE)
        async with call(channel, "UnaryCall") as open_call:
            await open_call.send(wanted)
            await open_call.done_sending()
            reply = await open_call.receive()
            assert reply.payload.body == bytes(LARGE_RESPONSE)
            assert open_call.received_compressed is compressed


async def client_compressed_streaming(channel: Channel) -> None:
    async with call(channel, "StreamingInputCall", compression="gzip") as open_call:
        await open_call.send(m.InputRequest(payload=payload(27_182)))
        await open_call.send(m.InputRequest(payload=payload(45_904)), compress=False)
        await open_call.done_sending()
        assert (await open_call.receive()).aggregated_payload_size == 73_086


async def server_compressed_streaming(channel: Channel) -> None:
    request = _asking(31_415, compressed=m.BoolValue(value=True))
    request.response_parameters.add(size=92_653)
    async with call(channel, "StreamingOutputCall") as open_call:
        await open_call.send(request)
        await open_call.done_sending()
        seen = [(len(reply.payload.body), open_call.received_compressed) async for reply in open_call]
    assert seen == [(31_415, True), (92_653, False)]


CASES: dict[str, Callable[[Channel], Awaitable[None]]] = {
    case.__name__: case
    for case in (
        empty_unary, large_unary, client_streaming, server_streaming, ping_pong, empty_stream,
        timeout_on_sleeping_server, cancel_after_begin, cancel_after_first_response, status_code_and_message,
        special_status_message, unimplemented_method, unimplemented_service, custom_metadata, client_compressed_unary,
        server_compressed_unary, client_compressed_streaming, server_compressed_streaming,
    )
}  # fmt: skip
COMPRESSED: dict[str, tuple[list[bool], list[bool]]] = {
    "client_compressed_unary": ([True, False], [False, False]),
    "server_compressed_unary": ([False, False], [True, False]),
    "client_compressed_streaming": ([True, False], [False]),
    "server_compressed_streaming": ([False], [True, False]),
}


async def play(port: int, name: str) -> None:
    """One case against a server on this machine."""
    with trio.fail_after(20):
        async with Channel("127.0.0.1", port) as channel:
            await CASES[name](channel)
