"""Records on their way to standard output: of a partition, of all of a topic, or as a member of a group.

Whatever ends it (Ctrl-C, enough records, nobody who reads standard output) cancels the scope in which records are read
and printed. A member then commits what has been printed and leaves its group last, so that whoever takes over its
partitions goes on behind it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.rpc import ClientCall
from ride_trio_cli.log_client import LogCallError, LogClient, ask
from ride_trio_cli.log_positions import LATEST, Position
from ride_trio_cli.log_records import Render
from ride_trio_cli.standard_streams import Output

COMMIT_EVERY_S: Final = 1.0
# For a commit after the last record, while the group changes.
LAST_COMMIT_S: Final = 10.0
# For a write that is under way, when everything else has been cancelled: a pager may not read on.
LAST_WRITE_S: Final = 0.5
# For the calls of all partitions to begin. A server bounds how many a connection may have.
BEGIN_S: Final = 10.0
# Of a response: what a stream's window takes at once. Printing goes on meanwhile, so more would only wait.
_MAX_BYTES: Final = 65_536
# A group's partitions without a commit can begin at a time, but not at an offset: no record is of this one or later
# (the last of the year 9999, which dates can still show).
_END_OF_TIME_MS: Final = 253_402_300_799_999
# It should go on until we leave.
_ENDED: Final = "the server has ended the call"

ConsumeCall = ClientCall[pb.ConsumeMessagesResponse, pb.ConsumeMessagesRequest]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read.

    Attributes:
        partition: None for all of the topic.
        group: to be a member of; empty for none. The partitions are what it assigns then.
        begin: where; with a group only where it has committed nothing, and no offset.
    """

    topic: str
    partition: int | None
    group: str
    begin: Position

    def request(self, partition: int) -> pb.ConsumeMessagesRequest:
        """Ask for one partition."""
        return pb.ConsumeMessagesRequest(
            topic=self.topic,
            partition=partition,
            offset=self.begin.offset,
            start_timestamp_ms=self.begin.time_ms,
            max_bytes=_MAX_BYTES,
        )

    def member_request(self) -> pb.ConsumeMessagesRequest:
        """Ask to be a member."""
        return pb.ConsumeMessagesRequest(
            topic=self.topic,
            group_id=self.group,
            client_id="ride-trio consume",
            start_timestamp_ms=_END_OF_TIME_MS if self.begin == LATEST else self.begin.time_ms,
            max_bytes=_MAX_BYTES,
        )


class Printer:
    """Prints records, one response after the other, until it has enough of them or nobody reads them.

    Args:
        max_records: None for no end.

    Attributes:
        printed: how many.
        scope: what is read is read inside it; cancelled at the end.
    """

    def __init__(self, output: Output, render: Render, max_records: int | None) -> None:
        self.printed = 0
        self.scope = trio.CancelScope()
        self._output = output
        self._render = render
        self._max_records = max_records
        self._turn = trio.Lock()  # partitions wait for it with a response each; the rest waits at the server
        self._writing = trio.CancelScope()
        self._over_s = math.inf  # trio's clock: when a write is given up

    async def print(self, topic: str, records: Sequence[pb.Record]) -> int:
        """Print them, as far as they are wanted.

        A cancellation waits for what is being written, so that what was printed is known; `hurry` bounds that.

        Returns:
            How many have been printed. Of a write that had to be given up that is none, although a part got through.
        """
        async with self._turn:
            wanted = records if self._max_records is None else records[: self._max_records - self.printed]
            with trio.CancelScope(shield=True, deadline=self._over_s) as self._writing:
                wanted = await self._write(topic, wanted)
            if self._writing.cancelled_caught:
                wanted = ()
            self.printed += len(wanted)
            if self.printed == self._max_records:
                self.scope.cancel()
            return len(wanted)

    async def _write(self, topic: str, records: Sequence[pb.Record]) -> Sequence[pb.Record]:
        try:
            await self._output.write(b"".join(self._render(topic, record) for record in records))
        except BrokenPipeError:
            self.scope.cancel()
            return ()
        return records

    async def hurry(self) -> None:
        """Stand beside who prints: what cancels this, lets a write go on for LAST_WRITE_S and no longer."""
        try:
            await trio.sleep_forever()
        finally:
            self._over_s = self._writing.deadline = trio.current_time() + LAST_WRITE_S


