"""A log in memory behind the real engine: as much of the contract as the command line leans on."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import purerpc
import trio
import trio.testing

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceServicer
from ride_trio.rpc import Channel, Server

ARRIVED_MS = 1_700_000_000_000
BATCH_RECORDS = 2
LAST = b"last"
PATIENCE_S = 10


@dataclass
class FakeTopic:
    """`begins` is the oldest offset that is kept, the same in each partition; tests set it."""

    partitions: list[list[pb.Record]]
    configs: dict[str, str] = field(default_factory=dict)
    begins: int = 0

    def append(self, partition: int, record: pb.Record) -> int:
        records = self.partitions[partition]
        record.offset, record.partition = len(records), partition
        record.timestamp = record.timestamp or ARRIVED_MS + len(records)
        records.append(record)
        return record.offset

    def info(self, name: str) -> pb.TopicInfo:
        infos = {
            number: pb.PartitionInfo(partition_id=number, beginning_offset=self.begins, end_offset=len(records))
            for number, records in enumerate(self.partitions)
        }
        return pb.TopicInfo(name=name, num_partitions=len(infos), partitions=infos, configs=self.configs)


@dataclass
class FakeMember:
    """The one that a group can have here."""

    request: pb.ConsumeMessagesRequest
    news: list[pb.ConsumeMessagesResponse] = field(default_factory=list)
    owns: dict[int, int] = field(default_factory=dict)  # partition -> offset of what is sent next


class FakeLog(TakhinServiceServicer):
    """The servicer, and what tests look at and meddle with."""

    def __init__(self) -> None:
        self.topics: dict[str, FakeTopic] = {}
        self.offsets: dict[str, dict[tuple[str, int], int]] = {}
        self.described: dict[str, pb.DescribeConsumerGroupResponse] = {}
        self.members: dict[str, FakeMember] = {}
        self.generation = 1
        self.stale_commits = 0  # refused ones
        self.commits: list[dict[tuple[str, int], int]] = []  # accepted ones
        self.asked: list[Any] = []
        self.refuses = ""  # what every record is answered with, if it is not empty
        self.refuses_commits = ""
        self.batches_at_most = -1  # of a call of ConsumeMessages; then it ends
        self.answer = trio.Event()  # until it is set no record is answered
        self.answer.set()
        self.answers_at_most = 1_000_000
        self.ends_call_with: Exception | None = None  # after that, at the next record whose value is LAST
        self.on_record: Callable[[], None] = lambda: None
        self.on_consume: Callable[[], None] = lambda: None
        self.ended = False  # calls of ConsumeMessages end as they would wait, those that produce with a record
        self.hangs = False  # and never lists its topics
        self._more = trio.Event()
        self._untold: tuple[FakeMember, pb.ConsumeMessagesResponse]

    def add_topic(self, name: str, *partitions: list[bytes]) -> FakeTopic:
        topic = self.topics[name] = FakeTopic([[] for _ in partitions])
        for number, values in enumerate(partitions):
            for value in values:
                topic.append(number, pb.Record(value=value))
        return topic

    def wake(self) -> None:
        """Something has changed that consumers wait for."""
        self._more.set()
        self._more = trio.Event()

    def append(self, name: str, partition: int, value: bytes) -> None:
        self.topics[name].append(partition, pb.Record(value=value))
        self.wake()

    def end_calls(self) -> None:
        self.ended = True
        self.wake()

    def rebalance(self, group: str, lost: list[int], *, tell: bool = True) -> None:
        """The group's member loses partitions to nobody; it hears of that at once, or when `tell` is called."""
        member = self.members[group]
        self.generation += 1
        for partition in lost:
            del member.owns[partition]
        revoked = [pb.TopicPartitionOffset(topic=member.request.topic, partition=number) for number in lost]
        self._untold = (member, self._news(revoked=revoked))
        if tell:
            self.tell()

    def tell(self) -> None:
        member, news = self._untold
        member.news.append(news)
        self.wake()

    def _news(self, **fields: Any) -> pb.ConsumeMessagesResponse:
        return pb.ConsumeMessagesResponse(generation=self.generation, member_id="member-1", **fields)

    # ------------------------------------------------------------------ topics

    async def CreateTopic(self, input_message: pb.CreateTopicRequest) -> pb.CreateTopicResponse:
        self.asked.append(input_message)
        name = input_message.name
        if name in self.topics:
            return pb.CreateTopicResponse(error=f"TOPIC_EXISTS: there is a topic {name!r} already")
        self.topics[name] = FakeTopic([[] for _ in range(input_message.num_partitions)], dict(input_message.configs))
        return pb.CreateTopicResponse(success=True)

    async def DeleteTopic(self, input_message: pb.DeleteTopicRequest) -> pb.DeleteTopicResponse:
        if self.topics.pop(input_message.name, None) is None:
            return pb.DeleteTopicResponse(error=unknown(input_message.name))
        return pb.DeleteTopicResponse(success=True)

    async def ListTopics(self, input_message: pb.ListTopicsRequest) -> pb.ListTopicsResponse:
        if self.hangs:
            await trio.sleep_forever()
        return pb.ListTopicsResponse(topics=sorted(self.topics))

    async def GetTopic(self, input_message: pb.GetTopicRequest) -> pb.GetTopicResponse:
        name = input_message.name
        if name not in self.topics:
            return pb.GetTopicResponse(error=unknown(name))
        return pb.GetTopicResponse(topic=self.topics[name].info(name))

    async def DescribeTopics(self, input_message: pb.DescribeTopicsRequest) -> pb.DescribeTopicsResponse:
        wanted = input_message.topics or sorted(self.topics)
        return pb.DescribeTopicsResponse(topics=[self.topics[n].info(n) for n in wanted if n in self.topics])

    # ------------------------------------------------------------------ records

    async def ProduceMessageStream(
        self, input_messages: AsyncIterator[pb.ProduceMessageRequest]
    ) -> AsyncIterator[pb.ProduceMessageResponse]:
        async for request in input_messages:
            self.asked.append(request)
            self.on_record()
            await self.answer.wait()
            if len(self.asked) <= self.answers_at_most:
                yield self._store(request)
            elif self.ends_call_with is None:
                return
            elif request.record.value == LAST:
                raise self.ends_call_with
            if self.ended:
                return

    def _store(self, request: pb.ProduceMessageRequest) -> pb.ProduceMessageResponse:
        if request.topic not in self.topics or self.refuses:
            return pb.ProduceMessageResponse(error=self.refuses or unknown(request.topic))
        partition = max(request.partition, 0)
        offset = self.topics[request.topic].append(partition, request.record)
        return pb.ProduceMessageResponse(topic=request.topic, partition=partition, offset=offset)

    async def ConsumeMessages(
        self, input_message: pb.ConsumeMessagesRequest
    ) -> AsyncIterator[pb.ConsumeMessagesResponse]:
        self.asked.append(input_message)
        self.on_consume()
        if input_message.topic not in self.topics and not input_message.group_id:
            raise purerpc.NotFoundError(unknown(input_message.topic))
        stream = self._as_member(input_message) if input_message.group_id else self._partition(input_message)
        left = input_message.max_batches or self.batches_at_most
        async for response in stream:
            yield response
            left -= 1
            if not left:
                return

    async def _partition(self, request: pb.ConsumeMessagesRequest) -> AsyncIterator[pb.ConsumeMessagesResponse]:
        records = self.topics[request.topic].partitions[request.partition]
        at = begin(request, records)
        while True:
            more = self._more
            batch = records[at : at + BATCH_RECORDS]
            if batch or request.max_batches:
                at += len(batch)
                yield pb.ConsumeMessagesResponse(topic=request.topic, partition=request.partition, records=batch)
            elif self.ended:
                return
            else:
                await more.wait()

    async def _as_member(self, request: pb.ConsumeMessagesRequest) -> AsyncIterator[pb.ConsumeMessagesResponse]:
        topic, group = request.topic, request.group_id
        member = self.members[group] = FakeMember(request)
        committed = self.offsets.setdefault(group, {})
        for number, records in enumerate(self.topics[topic].partitions):
            member.owns[number] = committed.get((topic, number), begin(request, records))
        assigned = [pb.TopicPartitionOffset(topic=topic, partition=n, offset=at) for n, at in member.owns.items()]
        member.news.append(self._news(assigned=assigned))
        try:
            while True:
                more = self._more
                responses = self._next(topic, member)
                for response in responses:
                    yield response
                if not responses:
                    await more.wait()
        finally:
            del self.members[group]

    def _next(self, topic: str, member: FakeMember) -> list[pb.ConsumeMessagesResponse]:
        """All news, and a batch of each partition."""
        responses, member.news = member.news, []
        for number, at in list(member.owns.items()):
            batch = self.topics[topic].partitions[number][at : at + BATCH_RECORDS]
            if batch:
                member.owns[number] += len(batch)
                responses.append(pb.ConsumeMessagesResponse(topic=topic, partition=number, records=batch))
        return responses

    # ------------------------------------------------------------------ groups

    async def CommitOffset(self, input_message: pb.CommitOffsetRequest) -> pb.CommitOffsetResponse:
        group = input_message.group_id
        if self.refuses_commits:
            return pb.CommitOffsetResponse(error=self.refuses_commits)
        if group in self.members and not input_message.member_id:
            return pb.CommitOffsetResponse(error=f"UNKNOWN_MEMBER: group {group!r} has members")
        if input_message.member_id and input_message.generation != self.generation:
            self.stale_commits += 1
            return pb.CommitOffsetResponse(error=f"ILLEGAL_GENERATION: it is {self.generation}")
        offsets = {(one.topic, one.partition): one.offset for one in input_message.offsets}
        self.commits.append(offsets)
        self.offsets.setdefault(group, {}).update(offsets)
        return pb.CommitOffsetResponse(success=True)

    async def ListConsumerGroups(self, input_message: pb.ListConsumerGroupsRequest) -> pb.ListConsumerGroupsResponse:
        groups = [
            pb.ConsumerGroupInfo(
                group_id=group,
                state="Stable" if group in self.members else "Empty",
                protocol_type="consumer",
                member_count=int(group in self.members),
            )
            for group in self.offsets
        ]
        return pb.ListConsumerGroupsResponse(groups=groups)

    async def DescribeConsumerGroup(
        self, input_message: pb.DescribeConsumerGroupRequest
    ) -> pb.DescribeConsumerGroupResponse:
        group = input_message.group_id
        if group not in self.offsets:
            return pb.DescribeConsumerGroupResponse(error=f"UNKNOWN_GROUP: no group {group!r}")
        return self.described[group]

    async def DeleteConsumerGroup(self, input_message: pb.DeleteConsumerGroupRequest) -> pb.DeleteConsumerGroupResponse:
        group = input_message.group_id
        if self.offsets.pop(group, None) is None:
            return pb.DeleteConsumerGroupResponse(error=f"UNKNOWN_GROUP: no group {group!r}")
        return pb.DeleteConsumerGroupResponse(success=True)


