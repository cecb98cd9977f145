"""Runs a load on the durable log: producers, consumers that follow them, and the check of what was promised.

A run has three stretches:

1. Producers send until the duration is over, consumers read from where the topic ended before.
2. Nothing new is sent; what is in flight is waited for as long as the server may take to answer it.
3. Consumers read on until they have everything that was acknowledged. Then the ledger is closed.

A run that is stopped goes to the second stretch at once. One without producers has the first stretch alone: consumers
read from the topic's beginning to where it ended when the run began.

Error kinds of this file: unanswered, not_checked.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import purerpc
import trio

from ride_trio.rpc import Backoff, Channel, Limits
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.log_cast import consumers, producers
from ride_trio_loadgen.log_consumer import LogConsumer
from ride_trio_loadgen.log_counts import LogCounts
from ride_trio_loadgen.log_ledger import LogLedger
from ride_trio_loadgen.log_plan import LogPlan, LogSnapshot
from ride_trio_loadgen.log_producer import CLOSE_TIMEOUT_S
from ride_trio_loadgen.log_production import Producer, Production
from ride_trio_loadgen.log_records import Requests, Values
from ride_trio_loadgen.log_report import LogReport
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.log_topic import LogTopicError, TopicOffsets, find_or_create, offsets_of

# Windows that no consumer fills between two of its passes: a client that doesn't read would measure itself.
LIMITS = Limits(stream_window=1_048_576, connection_window=4_194_304)
# A server that was restarted is to be loaded again at once.
BACKOFF = Backoff(initial_s=0.1, max_s=1.0)
# Streams on a consumer's connection: servers allow 100 to 1,000.
STREAMS_MAX = 500
# Seconds between looks at how the run goes: progress is shown four times a second.
LOOK_S = 0.25
# Seconds until a record counts as unanswered: what the server may take without a timeout_ms, and some more. And for
# who has pressed Ctrl-C.
ANSWER_TIMEOUT_S = 35.0
STOPPED_TIMEOUT_S = 5.0
# Seconds without anything read until what was acknowledged and not read counts as missing.
QUIET_S = 5.0
# Acknowledged records that may wait to be read before producers wait, too: 150 MB of a ledger's memory.
UNREAD_MAX = 1_000_000

Progress = Callable[[LogSnapshot], None]


async def run_log(plan: LogPlan, progress: Progress | None = None, stop: trio.Event | None = None) -> LogReport:
    """Run the whole plan and report.

    Args:
        progress: called a few times a second.
        stop: set it to end the run early; the report is of the time until then.

    Raises:
        LogTopicError: there is no such topic.
        purerpc.RpcFailedError: nobody listens at the target. A server that goes away later is in the report.
    """
    connect = partial(Channel, plan.target_host, plan.target_port, limits=LIMITS, backoff=BACKOFF)
    return await perform(plan, connect, progress, stop)


async def perform(
    plan: LogPlan,
    connect: Callable[[], Channel],
    progress: Progress | None = None,
    stop: trio.Event | None = None,
) -> LogReport:
    """As `run_log`, over channels that somebody else makes."""
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(connect())
        offsets = await find_or_create(asking, plan.topic, plan.partitions)
        run = _Run(plan, offsets, progress or _ignore, trio.Event() if stop is None else stop)
        for _ in range(run.producer_connections):
            run.producing.append(await stack.enter_async_context(connect()))
        for _ in range(run.consumer_connections):
            run.consuming.append(await stack.enter_async_context(connect()))
        await run.perform(asking)
        return run.report()


class _Run:
    """One run: who takes part in it, and its three stretches."""

    def __init__(self, plan: LogPlan, offsets: TopicOffsets, progress: Progress, stop: trio.Event) -> None:
        self.plan = plan
        self.offsets = offsets
        self.progress = progress
        self.stop = stop
        self.partitions = len(offsets.ends)
        self.producing: list[Channel] = []
        self.consuming: list[Channel] = []
        self.tally = LogTally()
        begins = offsets.ends if plan.producers else offsets.begins
        self.ledger = LogLedger(begins, self.tally)
        self.counts = LogCounts(begins, self.tally)
        self.values = Values(time.time_ns() // 1_000_000 & 0xFFFF_FFFF or 1, plan.record_bytes, plan.seed)
        self.timeline = Timeline()
        self.production = Production(
            Requests(plan.topic, self.partitions, plan.acks, self.values, idempotent=plan.idempotent),
            self.tally,
            self.ledger.acked if plan.consumers else self.counts.acked,
            plan.in_flight,
            plan.idempotent,
            self.timeline,
        )
        self.producers: list[Producer] = []
        self.behind = 0
        self.held_s = self.wall_s = self.cpu_s = self.cpu_share = 0.0
        self.start_s = 0.0

    @property
    def producer_connections(self) -> int:
        return self.plan.producers and (self.plan.connections or self.plan.producers)

    @property
    def consumer_connections(self) -> int:
        wanted = min(self.plan.consumers, self.partitions)
        return wanted and max(wanted, math.ceil(self.partitions / STREAMS_MAX))

    async def perform(self, asking: Channel) -> None:
        """Run the three stretches.

        What lives long is kept from the garbage collector meanwhile, see `scenario`.
        """
        self.start_s = self.tally.first_s = trio.current_time()
        began_cpu_s = time.process_time()
        gc.freeze()
        try:
            await self._perform()
        finally:
            gc.unfreeze()
        self.wall_s, self.cpu_s = trio.current_time() - self.start_s, time.process_time() - began_cpu_s
        if self.plan.consumers:
            self.ledger.finish()
        else:
            await self._count(asking)

    async def _count(self, asking: Channel) -> None:
        """Hold the acknowledgements against where the topic ends now."""
        try:
            self.counts.finish((await offsets_of(asking, self.plan.topic)).ends)
        except LogTopicError as error:
            self.tally.error("not_checked", str(error))
        except purerpc.RpcFailedError as error:
            self.tally.error("not_checked", error.status.status_message)

    async def _perform(self) -> None:
        async with trio.open_nursery() as background:
            background.start_soon(self.timeline.run)
            for consumer in self._consumers():
                background.start_soon(consumer.run)
            async with trio.open_nursery() as producing:
                self.producers = producers(self.plan, self.production, self.producing)
                for producer in self.producers:
                    producing.start_soon(producer.run)
                await self._send()
                await self._wait_for_answers()
                producing.cancel_scope.deadline = trio.current_time() + CLOSE_TIMEOUT_S + LOOK_S
            if self.plan.producers:
                await self._read_to_the_end()
            background.cancel_scope.cancel()

    def _consumers(self) -> list[LogConsumer]:
        return consumers(self.plan.topic, self.partitions, self.consuming, self.values, self.ledger, self.tally)

    # -- the stretches

    async def _send(self) -> None:
        began_cpu_s = time.process_time()
        await self._watch("running", self.start_s + self.plan.duration_s, self._over)
        now_s = trio.current_time()
        self.cpu_share = (time.process_time() - began_cpu_s) / max(LOOK_S, now_s - self.start_s)
        self.behind = sum(producer.behind(now_s) for producer in self.producers)

    def _over(self) -> bool:
        if self.stop.is_set():
            return True
        ends = self.offsets.ends
        return not self.plan.producers and all(self.ledger.next_offset(p) >= end for p, end in enumerate(ends))

    async def _wait_for_answers(self) -> None:
        self.production.stop()
        timeout_s = STOPPED_TIMEOUT_S if self.stop.is_set() else ANSWER_TIMEOUT_S
        await self._watch("waiting for answers", trio.current_time() + timeout_s, self._answered)
        open_records = sum(producer.sent - producer.answered for producer in self.producers)
        if open_records:
            late = next(producer for producer in self.producers if not producer.finished)
            words = f"producer {late.number}: {late.sent - late.answered} of {late.sent} records"
            self.tally.error("unanswered", words, open_records)

    def _answered(self) -> bool:
        return all(producer.finished for producer in self.producers)

    async def _read_to_the_end(self) -> None:
        """Until everything acknowledged is read, or nothing more comes."""
        consumed = -1
        while self.plan.consumers and self.ledger.waiting and consumed != self.tally.consumed:
            consumed = self.tally.consumed
            await self._watch("reading to the end", trio.current_time() + QUIET_S, partial(self._read_on, consumed))

    def _read_on(self, consumed: int) -> bool:
        return not self.ledger.waiting or self.tally.consumed != consumed

    async def _watch(self, stage: str, end_s: float, over: Callable[[], bool]) -> None:
        """Look at the run now and then, until `end_s` (trio clock) or until `over()`."""
        while not over():
            self._look(stage)
            now_s = trio.current_time()
            if now_s >= end_s:
                break
            await trio.sleep_until(min(end_s, now_s + LOOK_S))
        self._look(stage)

    def _look(self, stage: str) -> None:
        self.tally.fold()
        self._hold()
        tally, elapsed_s = self.tally, trio.current_time() - self.start_s
        snapshot = LogSnapshot(
            stage, elapsed_s, self.plan.duration_s, tally.sent, tally.acked, tally.consumed, tally.error_count
        )
        self.progress(snapshot)

    def _hold(self) -> None:
        """Hold the producers while too much waits to be read."""
        production, waiting = self.production, self.ledger.waiting
        if production.held:
            self.held_s += LOOK_S
            if waiting <= UNREAD_MAX // 2:
                production.release()
        elif waiting > UNREAD_MAX:
            production.hold()

    def report(self) -> LogReport:
        return LogReport(
            plan=self.plan,
            tally=self.tally,
            partitions=self.partitions,
            lag_ms=self.timeline.lag.summary_ms(),
            behind=self.behind,
            unacknowledged=self.ledger.unacknowledged,
            held_s=self.held_s,
            wall_s=self.wall_s,
            cpu_s=self.cpu_s,
            cpu_share=self.cpu_share,
        )


def _ignore(snapshot: LogSnapshot) -> None:
    """Progress that nobody looks at."""
