"""A producer that asks with unary calls, one at a time.

Error kinds of this file: no_answer, and those of `log_production`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import purerpc
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageResponse
from ride_trio_loadgen.log_production import AGAIN_S, Pace, Producer, Production


class UnaryCall(Protocol):
    """What is needed of a `ride_trio.rpc.ClientCall`."""

    async def send_encoded(self, data: bytes) -> None: ...

    async def done_sending(self) -> None: ...

    async def receive(self) -> ProduceMessageResponse | None: ...

    async def wait_status(self) -> purerpc.Status: ...


class UnaryProducer(Producer):
    """See the module's text.

    Args:
        open_call: opens a ProduceMessage, to be entered.
    """

    def __init__(
        self,
        number: int,
        production: Production,
        open_call: Callable[[], AbstractAsyncContextManager[UnaryCall]],
        pace: Pace | None = None,
    ) -> None:
        super().__init__(number, production, pace)
        self._open_call = open_call

    def __repr__(self) -> str:
        return f"<UnaryProducer {self.number}: {self.sent} sent, {self.answered} answered>"

    async def run(self) -> None:
        """See `Producer`."""
        while (from_s := await self._turn()) is not None:
            sequence = self.sent
            self.sent += 1
            self._tally.sent += 1
            (request,) = self._requests.encode(self.number, sequence, [from_s])
            await self._ask(sequence, request, from_s)
            self.answered += 1

    async def _turn(self) -> float | None:
        """Wait until the next record may be sent; from when on its latency counts, or None if there is to be none."""
        production = self._production
        if production.held:
            await production.released.wait()
        due_s = self._now() if self._pace is None else self._pace.due_s(self.sent)
        with trio.move_on_at(due_s):
            await production.stopped.wait()
        return None if production.stopping else due_s

    async def _ask(self, sequence: int, request: bytes, from_s: float) -> None:
        """Have a record answered, if need be by more than one call and if they may be."""
        while not await self._asked(sequence, request, from_s):
            if not self._production.idempotent:
                self._tally.unanswered += 1
                return
            await trio.sleep(AGAIN_S)

    async def _asked(self, sequence: int, request: bytes, from_s: float) -> bool:
        """Make a call; whether it brought an answer."""
        try:
            async with self._open_call() as call:
                await call.send_encoded(request)
                await call.done_sending()
                answer = await call.receive()
                status = await call.wait_status()
        except purerpc.RpcFailedError as error:
            self._failed(error.status)
            return False
        if answer is None or status.int_value:
            self._error("no_answer", f"record {sequence}: a call ended without one")
            return False
        self._count(sequence, from_s, answer)
        return True
