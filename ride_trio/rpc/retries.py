"""Calls that are tried again when the server was not there, before it has answered anything.

What has been sent is kept, up to a bound, until the first answer comes; a new attempt sends all of it once more. So a
call is tried again only if its caller says that this does no harm: nobody knows what a server had done that was lost.

Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING, Final

import purerpc
import trio
from purerpc import Status, StatusCode

from ride_trio.rpc.client_call import ClientCall
from ride_trio.rpc.messages import Out
from ride_trio.rpc.reading import In
from ride_trio.wire.events import ResponseReceived, TrailersReceived
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.metadata import Metadata

if TYPE_CHECKING:
    from ride_trio.rpc.channel import Channel
    from ride_trio.rpc.client_link import ClientLink

# A server that knows better says when to come back, or (negative) not to.
PUSHBACK: Final = "grpc-retry-pushback-ms"
# Part of a pause: calls that failed together do not come back together.
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which calls are tried again.

    Args:
        max_attempts: With the first one.
        initial_backoff_s: Before the second attempt, give or take a fifth; each pause is longer than the one before.
        max_backoff_s: The longest pause.
        multiplier: How much longer each is.
        codes: Statuses that are worth another attempt. A call that its client has ended, or its deadline, never is.
        max_kept_bytes: A call that has sent more than this without an answer is not tried again.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 5.0
    multiplier: float = 2.0
    codes: frozenset[StatusCode] = frozenset({StatusCode.UNAVAILABLE})
    max_kept_bytes: int = 262_144

    def __post_init__(self) -> None:
        if self.max_attempts < 2 or self.initial_backoff_s < 0 or self.multiplier < 1:
            raise ValueError(f"{self}: needs 2 attempts or more, pauses of 0 s or more and a multiplier of 1 or more")

    def pause_s(self, attempt: int) -> float:
        """Before an attempt, 2 or more."""
        pause = self.initial_backoff_s * self.multiplier ** (attempt - 2)
        return min(self.max_backoff_s, pause) * uniform(1 - _JITTER, 1 + _JITTER)


class RetryingCall(ClientCall[In, Out]):
    """A call under a policy. A sink, a source and `send_nowait` cannot be repeated: with them it is not tried again."""

    __slots__ = (
        "_attempt",
        "_committed",
        "_kept",
        "_kept_bytes",
        "_lost",
        "_order",
        "_policy",
        "_pushback",
        "_resumed",
    )

    def __init__(
        self,
        channel: Channel,
        head: RequestHead,
        response_type: type[In],
        *,
        wait_for_ready: bool,
        policy: RetryPolicy,
    ) -> None:
        super().__init__(channel, head, response_type, wait_for_ready=wait_for_ready)
        self._policy = policy
        self._attempt = 1
        self._committed = False
        self._kept: list[tuple[bytes, int] | None] = []  # messages; None is the half-close
        self._kept_bytes = 0
        self._order = trio.StrictFIFOLock()
        self._lost: Status | None = None  # how the last attempt ended, if there is to be another one
        self._resumed: trio.Event | None = None  # while there is no attempt, or it repeats what was sent
        self._pushback: float | None = None  # ms

    # ------------------------------------------------------------------ what is sent is kept

    async def send_encoded(self, data: bytes, compressed: int = 0) -> None:
        async with self._order:
            await self._wait_resumed()
            kept, attempt = self._keep((data, compressed), len(data)), self._attempt
            try:
                await super().send_encoded(data, compressed)
            except (purerpc.RpcFailedError, trio.ClosedResourceError):
                if not kept or (self._attempt == attempt and self._resumed is None):
                    raise
            await self._wait_resumed()

    async def done_sending(self) -> None:
        async with self._order:
            await self._wait_resumed()
            self._keep(None, 0)
            await super().done_sending()

    async def _wait_resumed(self) -> None:
        """Wait until an attempt is under way that has sent what was kept."""
        if self._resumed is not None:
            await self._resumed.wait()
            if self.status is not None and self.status.int_value:
                await self.closed_while_sending()

    def _keep(self, item: tuple[bytes, int] | None, size: int) -> bool:
        """Keep it for another attempt; False if there will be none."""
        self._kept_bytes += size
        if self._kept_bytes > self._policy.max_kept_bytes:
            self._commit()
        if not self._committed:
            self._kept.append(item)
        return not self._committed

    def _commit(self) -> None:
        """No other attempt any more."""
        self._committed = True
        self._kept.clear()

    def cancel(self) -> None:
        self._commit()
        super().cancel()

    def fail(self, error: Exception) -> None:
        self._commit()
        super().fail(error)

    def set_sink(self, sink: Callable[[In | None], bool]) -> None:
        self._commit()
        super().set_sink(sink)

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        self._commit()
        super().set_source(pull)

    def send_nowait(self, message: Out) -> bool:
        self._commit()
        return super().send_nowait(message)

    # ------------------------------------------------------------------ what comes back

    def on_response(self, event: ResponseReceived) -> None:
        if not event.head.has_status:
            self._commit()
        super().on_response(event)

    def on_trailers(self, event: TrailersReceived) -> None:
        self._pushback = _pushback(event.trailers.metadata)
        super().on_trailers(event)

    async def _closed_while_receiving(self) -> None:
        if self._resumed is None:  # else there will be another stream
            await super()._closed_while_receiving()

    def _end(self, status: Status) -> None:
        if self.status is None and self._may_be_tried_again(status):
            self.stream.owner = None
            self._lost = status
            if self._resumed is None:
                self._resumed = trio.Event()
                self._channel.running().start_soon(self._try_again)
            self._channel.call_ended(self._link)
            self.on_writable()
            return
        super()._end(status)
        if self._resumed is not None:
            self._resumed.set()

    def _may_be_tried_again(self, status: Status) -> bool:
        if (
            self._committed
            or self._attempt >= self._policy.max_attempts
            or status.status_code not in self._policy.codes
        ):
            return False
        return self._pushback is None or self._pushback >= 0

    async def _try_again(self) -> None:
        """Attempt after attempt, until one takes what was kept, or the call is over."""
        try:
            while self.status is None and self._lost is not None:
                self._attempt += 1
                pause_s = self._policy.pause_s(self._attempt) if self._pushback is None else self._pushback / 1e3
                with trio.move_on_after(pause_s):
                    await self._ended.wait()
                if self.status is None:
                    self._pushback = None
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._attempt_once, nursery.cancel_scope)
                        await self._ended.wait()
                        nursery.cancel_scope.cancel()
        finally:
            resumed, self._resumed = self._resumed, None
            if self._lost is not None:  # the channel is closed
                super()._end(self._lost)
            if resumed is not None:
                resumed.set()

    async def _attempt_once(self, done: trio.CancelScope) -> None:
        try:
            link = await self._channel.ready_link(self._head.metadata, wait_for_ready=self._wait_for_ready)
            self._lost = None
            self._move_to(link)
            for item in tuple(self._kept):
                if item is None:
                    await super().done_sending()
                else:
                    await super().send_encoded(*item)
        except purerpc.UnavailableError as error:
            if self._attempt >= self._policy.max_attempts:
                self._lost = None
                self._end(error.status)
        except trio.ClosedResourceError:
            pass  # `_end` knows
        done.cancel()

    def _move_to(self, link: ClientLink) -> None:
        """Begin a new stream there; nothing of the old one has been read."""
        self._head.previous_attempts = self._attempt - 1
        self._link = link
        self.stream = self._open_on(link)
        self.stream.owner = self


def _pushback(metadata: Metadata) -> float | None:
    value = next((value for name, value in metadata if name == PUSHBACK), None)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return -1  # so says the specification
