"""The clients of `bench log`: producers and consumers of the load generator, for as long as somebody measures."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, TypeVar

import trio

from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceStub
from ride_trio.pb.takhin.v1.takhin_pb2 import CreateTopicRequest, DeleteTopicRequest
from ride_trio.rpc import Channel
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.log_cast import consumers, producers
from ride_trio_loadgen.log_ledger import LogLedger
from ride_trio_loadgen.log_plan import LogPlan
from ride_trio_loadgen.log_production import Production
from ride_trio_loadgen.log_records import Requests, Values
from ride_trio_loadgen.log_run import LIMITS
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.log_topic import TopicOffsets, offsets_of

HOST: Final = "127.0.0.1"
# Between two looks whether something is so far.
LOOK_S: Final = 0.005
# No answer takes longer, and no topic longer to be read to its end: it is an error.
TIMEOUT_S: Final = 60.0
# Of the records: this run's. Topics are new ones, so there are no others.
_RUN_ID: Final = 1

T = TypeVar("T")


class LogLoad:
    """Producers and consumers of one topic.

    Args:
        plan: What they are to be. Its duration is not looked at: that is whoever's `work` this is done for.
        partitions: Of the topic.

    Attributes:
        tally: What they count.
        acked: Is told of each record that was acknowledged; see `LogLedger.acked`.
    """

    def __init__(self, plan: LogPlan, partitions: int) -> None:
        self.plan = plan
        self.tally = LogTally()
        self.acked: Callable[[int, int, int], None] = lambda partition, offset, number: None
        self._partitions = partitions
        self._values = Values(_RUN_ID, plan.record_bytes, plan.seed)

    async def produce(self, work: Callable[[], Awaitable[T]]) -> T:
        """Produce while `work` runs. What was sent is answered when this returns.

        Raises:
            ValueError: Something went wrong.
        """
        plan, timeline = self.plan, Timeline()
        requests = Requests(plan.topic, self._partitions, plan.acks, self._values, idempotent=False)
        production = Production(requests, self.tally, self.acked, plan.in_flight, idempotent=False, timeline=timeline)
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(self._channel()) for _ in range(plan.producers)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(timeline.run)
                async with trio.open_nursery() as producing:
                    for producer in producers(plan, production, channels):
                        producing.start_soon(producer.run)
                    result = await work()
                    production.stop()
                    producing.cancel_scope.deadline = trio.current_time() + TIMEOUT_S
                nursery.cancel_scope.cancel()
        self.check()
        return result

    async def consume(self, ledger: LogLedger, work: Callable[[], Awaitable[T]]) -> T:
        """Read every partition, from where the ledger is, while `work` runs; one connection for all.

        Raises:
            ValueError: Something went wrong.
        """
        plan = self.plan
        async with self._channel() as channel, trio.open_nursery() as nursery:
            for each in consumers(plan.topic, self._partitions, [channel], self._values, ledger, self.tally):
                nursery.start_soon(each.run)
            result = await work()
            nursery.cancel_scope.cancel()
        self.check()
        return result

    def _channel(self) -> Channel:
        return Channel(self.plan.target_host, self.plan.target_port, limits=LIMITS)

    def check(self) -> None:
        """Raises:
        ValueError: Something went wrong, or not everything was answered.
        """
        tally = self.tally
        if tally.errors or tally.acked != tally.sent:
            examples = [f"{kind}: {error.count}, such as {error.example}" for kind, error in tally.errors.items()]
            raise ValueError("; ".join([f"{tally.acked} of {tally.sent} records were acknowledged", *examples]))


async def until(reached: Callable[[], bool]) -> None:
    """Wait for it; TimeoutError if it takes too long."""
    give_up_s = trio.current_time() + TIMEOUT_S
    while not reached():
        if trio.current_time() > give_up_s:
            raise TimeoutError(f"not so far after {TIMEOUT_S:g} s")
        await trio.sleep(LOOK_S)


async def create_topic(port: int, name: str, partitions: int, configs: dict[str, str] | None = None) -> None:
    """Create a topic; ValueError if it can't be."""
    async with Channel(HOST, port) as channel:
        request = CreateTopicRequest(name=name, num_partitions=partitions, configs=configs or {})
        answer = await TakhinServiceStub(channel).CreateTopic(request)
    if answer.error:
        raise ValueError(answer.error)


async def delete_topic(port: int, name: str) -> None:
    """Delete a topic; ValueError if it can't be."""
    async with Channel(HOST, port) as channel:
        answer = await TakhinServiceStub(channel).DeleteTopic(DeleteTopicRequest(name=name))
    if answer.error:
        raise ValueError(answer.error)


async def ends_of(port: int, name: str) -> TopicOffsets:
    """Where a topic's partitions begin and end."""
    async with Channel(HOST, port) as channel:
        return await offsets_of(channel, name)


def run(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """`trio.run`, with what lives long kept from the garbage collector, as the load generator does it."""
    gc.collect()
    gc.freeze()
    try:
        result: T = trio.run(function, *arguments)
        return result
    finally:
        gc.unfreeze()