def unknown(topic: str) -> str:
    return f"UNKNOWN_TOPIC: no topic {topic!r}"


def begin(request: pb.ConsumeMessagesRequest, records: list[pb.Record]) -> int:
    """Where a request begins in these records."""
    if request.start_timestamp_ms:
        late = [record.offset for record in records if record.timestamp >= request.start_timestamp_ms]
        return late[0] if late else len(records)
    return {-1: 0, -2: len(records)}.get(request.offset, request.offset)


# ---------------------------------------------------------------------- how tests reach it


def server_of(log: FakeLog | None, **options: Any) -> Server:
    """A server with it, or without any, for a free port of loopback."""
    server = Server(0, host="127.0.0.1", **options)
    if log is not None:
        server.add_service(log.service)
    return server


def connect(nursery: trio.Nursery, log: FakeLog, **options: Any) -> Channel:
    """A channel to it over memory streams; to be entered. `options` are of the engine's server."""
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(server_of(log, **options).serve_stream, theirs)
    return Channel("memory", 0, stream=ours)


@contextmanager
def running(log: FakeLog | None, **options: Any) -> Iterator[int]:
    """Serve it from a thread, on a port of loopback: commands run a loop of their own.

    Args:
        log: None for a server that has none.
        options: of the engine's server.
    """
    started: Future[tuple[int, trio.lowlevel.TrioToken, trio.Event]] = Future()
    thread = threading.Thread(target=trio.run, args=(_serve, log, options, started))
    thread.start()
    port, token, stop = started.result(timeout=PATIENCE_S)
    try:
        yield port
    finally:
        token.run_sync_soon(stop.set)
        thread.join(timeout=PATIENCE_S)


async def _serve(log: FakeLog | None, options: dict[str, Any], started: Future[Any]) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(server_of(log, **options).serve_async)
        started.set_result((port, trio.lowlevel.current_trio_token(), stop))
        await stop.wait()
        nursery.cancel_scope.cancel()
