"""A connection on the server: starts a task for each call, and ends them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import purerpc
import trio

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.call import Call
from ride_trio.rpc.keepalive import Keepalive, keep_alive
from ride_trio.rpc.link import Link
from ride_trio.rpc.method import Method
from ride_trio.rpc.transport import LINGER_S, Transport
from ride_trio.wire import ErrorCode, Limits, ServerConnection
from ride_trio.wire.events import ConnectionEnded, Event, RequestReceived, RequestRefused, StreamReset
from ride_trio.wire.headers import response_block, trailers_block
from ride_trio.wire.states import Input, State
from ride_trio.wire.stream import Stream

log = logging.getLogger(__name__)

_INVALID_ARGUMENT = 3
_UNIMPLEMENTED = 12


class ServerLink(Link):
    """See the module's text.

    Args:
        transport: The accepted connection.
        methods: By request path; may grow while the connection lives.
        services: Their names, to tell an unknown method from an unknown service.
        metrics: The server's.
        limits: The server's.
        keepalive: When to ping a quiet client.
    """

    def __init__(
        self,
        transport: Transport,
        methods: Mapping[str, Method],
        services: frozenset[str],
        metrics: EngineMetrics,
        limits: Limits,
        keepalive: Keepalive,
    ) -> None:
        super().__init__(ServerConnection(limits), transport, metrics.bytes_in, metrics.bytes_out, metrics.stalls)
        self._methods = methods
        self._services = services
        self._metrics = metrics
        self._keepalive = keepalive
        self._calls: dict[int, Call[Any, Any]] = {}
        # Handlers of reset streams that still clean up count, too: or a client that opens and resets, again and again,
        # would pile them up (CVE-2023-44487). Twice, because one that is at its limit may end and begin many at once.
        self._max_calls = 2 * limits.max_concurrent_streams
        self._draining = False
        self._idle = trio.Event()
        self._ended = trio.Event()

    def started(self) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(keep_alive, self, self._keepalive)

    @property
    def calls(self) -> int:
        """Calls whose handlers run."""
        return len(self._calls)

    def on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(stream, head):
                method = self._methods.get(head.path)
                if len(self._calls) >= self._max_calls:
                    self.wire.reset(stream, ErrorCode.REFUSED_STREAM)
                elif method is None:
                    self._refuse(stream, _UNIMPLEMENTED, self._unknown(head.path))
                else:
                    self._start_call(Call(self, stream, head, method))
            case RequestRefused(stream, reason):
                self._refuse(stream, _INVALID_ARGUMENT, reason)
            case StreamReset(stream):
                call = self._calls.get(stream.id)
                if call is not None:
                    call.scope.cancel()
                    call.on_closed()
            case ConnectionEnded(fault):
                self._metrics.connection_errors(fault.code.name).n += 1
                self.log_fault(event)
            case _:
                pass

    def _start_call(self, call: Call[Any, Any]) -> None:
        self._calls[call.stream.id] = call
        assert self.nursery is not None
        self.nursery.start_soon(self._run_call, call, name=call.head.path)

    async def _run_call(self, call: Call[Any, Any]) -> None:
        try:
            await call.run()
        except* Exception as group:  # a fault of ours: it costs this call, no other and not the connection
            log.error("call %r failed", call, exc_info=group)
            self.reset(call.stream, ErrorCode.INTERNAL_ERROR)
        finally:
            del self._calls[call.stream.id]
            call.stream.owner = None  # a circle less for the garbage collector
            if self._draining and not self._calls:
                self._idle.set()

    def _unknown(self, path: str) -> str:
        service = path[1:].rpartition("/")[0]
        if service in self._services:
            return f"service {service!r} has no method {path.rpartition('/')[2]!r}"
        return f"there is no service {service!r} here"

    def _refuse(self, stream: Stream, code: int, message: str) -> None:
        """Answer with a status and no handler, unless the peer has reset the stream in the same breath."""
        if stream.state is State.CLOSED:
            return
        self.outbound.end(stream, response_block() + trailers_block(code, message))
        self.wire.forget_if_closed(stream)
        if not stream.remote_ended:
            self.wire.reset(stream, ErrorCode.NO_ERROR)

    async def drain(self) -> None:
        """Say GOAWAY, let the calls finish, then close. Returns when the last call is over."""
        self._draining = True
        self.wire.goaway()
        self.mark()
        if self._calls:
            await self._idle.wait()
        await self.drained()
        if not self.over:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.transport.send_eof()
            with trio.move_on_after(LINGER_S):
                await self._ended.wait()
            self.close()

    def cancel_calls(self) -> None:
        """Cancel every handler: the grace time is over."""
        for call in list(self._calls.values()):
            call.fail(purerpc.UnavailableError("SHUTDOWN: the server is stopping"))

    def lost(self) -> None:
        """The streams are gone: what handlers still send goes nowhere, what they wait for does not come."""
        for call in self._calls.values():
            if call.stream.state is not State.CLOSED:
                call.stream.happened(Input.RECV_RST)
                self.outbound.drop_pending(call.stream)
            call.on_closed()
        self.wire.streams.clear()

    def ended(self, error: Exception | None) -> None:
        self._idle.set()
        self._ended.set()
