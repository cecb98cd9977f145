"""Clients that live through a server's deaths: each goes on where it was as soon as there is a server again.

What was acknowledged to them is held against what is there at the end. Each works on topics of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import purerpc
import trio

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceStub
from ride_trio.rpc import Channel
from ride_trio_loadgen.log_ledger import LogLedger, record_number

SERVICE = "/takhin.v1.TakhinService/"
IN_FLIGHT = 64
LOST = (purerpc.RpcFailedError, trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Server:
    """Where the server is now. Clients wait while there is none."""

    def __init__(self) -> None:
        self._up = trio.Event()
        self._port = 0

    def up(self, port: int) -> None:
        self._port = port
        self._up.set()

    def down(self) -> None:
        self._up = trio.Event()

    async def channel(self) -> Channel:
        await self._up.wait()
        return Channel("127.0.0.1", self._port)

    async def again_and_again(self, work: Callable[[Channel], Awaitable[None]], until: trio.Event) -> None:
        """Run `work` with a channel, once more whenever the server was lost, until it returns or is told to stop."""
        while not until.is_set():
            try:
                async with await self.channel() as channel:
                    await work(channel)
                    return
            except LOST:
                await trio.sleep(0.02)


async def ask(channel: Channel, method: str, request: Any) -> Any:
    """A unary call."""
    return await getattr(TakhinServiceStub(channel), method)(request)


class IdempotentProducer:
    """Keeps 64 records in flight, and sends again what was not answered when the server was lost.

    Attributes:
        stopping: no new records; what is sent is still to be answered.
        done: all of it is.
    """

    def __init__(self, number: int, topic: str, partition: int, ledger: LogLedger) -> None:
        self.number = number
        self.stopping = False
        self.done = trio.Event()
        self.sent = self.answered = 0
        self._topic = topic
        self._partition = partition
        self._ledger = ledger

    async def run(self, channel: Channel) -> None:
        """Until `stopping`, and all is answered."""
        call = channel.open(SERVICE + "ProduceMessageStream", pb.ProduceMessageRequest, pb.ProduceMessageResponse)
        async with call:
            waiting: deque[int] = deque()
            for sequence in range(self.answered, self.sent):  # once more
                waiting.append(sequence)
                await call.send(self._request(sequence))
            while waiting or not self.stopping:
                while len(waiting) < IN_FLIGHT and not self.stopping:
                    waiting.append(self.sent)
                    self.sent += 1
                    await call.send(self._request(waiting[-1]))
                answer = await call.receive()
                if answer is None:
                    raise trio.BrokenResourceError
                assert not answer.error, answer.error
                self._ledger.acked(self._partition, answer.offset, record_number(self.number, waiting.popleft()))
                self.answered += 1
        self.done.set()

    def _request(self, sequence: int) -> pb.ProduceMessageRequest:
        value = record_number(self.number, sequence).to_bytes(8, "big") + bytes(200 + sequence % 300)
        return pb.ProduceMessageRequest(
            topic=self._topic,
            partition=self._partition,
            record=pb.Record(value=value),
            required_acks=-1,
            producer_id=1 + self.number,
            sequence=sequence,
        )


class TopicMaker:
    """Creates and deletes topics, and remembers what was promised of them.

    Attributes:
        there, gone: promised; a name in neither was asked for when the server died.
    """

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.gone: set[str] = set()
        self._number = 0

    async def run(self, channel: Channel) -> None:
        while True:
            self._number += 1
            name = f"made-{self._number}"
            created = await ask(channel, "CreateTopic", pb.CreateTopicRequest(name=name, num_partitions=3))
            assert created.success, created.error
            self.there.add(name)
            record = pb.ProduceMessageRequest(topic=name, record=pb.Record(value=b"x"), required_acks=-1)
            assert not (await ask(channel, "ProduceMessage", record)).error
            if self._number % 2:
                self.there.discard(name)
                deleted = await ask(channel, "DeleteTopic", pb.DeleteTopicRequest(name=name))
                assert deleted.success, deleted.error
                self.gone.add(name)


class Committer:
    """Commits the same growing offset on two partitions at once.

    Attributes:
        promised: the last one acknowledged; `asked` the last one asked for.
    """

    def __init__(self, topic: str) -> None:
        self.promised = self.asked = 0
        self._topic = topic

    async def run(self, channel: Channel) -> None:
        while True:
            for partition in (0, 1):
                record = pb.ProduceMessageRequest(
                    topic=self._topic, partition=partition, record=pb.Record(value=b"x"), required_acks=-1
                )
                assert not (await ask(channel, "ProduceMessage", record)).error
            self.asked = self.promised + 1
            offsets = [pb.TopicPartitionOffset(topic=self._topic, partition=n, offset=self.asked) for n in (0, 1)]
            answer = await ask(channel, "CommitOffset", pb.CommitOffsetRequest(group_id="g", offsets=offsets))
            assert answer.success, answer.error
            self.promised = self.asked


class Flood:
    """Fills a topic whose retention deletes all the time."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.acked = 0  # offset of the last one

    async def run(self, channel: Channel) -> None:
        call = channel.open(SERVICE + "ProduceMessageStream", pb.ProduceMessageRequest, pb.ProduceMessageResponse)
        async with call:
            request = pb.ProduceMessageRequest(
                topic=self._topic, record=pb.Record(value=bytes(4_000)), required_acks=-1
            )
            for _ in range(8):
                await call.send(request)
            async for answer in call:
                assert not answer.error, answer.error
                self.acked = answer.offset
                await call.send(request)


async def read_everything(channel: Channel, topic: str, partitions: int, ledger: LogLedger) -> None:
    """Tell the ledger all that a topic has."""
    for number in range(partitions):
        ask_for = pb.GetPartitionOffsetsRequest(topic=topic, partition=number)
        end = (await ask(channel, "GetPartitionOffsets", ask_for)).end_offset
        call = channel.open(SERVICE + "ConsumeMessages", pb.ConsumeMessagesRequest, pb.ConsumeMessagesResponse)
        async with call:
            await call.send(pb.ConsumeMessagesRequest(topic=topic, partition=number, offset=-1))
            await call.done_sending()
            while ledger.next_offset(number) < end:
                response = await call.receive()
                assert response is not None
                ledger.read(number, [(r.offset, int.from_bytes(r.value[:8], "big")) for r in response.records])
