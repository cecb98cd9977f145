"""One producer on a ProduceMessageStream: keeps so many records in flight, and goes on after a lost connection.

Neither sending nor an answer wakes a task: the call's source makes requests as there is room, its sink counts answers.
A producer's records are numbered from 0, and answers come in the order of the requests:

    0 ... answered ... next ... sent
          └ in flight ─┘└ to be sent once more, after a connection was lost ┘

Answers name no request. That each is of the request whose turn it was shows in its partition, and in what is read at
its offset (see `log_ledger`).

Error kinds of this file: answer_unexpected, ended_early, close_timeout; and those of `log_production`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from itertools import islice
from typing import Protocol

import purerpc
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageResponse
from ride_trio_loadgen.clock import TICK_S
from ride_trio_loadgen.log_production import AGAIN_S, Pace, Producer, Production

# Seconds for a call to end after its half-close, when everything is answered.
CLOSE_TIMEOUT_S = 5.0


class ProduceCall(Protocol):
    """What is needed of a `ride_trio.rpc.ClientCall`."""

    @property
    def status(self) -> purerpc.Status | None: ...

    def set_source(self, pull: Callable[[], bytes | None]) -> None: ...

    def wake_source(self) -> None: ...

    def set_sink(self, sink: Callable[[ProduceMessageResponse | None], bool]) -> None: ...

    async def done_sending(self) -> None: ...

    async def wait_status(self) -> purerpc.Status: ...


class StreamProducer(Producer):
    """See the module's text.

    Args:
        open_call: opens a ProduceMessageStream, to be entered.
    """

    def __init__(
        self,
        number: int,
        production: Production,
        open_call: Callable[[], AbstractAsyncContextManager[ProduceCall]],
        pace: Pace | None = None,
    ) -> None:
        super().__init__(number, production, pace)
        production.wakes.append(self.wake)
        self._open_call = open_call
        self._call: ProduceCall | None = None
        self._next = 0
        self._ready: deque[bytes] = deque()  # requests, the last of them before `next`
        self._from_s: deque[float] = deque()  # when the records from `answered` on were sent first, or due
        self._idle = False  # the source had nothing when it was asked last
        self._over = trio.Event()  # of the call: it has ended, or has done all that it was for

    def __repr__(self) -> str:
        return f"<StreamProducer {self.number}: {self.sent} sent, {self.answered} answered>"

    async def run(self) -> None:
        """See `Producer`."""
        self._wake_when_due(self._now())
        while not self.finished:
            try:
                async with self._open_call() as call:
                    await self._live(call)
            except purerpc.RpcFailedError as error:  # from opening only: later the call's status says what failed
                self._failed(error.status)
            if not self.finished:
                await trio.sleep(AGAIN_S)

    async def _live(self, call: ProduceCall) -> None:
        self._call, self._over = call, trio.Event()
        call.set_source(self._pull)
        call.set_sink(self._take)
        call.wake_source()
        try:
            await self._over.wait()
        finally:
            self._call = None
        if self.finished:
            await self._half_close(call)

    async def _half_close(self, call: ProduceCall) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT_S) as patience:
            with suppress(purerpc.RpcFailedError, trio.ClosedResourceError):  # the call's status says why
                await call.done_sending()
            status = await call.wait_status()
            if status.int_value:
                self._failed(status)
        if patience.cancelled_caught:
            self._error("close_timeout", f"no status within {CLOSE_TIMEOUT_S:g} s of the half-close")

    # -- sending

    def wake(self) -> None:
        """Something may be there to be sent, or never will be."""
        self._idle = False
        if self._call is not None:
            self._call.wake_source()
        if self.finished:
            self._over.set()

    def _wake_when_due(self, now_s: float) -> None:
        """Be woken for the next record that is not due yet, if there is a pace, and so on."""
        if self._pace is None or self._production.timeline is None or self._production.stopping:
            return
        self.wake()
        next_s = self._pace.due_s(self._pace.due_by(now_s + TICK_S))
        self._production.timeline.at(next_s, self._wake_when_due)

    def _pull(self) -> bytes | None:
        """The call's source: the next request. They are made in one go for all the room that there is."""
        if not self._ready:
            self._fill()
        return self._ready.popleft() if self._ready else None

    def _fill(self) -> None:
        """Make the requests that may be sent now."""
        self._begin()
        first, from_s = self._next, self._from_s
        if first == self.sent:
            self._idle = True
            return
        times_s = islice(from_s, first - self.answered, None) if first > self.answered else from_s
        self._ready.extend(self._requests.encode(self.number, first, times_s))
        self._next = self.sent

    def _begin(self) -> None:
        """Count the records that are to be sent for the first time now, and from when on their latency counts."""
        production, first = self._production, self.sent
        if production.stopping or production.held:
            return
        now_s, end = self._now(), self.answered + production.in_flight
        if self._pace is None:
            self._from_s.extend([now_s] * (end - first))
        else:
            end = max(first, min(end, self._pace.due_by(now_s + TICK_S)))
            self._from_s.extend(min(now_s, self._pace.due_s(sequence)) for sequence in range(first, end))
        self.sent = end
        self._tally.sent += end - first

    # -- answers

    def _take(self, answer: ProduceMessageResponse | None) -> bool:
        """The call's sink."""
        if answer is None:
            self._ended()
            return True
        sequence = self.answered
        if sequence == self._next - len(self._ready):
            self._error("answer_unexpected", f"all {sequence} requests are answered, and there is one more answer")
            return True
        self.answered = sequence + 1
        self._count(sequence, self._from_s.popleft(), answer)
        if self._idle or self._production.stopping:
            self.wake()
        return True

    def _ended(self) -> None:
        """The call has ended. What was in flight is sent again, or is lost."""
        status = self._call.status if self._call is not None else None
        self._over.set()
        if status is None:
            return  # by us
        if status.int_value:
            self._failed(status)
        else:
            self._error("ended_early", "OK before our half-close")
        self._ready.clear()
        if self._production.idempotent:
            self._next = self.answered
        else:
            self._tally.unanswered += self.sent - self.answered
            self._from_s.clear()
            self.answered = self._next = self.sent
