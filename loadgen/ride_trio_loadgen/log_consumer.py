"""One reader of one partition: follows it from where the ledger is, and goes on there after a lost connection.

What comes is worked on in the call's sink, a response at a time: no task is woken.

Error kinds of this file: status:NAME, ended_early, damaged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import purerpc
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesRequest, ConsumeMessagesResponse
from ride_trio_loadgen.log_ledger import FOREIGN, LogLedger
from ride_trio_loadgen.log_production import AGAIN_S
from ride_trio_loadgen.log_records import Head, Values
from ride_trio_loadgen.log_tally import LogTally

# Bytes of a response: large enough that what a response costs is little a record, small enough that working on it
# (under 1 ms of small records) does not hold the producers up.
MAX_BYTES = 65_536


class ConsumeCall(Protocol):
    """What is needed of a `ride_trio.rpc.ClientCall`."""

    async def send(self, message: ConsumeMessagesRequest) -> None: ...

    async def done_sending(self) -> None: ...

    def set_sink(self, sink: Callable[[ConsumeMessagesResponse | None], bool]) -> None: ...

    async def wait_status(self) -> purerpc.Status: ...


class LogConsumer:
    """See the module's text.

    Args:
        topic, partition: what it reads.
        open_call: opens a ConsumeMessages, to be entered.
        values: of this run's records.
        ledger: told what was read.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        open_call: Callable[[], AbstractAsyncContextManager[ConsumeCall]],
        values: Values,
        ledger: LogLedger,
        tally: LogTally,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._open_call = open_call
        self._values = values
        self._ledger = ledger
        self._tally = tally
        self._late_us = tally.end_to_end.fresh_us
        self._now = trio.lowlevel.current_clock().current_time

    def __repr__(self) -> str:
        return f"<LogConsumer of {self.topic}/{self.partition}, at {self._ledger.next_offset(self.partition)}>"

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                status = await self._follow()
            except purerpc.RpcFailedError as error:
                status = error.status
            if status.int_value:
                self._error(f"status:{status.status_code.name}", status.status_message)
            else:
                self._error("ended_early", "the server ended the call with OK")
            await trio.sleep(AGAIN_S)

    async def _follow(self) -> purerpc.Status:
        """Make a call, and read until its end."""
        request = ConsumeMessagesRequest(
            topic=self.topic,
            partition=self.partition,
            offset=self._ledger.next_offset(self.partition),
            max_bytes=MAX_BYTES,
        )
        async with self._open_call() as call:
            call.set_sink(self._take)
            await call.send(request)
            await call.done_sending()
            return await call.wait_status()

    def _take(self, response: ConsumeMessagesResponse | None) -> bool:
        """The call's sink."""
        if response is None or not response.records:
            return True
        tally, now_s, records = self._tally, self._now(), response.records
        values, offsets = [record.value for record in records], [record.offset for record in records]
        heads = self._values.read(values)
        numbers = [number for _, number, _ in heads]
        self._late_us.extend([int((now_s - sent_s) * 1e6) for _, number, sent_s in heads if number >= 0])
        if FOREIGN in numbers:
            self._count_foreign(offsets, heads)
        self._ledger.read(self.partition, zip(offsets, numbers, strict=True))
        tally.consumed += len(values)
        tally.consumed_bytes += sum(map(len, values))
        tally.last_consumed_s = now_s
        return True

    def _count_foreign(self, offsets: list[int], heads: list[Head]) -> None:
        for offset, (run_id, number, _) in zip(offsets, heads, strict=True):
            if number == FOREIGN and run_id == self._values.run_id:
                self._error("damaged", f"the record at offset {offset} is not as it was sent")
            elif number == FOREIGN:
                self._tally.foreign += 1

    def _error(self, kind: str, words: str) -> None:
        self._tally.error(kind, f"reader of partition {self.partition}: {words}")
