"""Lines become records: sent as fast as the log takes them, a bounded number of them without an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import purerpc
import trio
from purerpc import StatusCode

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.rpc import ClientCall
from ride_trio_cli.log_client import LogCallError, LogClient, in_words
from ride_trio_cli.standard_streams import LineTooLongError

# Enough for the server to write and sync together, so that its disk decides and not the way to it.
MAX_IN_FLIGHT: Final = 1_000
# What a server takes in one message by default. A longer line is not read to its end.
MAX_LINE_BYTES: Final = 10_485_760

# Statuses of calls of which nothing has been looked at.
_REFUSALS: Final = (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED, StatusCode.UNIMPLEMENTED)

ProduceCall = ClientCall[pb.ProduceMessageResponse, pb.ProduceMessageRequest]


class _NoKeyError(Exception):
    """A line that has no separator."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a line.

    Attributes:
        partition: -1 has the log choose.
        required_acks: as in ProduceMessageRequest.
        key: of every record.
        separator: if there is one, it ends each line's own key.
        headers: of every record.
    """

    topic: str
    partition: int = -1
    required_acks: int = -1
    key: bytes = b""
    separator: bytes = b""
    headers: Sequence[tuple[str, bytes]] = ()

    def request(self, line: bytes) -> pb.ProduceMessageRequest:
        """Ask for this line to be stored."""
        key, value = self.key, line
        if self.separator:
            key, found, value = line.partition(self.separator)
            if not found:
                raise _NoKeyError(f"there is no {self.separator.decode(errors='replace')!r} that would end a key")
        headers = [pb.RecordHeader(key=name, value=data) for name, data in self.headers]
        record = pb.Record(key=key, value=value, headers=headers)
        return pb.ProduceMessageRequest(
            topic=self.topic, partition=self.partition, record=record, required_acks=self.required_acks
        )


@dataclass(slots=True)
class Outcome:
    """How it went.

    Attributes:
        sent: lines that were sent.
        acknowledged: of them.
        last_offsets: by partition, of the records that were acknowledged.
        failure: the first thing that went wrong; after it nothing more was sent.
    """

    sent: int = 0
    acknowledged: int = 0
    last_offsets: dict[int, int] = field(default_factory=dict)
    failure: str = ""


async def produce(log: LogClient, plan: Plan, lines: AsyncIterator[bytes], stop: trio.Event) -> Outcome:
    """Send lines until they end, `stop` is set or something goes wrong; then wait for the answers to what was sent."""
    producer = _Producer(plan)
    async with log.produce() as call, trio.open_nursery() as nursery:
        nursery.start_soon(producer.stop_at, stop)
        nursery.start_soon(producer.send, call, lines)
        await producer.receive(call)
        nursery.cancel_scope.cancel()
    return producer.outcome


class _Producer:
    """One call's two sides. Answers come in the order of the requests, so counting says whose each one is."""

    def __init__(self, plan: Plan) -> None:
        self.outcome = Outcome()
        self._plan = plan
        self._answered = 0
        self._all_sent = False
        self._room = trio.Semaphore(MAX_IN_FLIGHT)
        self._sending = trio.CancelScope()

    async def stop_at(self, stop: trio.Event) -> None:
        await stop.wait()
        self._sending.cancel()

    async def send(self, call: ProduceCall, lines: AsyncIterator[bytes]) -> None:
        try:
            with self._sending:
                async for line in lines:
                    await self._send(call, line)
        except (LineTooLongError, _NoKeyError) as error:
            self._fail(f"line {self.outcome.sent + 1}: {error}")
        except (trio.ClosedResourceError, purerpc.RpcFailedError):
            return  # who receives hears why
        self._all_sent = True
        await call.done_sending()

    async def _send(self, call: ProduceCall, line: bytes) -> None:
        request = self._plan.request(line)
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        self.outcome.sent += 1
        if not call.send_nowait(request):
            await call.send(request)

    async def receive(self, call: ProduceCall) -> None:
        try:
            async for answer in call:
                self._take(answer)
        except purerpc.RpcFailedError as error:
            refused = error.status.status_code in _REFUSALS
            self._fail(in_words(error.status) + ("" if refused else self._unanswered()))
        else:
            if not self._all_sent or self._answered < self.outcome.sent:
                self._fail(f"the server has ended the call{self._unanswered()}")

    def _unanswered(self) -> str:
        first, last = self._answered + 1, self.outcome.sent
        return f"; lines {first} to {last} may be stored or not" if first <= last else ""

    def _take(self, answer: pb.ProduceMessageResponse) -> None:
        self._answered += 1
        self._room.release()
        if answer.error:
            self._fail(f"line {self._answered}: {LogCallError(answer.error)}")
        else:
            self.outcome.acknowledged += 1
            self.outcome.last_offsets[answer.partition] = answer.offset

    def _fail(self, why: str) -> None:
        self.outcome.failure = self.outcome.failure or why
        self._sending.cancel()
