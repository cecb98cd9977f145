"""A call that keeps the promises that `ride_trio.rpc.Call` makes to a handler, without a connection."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import purerpc
import trio

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope

Sink = Callable[[ClientEnvelope | None], bool]


class FakeCall:
    """One call, seen from the client's side.

    Attributes:
        window: how many more messages the client takes; infinite by default.
        got: what it has taken and a test has not looked at yet.
        status: how the call ended; None while it runs.
    """

    def __init__(self, user_id: str | None = None) -> None:
        self.window: float = math.inf
        self.got: list[ServerEnvelope] = []
        self.status: purerpc.Status | None = None
        self.started = False
        self.over = trio.Event()
        self.subject: str | None = None
        self.undecodable: type[purerpc.RpcFailedError] = purerpc.InternalError
        self._user_id = user_id
        self._inbox: deque[ClientEnvelope | None] = deque()
        self._sink: Sink | None = None
        self._pull: Callable[[], bytes | None] | None = None
        self._held = False
        self._empty = True
        self._readable = trio.Event()

    # -- what a handler uses

    def header(self, name: str) -> str | None:
        return self._user_id if name == "user-id" else None

    async def start(self) -> None:
        self.started = True

    def set_sink(self, sink: Sink) -> None:
        self._sink = sink
        self._offer()

    def resume(self) -> None:
        self._held = False
        self._offer()

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        self._pull = pull

    def wake_source(self) -> None:
        self._empty = False

    def drain_source(self) -> None:
        while self._pull is not None and self.window > 0:
            data = self._pull()
            if data is None:
                self._empty = True
                return
            self.window -= 1
            self.got.append(ServerEnvelope.FromString(data))

    async def flush_source(self) -> None:
        self.drain_source()
        while not self._empty:
            await self._readable.wait()
            self.drain_source()

    # -- what a client does

    def say(self, *envelopes: ClientEnvelope) -> None:
        """Send messages; they are handled before this returns, unless they are held."""
        self._inbox += envelopes
        self._offer()
        self._end_pass()

    def half_close(self) -> None:
        self._inbox.append(None)
        self._offer()
        self._end_pass()

    def read(self, count: float = math.inf) -> list[ServerEnvelope]:
        """Take up to so many more messages, and return all not returned before."""
        if math.isfinite(self.window):
            self.window += count
        self._end_pass()
        got, self.got = self.got, []
        return got

    @property
    def held(self) -> int:
        """Messages that the sink has not taken."""
        return len(self._inbox)

    def _offer(self) -> None:
        while self._sink is not None and self._inbox and not self._held:
            if self._sink(self._inbox[0]):
                self._inbox.popleft()
            else:
                self._held = True

    def _end_pass(self) -> None:
        """Pull, and offer what is held if that has made room, as the engine does at the end of a scheduler pass."""
        before = None
        while before != (len(self.got), len(self._inbox)):
            before = (len(self.got), len(self._inbox))
            self.drain_source()
            if len(self.got) > before[0]:
                self.resume()
        self._readable.set()
        self._readable = trio.Event()
