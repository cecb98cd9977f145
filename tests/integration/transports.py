"""Clients of the ride service that differ in nothing but what carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import purerpc
import trio
from google.protobuf.json_format import MessageToJson, Parse
from trio_websocket import ConnectionClosed, open_websocket_url

from ride_trio.app import Bound
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.rpc import Channel

TRANSPORTS: Final = ("grpc", "ride.v1.json", "ride.v1.proto")


class Client(Protocol):
    """One session, seen from outside."""

    async def say(self, *envelopes: ClientEnvelope) -> None: ...
    async def say_bytes(self, data: bytes) -> None:
        """Something that is no envelope."""

    async def receive(self) -> ServerEnvelope:
        """The next envelope. Raises EndedError after the last one."""


class EndedError(Exception):
    """The session is over; the text is the code of why, empty for none."""


async def hear(client: Client, body: str) -> ServerEnvelope:
    """The next envelope with this body."""
    while (envelope := await client.receive()).WhichOneof("body") != body:
        pass
    return envelope


async def ending(client: Client) -> str:
    """The code that it ends with."""
    try:
        while True:
            await client.receive()
    except EndedError as error:
        return str(error)


class GrpcClient:
    """Over our own channel."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def say(self, *envelopes: ClientEnvelope) -> None:
        for envelope in envelopes:
            await self._call.send(envelope)

    async def say_bytes(self, data: bytes) -> None:
        await self._call.send_encoded(data)

    async def receive(self) -> ServerEnvelope:
        try:
            envelope: ServerEnvelope | None = await self._call.receive()
        except purerpc.RpcFailedError as error:
            raise EndedError(error.status.status_message.partition(":")[0]) from None
        if envelope is None:
            raise EndedError("")
        return envelope


class WebClient:
    """Over trio-websocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._binary = socket.subprotocol == "ride.v1.proto"

    async def say(self, *envelopes: ClientEnvelope) -> None:
        for envelope in envelopes:
            await self._socket.send_message(envelope.SerializeToString() if self._binary else MessageToJson(envelope))

    async def say_bytes(self, data: bytes) -> None:
        await self._socket.send_message(data)

    async def receive(self) -> ServerEnvelope:
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as closed:
            raise EndedError((closed.reason.reason or "").partition(":")[0]) from None
        return ServerEnvelope.FromString(message) if self._binary else Parse(message, ServerEnvelope())


@asynccontextmanager
async def connected(transport: str, bound: Bound, user_id: str) -> AsyncIterator[Client]:
    """A session while the block runs; what it is asked meanwhile has to come soon."""
    metadata = (("user-id", user_id),)
    if transport == "grpc":
        async with (
            Channel("127.0.0.1", bound.grpc.port) as channel,
            channel.open(
                "/ride.v1.RideStreamService/Connect", ClientEnvelope, ServerEnvelope, metadata=metadata
            ) as call,
        ):
            yield GrpcClient(call)
            call.cancel()
    else:
        url = f"ws://{bound.http}/ws?user_id={user_id}"
        async with open_websocket_url(url, subprotocols=[transport], disconnect_timeout=1) as socket:
            yield WebClient(socket)
            await trio.lowlevel.checkpoint()
