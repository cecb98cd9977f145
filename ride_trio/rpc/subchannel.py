"""A channel's connection to one server: made when it is wanted, and made again when it is lost.

Source: https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md and connection-backoff.md
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from random import uniform

import purerpc
import trio

from ride_trio.rpc.client_link import ClientLink
from ride_trio.rpc.keepalive import Keepalive
from ride_trio.rpc.transport import Transport
from ride_trio.wire import Limits


class Connectivity(StrEnum):
    """The state of a channel, as gRPC names them."""

    IDLE = "IDLE"
    CONNECTING = "CONNECTING"
    READY = "READY"
    TRANSIENT_FAILURE = "TRANSIENT_FAILURE"
    SHUTDOWN = "SHUTDOWN"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts to connect: each longer than the one before, until one succeeds.

    Args:
        initial_s: The first pause, from the beginning of one attempt to that of the next.
        multiplier: How much longer each is.
        max_s: The longest.
        jitter: Give or take this part of it, so that the clients of a dead server do not come back all at once.
    """

    initial_s: float = 1.0
    multiplier: float = 1.6
    max_s: float = 120.0
    jitter: float = 0.2

    def pause_s(self, failures: int) -> float:
        """After so many failures in a row, 1 or more."""
        pause = min(self.max_s, self.initial_s * self.multiplier ** min(failures - 1, 100))
        return pause * uniform(1 - self.jitter, 1 + self.jitter)


class Subchannel:
    """See the module's text; `run()` is its life, in the channel's nursery.

    Args:
        name: Of the server, for messages.
        connect: Makes a connection.
        eager: Connects without being asked.
        nursery: The channel's, where the connections live.
        limits: Of each connection.
        keepalive: Of each connection.
        backoff: Between attempts.
        on_change: Called when the state or the room for calls has changed.

    Attributes:
        state: It.
        link: The connection that takes calls; None unless the state is READY.
        reason: Why there is none.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[Transport]],
        *,
        eager: bool,
        nursery: trio.Nursery,
        limits: Limits,
        keepalive: Keepalive | None,
        backoff: Backoff,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.state = Connectivity.IDLE
        self.link: ClientLink | None = None
        self.reason = "not connected yet"
        self._connect = connect
        self._nursery = nursery
        self._limits = limits
        self._keepalive = keepalive
        self._backoff = backoff
        self._on_change = on_change
        self._wanted = trio.Event()
        self._eager = eager
        self._links: set[ClientLink] = set()  # also those that take no more calls and still have some
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Subchannel {self.name}, {self.state}>"

    def want(self) -> None:
        """There is a call for it: leave IDLE."""
        self._wanted.set()

    def retire(self) -> None:
        """The server is not one of ours any more: its calls may finish, no new ones begin."""
        self._scope.cancel()
        for link in self._links:
            link.retire()

    def close(self) -> None:
        """The channel is closed."""
        self._scope.cancel()
        for link in self._links:
            link.leave()

    async def run(self) -> None:
        """Connect when it is wanted, see the connection through, and begin again."""
        failures = 0
        with self._scope:
            while True:
                if not self._eager and not failures:
                    await self._wanted.wait()
                self._become(Connectivity.CONNECTING)
                began_s = trio.current_time()
                try:
                    link = await self._connected()
                except purerpc.UnavailableError as error:
                    failures += 1
                    self.reason = error.status.status_message
                    self._become(Connectivity.TRANSIENT_FAILURE)
                    await trio.sleep_until(began_s + self._backoff.pause_s(failures))
                    continue
                failures = 0
                await self._used(link)
                # A server that takes connections and drops them is not asked more often than one that takes none.
                await trio.sleep_until(began_s + self._backoff.pause_s(1))

    async def _used(self, link: ClientLink) -> None:
        """Offer the connection until the server takes no more calls on it."""
        self._wanted = trio.Event()
        self.link = link
        self._become(Connectivity.READY)
        try:
            await link.wait_unusable()
        finally:
            if link.too_many_pings and self._keepalive is not None:
                self._keepalive = self._keepalive.half_as_often()
            self._look_at_link()
            if link.goaway and not link.wire.streams:
                link.leave()

    def _look_at_link(self) -> None:
        """Called by a connection when it has changed: one that takes no more calls is not offered any more."""
        link = self.link
        if link is None or link.usable:
            self._on_change()
            return
        self.link = None
        self.reason = link.reason
        self._become(Connectivity.IDLE)

    async def _connected(self) -> ClientLink:
        link = ClientLink(await self._connect(), self._limits, self._keepalive, self._look_at_link)
        self._links.add(link)
        self._nursery.start_soon(self._live, link)
        try:
            await link.shake_hands(self.name)
        finally:
            if not link.handshaken:
                link.close()
        return link

    async def _live(self, link: ClientLink) -> None:
        try:
            await link.live()
        finally:
            self._links.discard(link)

    def _become(self, state: Connectivity) -> None:
        self.state = state
        self._on_change()
