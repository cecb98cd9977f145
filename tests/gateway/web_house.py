"""The ride service behind `/ws`, with clients of trio-websocket and of gRPC, without a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio
from google.protobuf.json_format import MessageToJson, Parse
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from ride_trio.gateway import Access, HttpServer, Keepalive, WebSockets
from ride_trio.gateway.websocket_call import WebSocketCall
from ride_trio.metrics import HttpMetrics
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.services import RideStream
from tests.services.house import House

JSON, BINARY = "ride.v1.json", "ride.v1.proto"


class WebClient:
    """A client of trio-websocket that speaks envelopes."""

    def __init__(self, socket: WebSocketConnection, subprotocol: str | None) -> None:
        self.socket = socket
        self._binary = subprotocol == BINARY

    async def say(self, *envelopes: ClientEnvelope) -> None:
        for envelope in envelopes:
            data = envelope.SerializeToString() if self._binary else MessageToJson(envelope, indent=None)
            await self.socket.send_message(data)
        await wait_all_tasks_blocked()

    async def hear(self, body: str | None = None) -> ServerEnvelope:
        """The next envelope, or the next one with this body."""
        while True:
            message = await self.socket.get_message()
            assert isinstance(message, bytes) == self._binary
            envelope = (
                ServerEnvelope.FromString(message) if isinstance(message, bytes) else Parse(message, ServerEnvelope())
            )
            if body is None or envelope.WhichOneof("body") == body:
                return envelope

    async def closed(self) -> tuple[int, str]:
        """The close code and reason, after all that comes before."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.get_message()
        assert self.socket.closed is not None
        return self.socket.closed.code, self.socket.closed.reason or ""


class WebHouse(House):
    """A house with a second door.

    Args:
        nursery: as for `House`, and for the clients.
        access: who may look; by default, all on this machine.
        caller: knows callers' tokens.
        keepalive: pings; by default, none within a test.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        access: Access | None = None,
        caller: Callable[[str], str] | None = None,
        keepalive: Keepalive | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(nursery, **settings)
        self.http_metrics = HttpMetrics()
        self.websockets = WebSockets(
            self._open_session,
            access or Access(local=True),
            caller,
            keepalive or Keepalive(1e6, 10.0),
            self.http_metrics,
        )
        self.server = HttpServer(self.websockets.answer, self.http_metrics)

    def _open_session(self, call: WebSocketCall, user_id: str | None, may_observe: bool) -> RideStream:
        return RideStream(self.context, call, user_id, "websocket", may_observe=may_observe)

    async def open_stream(self, slow: bool = False) -> trio.abc.Stream:
        """A connection. On a slow one every write waits until it is read."""
        pair: tuple[trio.abc.Stream, trio.abc.Stream] = lockstep_stream_pair() if slow else memory_stream_pair()
        ours, theirs = pair
        self._nursery.start_soon(self.server.serve_stream, theirs)
        await wait_all_tasks_blocked()
        return ours

    async def web(
        self,
        user_id: str | None = None,
        *first: ClientEnvelope,
        subprotocol: str | None = JSON,
        slow: bool = False,
        **headers: str,
    ) -> WebClient:
        """Open a WebSocket and say the first things. Headers: underscores are dashes."""
        query = f"?user_id={user_id}" if user_id is not None else ""
        extra = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        socket = await wrap_client_stream(
            self._nursery,
            await self.open_stream(slow),
            "localhost",
            f"/ws{query}",
            subprotocols=[subprotocol] if subprotocol else [],
            extra_headers=extra,
        )
        client = WebClient(socket, subprotocol)
        await wait_all_tasks_blocked()
        await client.say(*first)
        return client

    async def handshake(self, stream: trio.abc.Stream, target: str = "/ws", *headers: str) -> bytes:
        """Ask for a WebSocket by hand; the answer, as far as it has come."""
        lines = (
            f"GET {target} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
            *headers,
        )
        await stream.send_all("\r\n".join((*lines, "", "")).encode())
        answer = bytes(await stream.receive_some())
        await wait_all_tasks_blocked()
        return answer
