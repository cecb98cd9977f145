"""What purerpc's generated stubs expect below them (its `GRPCProtoSocket` and `GRPCProtoStream`), over our channel.

purerpc's wrappers call `start_request(...)` and then, on what it returns, `send_message`, `close` (half-close),
`receive_message` (None at the end) and `end_stream_event`, which has to be purerpc's `ResponseEnded` for the status
to be raised. A call that is cancelled while it waits, or whose stream is dropped before its end, is reset: a stub has
no other way to say that it has lost interest.
"""

from __future__ import annotations

import datetime
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio
from google.protobuf.empty_pb2 import Empty
from purerpc import RpcFailedError
from purerpc.grpclib.events import ResponseEnded

from ride_trio.rpc.client_call import ClientCall

if TYPE_CHECKING:
    from ride_trio.rpc.channel import Channel


class StubStream:
    """One call of a stub."""

    def __init__(self, call: ClientCall[Any, Any]) -> None:
        self._call = call
        self.end_stream_event: ResponseEnded | None = None

    def __del__(self) -> None:
        # purerpc's generators, left early, drop their stream without a word. This may be any thread.
        if self._call.status is None:
            with suppress(trio.RunFinishedError):
                self._call.abandon()

    @property
    def stream_id(self) -> int:
        return self._call.stream.id

    def expect_message_type(self, message_type: Any) -> None:
        self._call.expect(message_type)

    @property
    def call(self) -> ClientCall[Any, Any]:
        """The call below: metadata, status, cancel."""
        return self._call

    async def send_message(self, message: Any) -> None:
        """Send; what comes after the call's end is dropped, because its status is on its way to the reader."""
        try:
            await self._call.send(message)
        except (RpcFailedError, trio.ClosedResourceError):
            return
        except trio.Cancelled:
            self._call.cancel()
            raise

    async def close(self) -> None:
        """Half-close."""
        await self._call.done_sending()

    async def receive_message(self) -> Any:
        """The next message, or None at the end; then `end_stream_event` carries the status."""
        try:
            message = await self._call.receive()
        except trio.Cancelled:
            self._call.cancel()
            raise
        except RpcFailedError as error:
            self.end_stream_event = ResponseEnded(self.stream_id, error.status)
            return None
        if message is None:
            self.end_stream_event = ResponseEnded(self.stream_id, self._call.status)
        return message


class StubSocket:
    """`Channel._grpc_socket`: starts calls for stubs."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def start_request(
        self,
        scheme: str,
        service_name: str,
        method_name: str,
        message_type: str | None = None,
        authority: str | None = None,
        timeout: datetime.timedelta | None = None,
        content_type_suffix: str = "",
        custom_metadata: Any = (),
    ) -> StubStream:
        """purerpc's signature; of its arguments method, timeout and metadata have an effect."""
        path = f"/{service_name}/{method_name}"
        timeout_s = None if timeout is None else timeout.total_seconds()
        call = self._channel.open(path, Empty, Empty, metadata=custom_metadata or (), timeout_s=timeout_s)
        await call.start()
        return StubStream(call)
