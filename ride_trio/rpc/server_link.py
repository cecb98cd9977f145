"""A connection on the server: starts a task for each call, and ends them."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import uniform
from typing import Any, Final, TypeVar

import purerpc
import trio

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.call import Call
from ride_trio.rpc.keepalive import JITTER, TOO_MANY_PINGS, Keepalive, PingStrikes, look_after
from ride_trio.rpc.link import Link
from ride_trio.rpc.method import Method
from ride_trio.rpc.prompt import PromptCall, is_prompt
from ride_trio.rpc.transport import LINGER_S, Transport
from ride_trio.wire import ConnectionFault, ErrorCode, Limits, ServerConnection
from ride_trio.wire.events import (
    ConnectionEnded,
    Event,
    PingAcknowledged,
    PingReceived,
    RequestReceived,
    RequestRefused,
    StreamReset,
)
from ride_trio.wire.frames import ping_frame
from ride_trio.wire.headers import response_block, trailers_block
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import CLOSED, RECV_RST
from ride_trio.wire.stream import Stream

log = logging.getLogger(__name__)

_CANCELLED = "CANCELLED"
_PERMISSION_DENIED = 7
_UNIMPLEMENTED = 12
# Stands among HTTP/2's error codes in the metric: the peer could not be told one.
_KEEPALIVE_TIMEOUT: Final = "KEEPALIVE_TIMEOUT"
# The ping behind the first GOAWAY: who answers it has read that, and begins no more calls.
_LAST_CALL: Final = b"lastcall"
# Calls of a lost connection that are cancelled in a turn: each is a handler that ends, 0.1 to 0.2 ms.
CANCELLED_AT_ONCE: Final = 2
# A round trip to the farthest client.
LAST_CALL_TIMEOUT_S: Final = 1.0

AnyCall = TypeVar("AnyCall", bound=Call[Any, Any])
# What runs a handler: it gets the call and the handler.
Around = Callable[[Call[Any, Any], Callable[[], Awaitable[None]]], Awaitable[None]]


class ServerLink(Link):
    """See the module's text.

    Args:
        transport: The accepted connection.
        methods: By request path; may grow while the connection lives.
        services: Their names, to tell an unknown method from an unknown service.
        metrics: The server's.
        limits: The server's.
        keepalive: When to ping a quiet client, and when to send one away.
        shared: What the server's connections share.
        around: What runs around every handler (see `interceptors`), if there is anything.
    """

    def __init__(
        self,
        transport: Transport,
        methods: Mapping[str, Method],
        services: frozenset[str],
        metrics: EngineMetrics,
        limits: Limits,
        keepalive: Keepalive,
        shared: Shared | None = None,
        around: Around | None = None,
    ) -> None:
        super().__init__(
            ServerConnection(limits, shared), transport, metrics.bytes_in, metrics.bytes_out, metrics.stalls
        )
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
        self._pong = trio.Event()
        self._strikes = PingStrikes(keepalive.min_ping_interval_s)
        self.around = around
        self.objection: str | None = None  # why this client gets no call through
        # Connections that came together are not given up together.
        self.tick_s = keepalive.handshake_timeout_s * uniform(1 - JITTER, 1)
        self.idle_since_s = trio.current_time()  # inf while there are calls

    def started(self) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(look_after, self, self._keepalive)

    @property
    def calls(self) -> int:
        """Calls whose handlers run."""
        return len(self._calls)

    def on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(stream, head):
                method = self._methods.get(head.path)
                if stream.state is CLOSED:  # opened and reset in one breath: counted, and that is all
                    if method is not None:
                        method.started.n += 1
                        method.ended(_CANCELLED, 0.0)
                elif len(self._calls) >= self._max_calls:
                    self.wire.reset(stream, ErrorCode.REFUSED_STREAM)
                elif self.objection is not None:
                    self._refuse(stream, _PERMISSION_DENIED, self.objection)
                elif method is None:
                    self._refuse(stream, _UNIMPLEMENTED, self._unknown(head.path))
                elif is_prompt(method, self, stream, head):
                    self._begin_call(PromptCall(self, stream, head, method)).begin()
                else:
                    assert self.nursery is not None
                    self.nursery.start_soon(self._begin_call(Call(self, stream, head, method)).run, name=head.path)
            case RequestRefused(stream, code, reason):
                self._refuse(stream, code, reason)
            case StreamReset(stream):
                call = self._calls.get(stream.id)
                if call is not None:
                    call.cancel()
                    call.on_closed()
            case PingReceived() if self.wire.fault is None:
                if self._strikes.one_too_many(trio.current_time(), self.outbound.said):
                    self.wire.fail(ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_PINGS.decode()))
            case PingAcknowledged(payload) if payload == _LAST_CALL:
                self._pong.set()
            case ConnectionEnded(fault):
                self._metrics.connection_errors(fault.code.name).n += 1
                self.log_fault(event)
            case _:
                pass

    def _begin_call(self, call: AnyCall) -> AnyCall:
        self._calls[call.stream.id] = call
        self.idle_since_s = math.inf
        return call

    def gone(self, why: str) -> None:
        self._metrics.connection_errors(_KEEPALIVE_TIMEOUT).n += 1
        super().gone(why)

    def call_failed(self, call: Call[Any, Any], error: BaseException) -> None:
        """Called by a call: the engine, not its handler, has gone wrong."""
        log.error("call %r failed", call, exc_info=error)
        self.reset(call.stream, ErrorCode.INTERNAL_ERROR)

    def call_ended(self, call: Call[Any, Any]) -> None:
        """Called by a call, at its very end."""
        del self._calls[call.stream.id]
        call.stream.owner = None  # a circle less for the garbage collector
        if self.wire.crowded:
            self.wire.relax()
        if not self._calls:
            self.idle_since_s = trio.current_time()
            if self._draining:
                self._idle.set()

    def _unknown(self, path: str) -> str:
        service = path[1:].rpartition("/")[0]
        if service in self._services:
            return f"service {service!r} has no method {path.rpartition('/')[2]!r}"
        return f"there is no service {service!r} here"

    def _refuse(self, stream: Stream, code: int, message: str) -> None:
        """Answer with a status and no handler, unless the peer has reset the stream in the same breath."""
        if stream.state is CLOSED:
            return
        self.outbound.end(stream, response_block() + trailers_block(code, message))
        self.wire.forget_if_closed(stream)
        if not stream.remote_ended:
            self.wire.reset(stream, ErrorCode.NO_ERROR)

    async def drain(self, why: str = "") -> None:
        """Say GOAWAY, let the calls finish, then close. Returns when the last call is over.

        Calls that are on their way when the client hears it shall not be lost: so first it is told to begin no more,
        and only when it has had time to hear that, which call was the last (RFC 9113, section 6.8).
        """
        self._draining = True
        self.wire.announce_goaway(why)
        self.outbound.control(ping_frame(_LAST_CALL))
        self.mark()
        with trio.move_on_after(LAST_CALL_TIMEOUT_S):
            await self._pong.wait()
        self.wire.goaway(message=why)
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

    async def retire(self, why: str, grace_s: float) -> None:
        """Send the client away; calls that go on after `grace_s` are cancelled."""
        with trio.move_on_after(grace_s):
            await self.drain(why)
        self.cancel_calls(f"this connection is over ({why}): begin again on another one")
        with trio.move_on_after(LINGER_S):
            await self._idle.wait()
            await self.drained()
        self.close()

    def cancel_calls(self, why: str) -> None:
        """Cancel every handler: the grace time is over."""
        for call in list(self._calls.values()):
            call.fail(purerpc.UnavailableError(why))

    async def wind_down(self) -> None:
        """Cancel the calls, a few in a turn: a thousand at once would hold up everybody else. So would connections."""
        calls = list(self._calls.values())
        while calls:
            async with self._flusher.turn:
                for call in calls[:CANCELLED_AT_ONCE]:
                    call.cancel()
                    self._lose(call)
                del calls[:CANCELLED_AT_ONCE]

    def lost(self) -> None:
        """The streams are gone: what handlers still send goes nowhere, what they wait for does not come."""
        for call in list(self._calls.values()):
            self._lose(call)
        self.wire.streams.clear()

    def _lose(self, call: Call[Any, Any]) -> None:
        if call.stream.state is not CLOSED:
            call.stream.happened(RECV_RST)
            self.outbound.drop_pending(call.stream)
        call.on_closed()

    def ended(self, error: Exception | None) -> None:
        self._idle.set()
        self._ended.set()
        self._pong.set()