async def consume(log: LogClient, plan: Plan, printer: Printer, output: Output, stop: trio.Event) -> None:
    """Print records until `stop` is set, the printer has enough, or nobody reads `output` any more."""
    async with trio.open_nursery() as nursery:
        for end in (stop.wait, output.wait_closed):
            nursery.start_soon(_cancel_after, end, printer.scope)
        await (_as_member(log, plan, printer) if plan.group else _partitions(log, plan, printer))
        nursery.cancel_scope.cancel()


async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


# ---------------------------------------------------------------------- without a group


async def _partitions(log: LogClient, plan: Plan, printer: Printer) -> None:
    """A call a partition."""
    with printer.scope:
        chosen = [plan.partition] if plan.partition is not None else range((await log.topic(plan.topic)).num_partitions)
        begun = trio.Semaphore(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(printer.hurry)
            for number in chosen:
                nursery.start_soon(_partition, log, plan.request(number), printer, begun)
            await _all_begun(begun, len(chosen))


async def _partition(
    log: LogClient, request: pb.ConsumeMessagesRequest, printer: Printer, begun: trio.Semaphore
) -> None:
    async with log.consume() as call:
        begun.release()
        await ask(call, request)
        async for response in call:
            if response.records:
                await printer.print(request.topic, response.records)
    raise LogCallError(_ENDED)


async def _all_begun(begun: trio.Semaphore, calls: int) -> None:
    with trio.move_on_after(BEGIN_S):
        for _ in range(calls):
            await begun.acquire()
        return
    raise LogCallError(f"the server lets a connection have fewer calls than {calls}: --partition or --group needs one")


# ---------------------------------------------------------------------- as a member


async def _as_member(log: LogClient, plan: Plan, printer: Printer) -> None:
    await log.topic(plan.topic)  # a group would wait until there is one: a person has rather mistyped
    async with log.consume() as call:
        member = _Member(log, plan, printer, call)
        with printer.scope:
            await ask(call, plan.member_request())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(printer.hurry)
                nursery.start_soon(member.commit_for_ever)
                await member.read()
        await member.commit_at_end()


class _Member:
    """What a member of a group knows: who it is, and where it is in what it owns."""

    def __init__(self, log: LogClient, plan: Plan, printer: Printer, call: ConsumeCall) -> None:
        self._log = log
        self._plan = plan
        self._printer = printer
        self._call = call
        self._member_id = ""
        self._generation = 0
        self._positions: dict[tuple[str, int], int] = {}  # behind the last record that was printed
        self._committed: dict[tuple[str, int], int] = {}

    async def read(self) -> None:
        """Print records until it is cancelled."""
        async for response in self._call:
            self._heed(response)
            if response.records:
                printed = await self._printer.print(response.topic, response.records)
                if printed:
                    place = (response.topic, response.partition)
                    self._positions[place] = response.records[printed - 1].offset + 1
        raise LogCallError(_ENDED)

    def _heed(self, response: pb.ConsumeMessagesResponse) -> bool:
        """Whether it tells of a new generation; then what it says counts."""
        if not response.generation:
            return False
        self._member_id, self._generation = response.member_id, response.generation
        for lost in response.revoked:
            self._positions.pop((lost.topic, lost.partition), None)
            self._committed.pop((lost.topic, lost.partition), None)
        return True

    async def commit_for_ever(self) -> None:
        """Commit every so often, if there is anything new. What a new generation refuses waits for the next time."""
        while True:
            await trio.sleep(COMMIT_EVERY_S)
            await self._commit()

    async def _commit(self) -> bool:
        """Whether all that was printed is committed; the group may have changed without us having heard of it."""
        fresh = {place: at for place, at in self._positions.items() if self._committed.get(place) != at}
        if fresh:
            try:
                await self._log.commit(self._plan.group, fresh, self._member_id, self._generation)
            except LogCallError as error:
                if error.code != "ILLEGAL_GENERATION":
                    raise
                return False
            self._committed |= fresh
        return True

    async def commit_at_end(self) -> None:
        """Commit what has been printed.

        Raises:
            LogCallError: that could not be done.
        """
        with trio.move_on_after(LAST_COMMIT_S):
            while not await self._commit():
                await self._next_generation()
            return
        raise LogCallError(f"{self._plan.group} changes all the time: the last records may come once more")

    async def _next_generation(self) -> None:
        """Read on until we hear of it; records are passed over, their owner begins at what is committed."""
        async for response in self._call:
            if self._heed(response):
                return
        raise LogCallError(f"{_ENDED}: the last records may come once more")
