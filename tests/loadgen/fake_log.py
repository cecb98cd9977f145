"""A log server in memory: enough of `takhin.v1` for the load generator to live on, and to be misled by.

What is produced is kept and answered in batches, `commit_s` after the first of a batch came. Served on a port it is
quick enough to see what the generator costs:

    python -m tests.loadgen.fake_log PORT
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import purerpc
import trio

from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceServicer
from ride_trio.pb.takhin.v1.takhin_pb2 import (
    ConsumeMessagesRequest,
    ConsumeMessagesResponse,
    CreateTopicRequest,
    CreateTopicResponse,
    GetTopicRequest,
    GetTopicResponse,
    PartitionInfo,
    ProduceMessageRequest,
    ProduceMessageResponse,
    Record,
    TopicInfo,
)
from ride_trio.rpc import Channel, Server

Answer = Callable[[ProduceMessageResponse], None]


class FakePartition:
    """Its records, each as it is served."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.lot = trio.lowlevel.ParkingLot()

    def append(self, number: int, record: Record) -> int:
        offset = len(self.entries)
        record.offset, record.partition = offset, number
        self.entries.append(ConsumeMessagesResponse(records=[record]).SerializeToString())
        return offset


class FakeLog(TakhinServiceServicer):
    """The servicer.

    Args:
        commit_s: from the first record of a batch to the answers of all of it.
    """

    def __init__(self, commit_s: float = 0.01) -> None:
        self.commit_s = commit_s
        self.topics: dict[str, list[FakePartition]] = {}
        self.ids: dict[tuple[int, int], tuple[int, int]] = {}  # (producer id, sequence) -> (partition, offset)
        self.refuses: str | None = None  # answers with this error
        self.tampers: Callable[[int, bytes], list[bytes]] | None = (
            None  # (offset, entry) -> what is served in its place
        )
        self.misanswers: Callable[[ProduceMessageResponse], None] | None = None  # changes an answer
        self.deaf = False  # answers nothing
        self.requests: list[ProduceMessageRequest] | None = None  # kept if it is a list
        self.calls: set[Any] = set()
        self._batch: list[tuple[ProduceMessageRequest, Answer]] = []
        self._filling = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit what has come, batch by batch."""
        task_status.started()
        while True:
            await self._filling.wait()
            await trio.sleep(self.commit_s)
            self._filling = trio.Event()
            batch, self._batch = self._batch, []
            if not self.deaf:
                self.commit(batch)

    def commit(self, batch: list[tuple[ProduceMessageRequest, Answer]]) -> None:
        for request, answer in batch:
            answer(self.store(request))
        for partitions in self.topics.values():
            for partition in partitions:
                partition.lot.unpark_all()

    def store(self, request: ProduceMessageRequest) -> ProduceMessageResponse:
        number = request.partition
        answer = ProduceMessageResponse(topic=request.topic, partition=number, timestamp=1)
        if self.refuses:
            answer.error = self.refuses
            return answer
        identity = (request.producer_id, request.sequence)
        if request.producer_id and identity in self.ids:
            answer.partition, answer.offset = self.ids[identity]
            return answer
        answer.offset = self.topics[request.topic][number].append(number, request.record)
        if request.producer_id:
            self.ids[identity] = (number, answer.offset)
        if self.misanswers is not None:
            self.misanswers(answer)
        return answer

    def take(self, request: ProduceMessageRequest, answer: Answer) -> None:
        self._batch.append((request, answer))
        self._filling.set()
        if self.requests is not None:
            self.requests.append(request)

    # -- the service

    async def CreateTopic(self, message: CreateTopicRequest) -> CreateTopicResponse:
        self.topics[message.name] = [FakePartition() for _ in range(message.num_partitions)]
        return CreateTopicResponse(success=True)

    async def GetTopic(self, message: GetTopicRequest) -> GetTopicResponse:
        if message.name not in self.topics:
            return GetTopicResponse(error=f"UNKNOWN_TOPIC: no topic {message.name!r}")
        partitions = self.topics[message.name]
        infos = {n: PartitionInfo(partition_id=n, end_offset=len(p.entries)) for n, p in enumerate(partitions)}
        return GetTopicResponse(topic=TopicInfo(name=message.name, num_partitions=len(partitions), partitions=infos))

    async def ProduceMessage(self, message: ProduceMessageRequest) -> ProduceMessageResponse:
        done, answers = trio.Event(), list[ProduceMessageResponse]()

        def answer(response: ProduceMessageResponse) -> None:
            answers.append(response)
            done.set()

        self.take(message, answer)
        await done.wait()
        return answers[0]

    async def ProduceMessageStream(self, call: Any) -> None:
        answers, over = deque[bytes](), trio.Event()
        waiting, asked_all = 0, False

        def answer(response: ProduceMessageResponse) -> None:
            nonlocal waiting
            waiting -= 1
            answers.append(response.SerializeToString())
            call.wake_source()
            if asked_all and not waiting:
                over.set()

        def pull() -> bytes | None:
            return answers.popleft() if answers else None

        def sink(message: ProduceMessageRequest | None) -> bool:
            nonlocal waiting, asked_all
            if message is not None:
                waiting += 1
                self.take(message, answer)
                return True
            asked_all = True
            if not waiting:
                over.set()
            return True

        self.calls.add(call)
        try:
            await call.start()
            call.set_source(pull)
            call.set_sink(sink)
            await over.wait()
            await call.flush_source()
        finally:
            self.calls.discard(call)

    async def ConsumeMessages(self, message: ConsumeMessagesRequest, request: Any) -> None:
        if message.topic not in self.topics:
            raise purerpc.NotFoundError(f"no topic {message.topic!r}")
        partition, offset = self.topics[message.topic][message.partition], message.offset
        head = ConsumeMessagesResponse(topic=message.topic, partition=message.partition).SerializeToString()
        self.calls.add(request)
        try:
            while True:
                while offset >= len(partition.entries):
                    await partition.lot.park()
                entries = self.some(partition, offset, message.max_bytes)
                offset += len(entries)
                await request.send_encoded(head + b"".join(self.served(offset - len(entries), entries)))
        finally:
            self.calls.discard(request)

    def some(self, partition: FakePartition, offset: int, max_bytes: int) -> list[bytes]:
        first = partition.entries[offset]
        return partition.entries[offset : offset + max(1, max_bytes // len(first))]

    def served(self, offset: int, entries: list[bytes]) -> list[bytes]:
        if self.tampers is None:
            return entries
        return [data for number, entry in enumerate(entries, offset) for data in self.tampers(number, entry)]


def connect(nursery: trio.Nursery, log: FakeLog) -> Channel:
    """A channel to the server over memory streams; to be entered."""
    server = Server(0)
    server.add_service(log.service)
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    return Channel("memory", 0, stream=ours)


async def serve(port: int) -> None:
    log = FakeLog(commit_s=0.0005)
    server = Server(port, host="127.0.0.1")
    server.add_service(log.service)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await server.serve_async()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]))
