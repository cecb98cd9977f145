"""A client's connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import purerpc
import trio

from ride_trio.metrics import Count
from ride_trio.rpc.client_call import ClientCall
from ride_trio.rpc.keepalive import TOO_MANY_PINGS, Keepalive, keep_alive
from ride_trio.rpc.link import Link
from ride_trio.rpc.transport import Transport, in_words
from ride_trio.wire import ClientConnection, ErrorCode, Limits
from ride_trio.wire.events import (
    ConnectionEnded,
    Event,
    GoAwayReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from ride_trio.wire.frames import MAX_STREAM_ID
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.stream import Stream

# A server that speaks HTTP/2 sends its SETTINGS at once; what doesn't in this time is something else.
HANDSHAKE_TIMEOUT_S: Final = 10.0
LEFT: Final = "this channel is closed"
CLOSED_BY_SERVER: Final = "the server closed the connection"


class ClientLink(Link):
    """See the module's text.

    Args:
        transport: The connection.
        limits: Its bounds.
        keepalive: When to ping a quiet server, and when to give it up; None leaves that to the server.
        on_change: Called when there may be room for a call now, or no more.

    Attributes:
        handshaken: The server's SETTINGS have come.
        goaway: The server takes no new calls here.
        too_many_pings: That was why.
        reason: Why it is over, or going to be.
    """

    def __init__(
        self, transport: Transport, limits: Limits, keepalive: Keepalive | None, on_change: Callable[[], None]
    ) -> None:
        self.client = ClientConnection(limits)
        super().__init__(self.client, transport, Count(), Count(), Count())
        self.handshaken = False
        self.goaway = False
        self.too_many_pings = False
        self.reason = CLOSED_BY_SERVER
        self._keepalive = keepalive
        self._on_change = on_change
        self._scope = trio.CancelScope()
        self._met = trio.Event()
        self._ending = trio.Event()
        self._max_streams = self.outbound.peer.max_concurrent_streams

    async def live(self) -> None:
        """`run()`, until the server or `close()` ends it."""
        with self._scope:
            await self.run()

    def close(self) -> None:
        """End the connection without another word, also before it has begun."""
        self._scope.cancel()

    def leave(self) -> None:
        """We want no more of it: say what is to be said and end it."""
        if not self.over:
            if self.reason == CLOSED_BY_SERVER:  # nobody has said anything better yet
                self.reason = LEFT
            self.flush()
            self.close()

    def retire(self) -> None:
        """Begin no more calls; leave when those that go on are over."""
        self.goaway = True
        if not self.wire.streams:
            self.leave()

    @property
    def usable(self) -> bool:
        """Whether new calls may begin here, sooner or later."""
        return self.handshaken and not self.goaway and not self.over

    async def shake_hands(self, name: str) -> None:
        """Wait for the server's SETTINGS.

        Raises:
            purerpc.UnavailableError: They don't come.
        """
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            await self._met.wait()
        if self.over:
            raise purerpc.UnavailableError(self.reason)
        if not self.handshaken:
            raise purerpc.UnavailableError(f"{name} sent no HTTP/2 SETTINGS")

    async def wait_unusable(self) -> None:
        """Wait until the server takes no new calls."""
        await self._ending.wait()

    def open(self, head: RequestHead) -> Stream:
        """Start a call. After the one with the last stream id (RFC 9113, section 5.1.1) no other begins here."""
        self.mark()
        stream = self.client.open(head)
        if stream.id == MAX_STREAM_ID:
            self._end_soon("the connection's stream ids are used up")
        return stream

    def _end_soon(self, reason: str) -> None:
        """No new calls; those that have begun go on."""
        self.goaway = True
        self.reason = reason
        self._on_change()
        self._ending.set()

    def call_ended(self) -> None:
        """Called by a call: there may be nothing to stay for."""
        if self.goaway and not self.wire.streams:
            self.leave()

    def started(self) -> None:
        if self._keepalive is not None:
            assert self.nursery is not None
            self.nursery.start_soon(keep_alive, self, self._keepalive)

    def on_event(self, event: Event) -> None:
        match event:
            case ResponseReceived(stream) | TrailersReceived(stream) | StreamReset(stream) if stream.owner is None:
                pass  # the call has ended before: by what came with it, or by us
            case ResponseReceived(stream):
                _owner(stream).on_response(event)
            case TrailersReceived(stream):
                _owner(stream).on_trailers(event)
            case StreamReset(stream):
                _owner(stream).on_reset(event)
            case GoAwayReceived():
                self._on_goaway(event)
            case ConnectionEnded(fault):
                self.reason = f"the server broke HTTP/2: {fault}"
            case _:
                pass

    def _on_goaway(self, event: GoAwayReceived) -> None:
        self.too_many_pings = event.debug == TOO_MANY_PINGS
        self._end_soon(f"the server is going away ({event.debug.decode('utf-8', 'replace') or event.code})")
        for stream in [s for s in self.wire.streams.values() if s.id > event.last_stream_id]:
            self.wire.reset(stream, ErrorCode.CANCEL)
            _owner(stream).on_lost(self.reason)
        if not self.wire.streams:
            self.soon(self.leave)

    def _dispatch(self) -> None:
        max_streams = self.outbound.peer.max_concurrent_streams
        if max_streams != self._max_streams or (self.client.settings_seen and not self.handshaken):
            self.handshaken = self.client.settings_seen
            self._max_streams = max_streams
            self._met.set()
            self._on_change()
        super()._dispatch()

    async def wind_down(self) -> None:
        """A client's calls are no tasks of the connection."""

    def lost(self) -> None:
        """A client's calls are no tasks of the connection: they hear of it in `ended`."""

    def ended(self, error: Exception | None) -> None:
        if error is not None and self.reason != LEFT:
            announced = f"{self.reason}, and " if self.goaway else ""
            self.reason = f"{announced}the connection is lost: {in_words(_first(error))}"
        streams = list(self.wire.streams.values())
        self.wire.streams.clear()
        for stream in streams:
            _owner(stream).on_lost(self.reason)
        self._met.set()
        self._ending.set()
        self._on_change()


def _owner(stream: Stream) -> ClientCall[Any, Any]:
    owner: ClientCall[Any, Any] = stream.owner
    return owner


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
