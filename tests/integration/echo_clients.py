"""The same conversation with the echo service, by each foreign client library.

Each function runs in a thread of its own (grpc-js: a process) and returns what it has seen, in the same form:

    unary, split, join, echo   the answers
    large                      the length of the answer to a message of 3 MB, on a stream
    initial, trailing          the metadata of the answer that the tests care about
    not_found, fails, unimplemented, deadline   a status: name and message
    cancelled                  the name of the status that a cancelled call ends with
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import BytesValue
from grpclib.client import Channel as GrpclibChannel
from grpclib.const import Cardinality
from grpclib.exceptions import GRPCError

NAME = "test.Echo"
LARGE = bytes(3_000_000)
METADATA = (("user-id", "rider 7"), ("trace-bin", b"\0\xff"))
# Seconds. Far more than any of it takes; a test that hangs shall fail.
PATIENCE_S = 20.0
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def value(data: bytes) -> BytesValue:
    return BytesValue(value=data)


def method(channel: Any, kind: str, name: str) -> Any:
    """A grpcio multi-callable."""
    make = getattr(channel, kind)
    return make(
        f"/{NAME}/{name}", request_serializer=BytesValue.SerializeToString, response_deserializer=BytesValue.FromString
    )


def status(error: grpc.RpcError) -> tuple[str, str]:
    return error.code().name, error.details()  # type: ignore[attr-defined]


# ---------------------------------------------------------------- grpcio, threads


def grpcio(port: int) -> dict[str, Any]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        kinds = {kind: lambda name, kind=kind: method(channel, kind, name) for kind in KINDS}
        unary, split = kinds["unary_unary"], kinds["unary_stream"]
        join, echo = kinds["stream_unary"], kinds["stream_stream"]
        letters = [value(b"a"), value(b"b")]
        seen: dict[str, Any] = {
            "unary": unary("unary")(value(b"x"), timeout=PATIENCE_S).value,
            "split": [m.value for m in split("split")(value(b"abc"), timeout=PATIENCE_S)],
            "join": join("join")(iter(letters), timeout=PATIENCE_S).value,
            "echo": _grpcio_ping_pong(echo("echo")),
            "large": len(next(echo("echo")(iter([value(LARGE)]), timeout=PATIENCE_S)).value),
        }
        call = echo("meta")(iter(letters), metadata=METADATA, timeout=PATIENCE_S)
        seen["initial"] = _chosen(call.initial_metadata())
        list(call)
        seen["trailing"] = _chosen(call.trailing_metadata())
        for key, name in (("not_found", "not_found"), ("fails", "fails"), ("unimplemented", "no_such")):
            seen[key] = _grpcio_status(unary(name), PATIENCE_S)
        seen["deadline"] = _grpcio_status(unary("slow"), 0.2)
        call = echo("hangs")(iter(letters), timeout=PATIENCE_S)
        call.cancel()
        seen["cancelled"] = call.code().name
        seen["gzip"] = _grpcio_status(unary("unary"), PATIENCE_S, compression=grpc.Compression.Gzip)
        return seen


def _grpcio_ping_pong(echo: Any) -> list[bytes]:
    """Each message is answered before the next is sent."""
    requests: queue.Queue[BytesValue | None] = queue.Queue()
    answers = echo(iter(requests.get, None), timeout=PATIENCE_S)
    seen = []
    for letter in (b"a", b"b", b"c"):
        requests.put(value(letter))
        seen.append(next(answers).value)
    requests.put(None)
    assert list(answers) == []
    return seen


def _grpcio_status(unary: Any, timeout_s: float, **options: Any) -> tuple[str, str]:
    try:
        unary(value(b"nobody" * (100 if options else 1)), timeout=timeout_s, **options)
    except grpc.RpcError as error:
        return status(error)
    return "OK", ""


def _chosen(metadata: Any) -> dict[str, Any]:
    return {name: data for name, data in metadata or () if name.startswith("echo-")}


# ---------------------------------------------------------------- grpcio, asyncio


def grpcio_aio(port: int) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(_grpcio_aio(port), PATIENCE_S))


async def _grpcio_aio(port: int) -> dict[str, Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        letters = [value(b"a"), value(b"b")]
        echo = method(channel, "stream_stream", "echo")
        seen: dict[str, Any] = {
            "unary": (await method(channel, "unary_unary", "unary")(value(b"x"))).value,
            "split": [m.value async for m in method(channel, "unary_stream", "split")(value(b"abc"))],
            "join": (await method(channel, "stream_unary", "join")(_each(letters))).value,
            "echo": await _grpcio_aio_ping_pong(echo),
            "large": len((await anext(aiter(echo(_each([value(LARGE)]))))).value),
        }
        call = method(channel, "stream_stream", "meta")(_each(letters), metadata=METADATA)
        seen["initial"] = _chosen(await call.initial_metadata())
        assert len([m async for m in call]) == 2
        seen["trailing"] = _chosen(await call.trailing_metadata())
        for key, name in (("not_found", "not_found"), ("fails", "fails"), ("unimplemented", "no_such")):
            seen[key] = await _grpcio_aio_status(method(channel, "unary_unary", name), PATIENCE_S)
        seen["deadline"] = await _grpcio_aio_status(method(channel, "unary_unary", "slow"), 0.2)
        call = method(channel, "stream_stream", "hangs")()
        await call.write(value(b"x"))
        call.cancel()
        seen["cancelled"] = (await call.code()).name
        return seen


async def _each(messages: list[BytesValue]) -> AsyncIterator[BytesValue]:
    for message in messages:
        yield message


async def _grpcio_aio_ping_pong(echo: Any) -> list[bytes]:
    call = echo()
    seen = []
    for letter in (b"a", b"b", b"c"):
        await call.write(value(letter))
        seen.append((await call.read()).value)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    return seen


async def _grpcio_aio_status(unary: Any, timeout_s: float) -> tuple[str, str]:
    try:
        await unary(value(b"nobody"), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return status(error)
    return "OK", ""


# ---------------------------------------------------------------- grpclib


def grpclib(port: int) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(_grpclib(port), PATIENCE_S))


async def _grpclib(port: int) -> dict[str, Any]:
    async with GrpclibChannel("127.0.0.1", port) as channel:
        letters = [value(b"a"), value(b"b")]
        seen: dict[str, Any] = {
            "unary": (await _grpclib_ask(channel, "unary", value(b"x")))[0],
            "split": await _grpclib_ask(channel, "split", value(b"abc")),
            "join": (await _grpclib_ask(channel, "join", *letters))[0],
            "echo": await _grpclib_ask(channel, "echo", value(b"a"), value(b"b"), value(b"c")),
            "large": len((await _grpclib_ask(channel, "echo", value(LARGE)))[0]),
        }
        async with _grpclib_open(channel, "meta", metadata=METADATA) as stream:
            await stream.send_message(value(b"a"), end=True)
            await stream.recv_initial_metadata()
            seen["initial"] = _chosen(stream.initial_metadata.items())
            assert await stream.recv_message() == value(b"a")
            assert await stream.recv_message() is None
            await stream.recv_trailing_metadata()
            seen["trailing"] = _chosen(stream.trailing_metadata.items())
        for key, name in (("not_found", "not_found"), ("fails", "fails"), ("unimplemented", "no_such")):
            seen[key] = await _grpclib_status(channel, name)
        seen["deadline"] = await _grpclib_status(channel, "slow", timeout=0.2)
        async with _grpclib_open(channel, "hangs") as stream:
            await stream.send_message(value(b"x"))
            await stream.cancel()
        seen["cancelled"] = "CANCELLED"  # its own cancelled streams have no status
        return seen


def _grpclib_open(channel: GrpclibChannel, name: str, **options: Any) -> Any:
    return channel.request(f"/{NAME}/{name}", Cardinality.STREAM_STREAM, BytesValue, BytesValue, **options)


async def _grpclib_ask(channel: GrpclibChannel, name: str, *requests: BytesValue, **options: Any) -> list[bytes]:
    async with _grpclib_open(channel, name, **options) as stream:
        for request in requests:
            await stream.send_message(request, end=request is requests[-1])
        return [message.value async for message in stream]


async def _grpclib_status(channel: GrpclibChannel, name: str, **options: Any) -> tuple[str, str]:
    try:
        await _grpclib_ask(channel, name, value(b"nobody"), **options)
    except GRPCError as error:
        return error.status.name, error.message or ""
    except TimeoutError:
        return "DEADLINE_EXCEEDED", "by the client's own clock"
    return "OK", ""


# ---------------------------------------------------------------- grpc-js


def grpc_js(port: int, node_modules: str) -> dict[str, Any]:
    """The same in node; bytes come back as hexadecimal digits."""
    script = Path(__file__).with_name("echo_client.js")
    done = subprocess.run(
        ["node", str(script), str(port)],
        env={**os.environ, "NODE_PATH": node_modules},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    seen: dict[str, Any] = json.loads(done.stdout)
    for key in ("unary", "join"):
        seen[key] = bytes.fromhex(seen[key])
    for key in ("split", "echo"):
        seen[key] = [bytes.fromhex(item) for item in seen[key]]
    return seen


def names(seen: dict[str, Any]) -> Iterator[str]:
    """The statuses' names."""
    return (seen[key][0] for key in ("not_found", "fails", "unimplemented", "deadline"))
