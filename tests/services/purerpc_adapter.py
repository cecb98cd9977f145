"""RideStreamService under stock `purerpc.Server`: our services are purerpc services.

purerpc knows handlers that are async generators. Ours is a coroutine that takes a call, so the adapter is a generator
that makes a call of what purerpc gives it, runs the coroutine in a nursery that it was handed (trio forbids a `yield`
inside one of its own), and yields what the coroutine's source has to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import purerpc
import trio

from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceServicer
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.services import RideStreamService

Sink = Callable[[ClientEnvelope | None], bool]


class AdapterCall:
    """A `RideCall` on purerpc's message iterator."""

    def __init__(self, messages: AsyncIterator[ClientEnvelope], metadata: Any) -> None:
        self.subject: str | None = None
        self._messages = messages
        self._metadata = metadata
        self._sink: Sink | None = None
        self._pull: Callable[[], bytes] | None = None
        self._changed = trio.Event()
        self._ready = trio.Event()
        self._empty = trio.Event()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self._metadata if key == name), None)

    async def start(self) -> None:
        """purerpc has sent its headers."""

    def set_sink(self, sink: Sink) -> None:
        self._sink = sink
        self.resume()

    def set_source(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull

    def wake_source(self) -> None:
        self._empty = trio.Event()
        self._ready.set()

    def resume(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def drain_source(self) -> None:
        """purerpc's generators send one message at a time: there is nothing to be had at once."""

    async def flush_source(self) -> None:
        if self._ready.is_set():
            await self._empty.wait()

    async def read(self) -> None:
        """Hand every message to the sink, and its end."""
        async for message in self._messages:
            await self._offer(message)
        await self._offer(None)

    async def _offer(self, message: ClientEnvelope | None) -> None:
        while self._sink is None or not self._sink(message):
            await self._changed.wait()

    async def next(self) -> ServerEnvelope:
        """What the source says next."""
        while True:
            await self._ready.wait()
            data = self._pull() if self._pull else None
            if data is not None:
                self.resume()
                return ServerEnvelope.FromString(data)
            self._ready = trio.Event()
            self._empty.set()


class PurerpcRideStreamService(RideStreamServiceServicer):
    """What is added to a `purerpc.Server`.

    Args:
        service: ours.
        nursery: runs its coroutines.
    """

    def __init__(self, service: RideStreamService, nursery: trio.Nursery) -> None:
        self._service = service
        self._nursery = nursery

    async def Connect(self, messages: AsyncIterator[ClientEnvelope], request: Any) -> AsyncIterator[ServerEnvelope]:
        call = AdapterCall(messages, request.custom_metadata)
        send, receive = trio.open_memory_channel[ServerEnvelope | purerpc.RpcFailedError](0)
        self._nursery.start_soon(self._run, call, send)
        async for item in receive:
            if isinstance(item, purerpc.RpcFailedError):
                raise item
            yield item

    async def _run(
        self, call: AdapterCall, send: trio.MemorySendChannel[ServerEnvelope | purerpc.RpcFailedError]
    ) -> None:
        async with send:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call.read)
                    nursery.start_soon(self._write, call, send)
                    await self._service.Connect(call)
                    nursery.cancel_scope.cancel()
            except* purerpc.RpcFailedError as group:
                failure = group.exceptions[0]
                assert isinstance(failure, purerpc.RpcFailedError)
                await send.send(failure)

    async def _write(
        self, call: AdapterCall, send: trio.MemorySendChannel[ServerEnvelope | purerpc.RpcFailedError]
    ) -> None:
        while True:
            await send.send(await call.next())
