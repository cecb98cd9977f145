"""`takhin.v1.TakhinService`: the durable log. What each method promises is in `proto/takhin/v1/takhin.proto`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

import purerpc
import trio

from ride_trio import __version__
from ride_trio.errors import BadRequestError, LogError, RideTrioError
from ride_trio.eventlog.log import EventLog
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.topic import Topic
from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceServicer
from ride_trio.rpc.prompt import Later
from ride_trio.rpc.status import error_for
from ride_trio.services.log_consume import ConsumeCall, Consumer
from ride_trio.services.log_groups import GroupConsumer, GroupMethods
from ride_trio.services.log_produce import ProduceCall, ProduceStream, Producing

EARLIEST: Final = -1
LATEST: Final = -2
# One machine: the first, and its own replica.
_LEADER: Final = 0


class LogCall(ConsumeCall, ProduceCall, Protocol):
    """A call as this service uses it; `ride_trio.rpc.Call` is one."""

    peer: str


class TakhinService(GroupMethods, TakhinServiceServicer):
    """The servicer.

    Args:
        log: The log, which runs.
    """

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._producing = Producing(log)
        self._started_at = trio.current_time()

    @property
    def service(self) -> purerpc.Service:
        service = super().service
        service.prompt_methods = frozenset(("ProduceMessage",))
        return service

    # ------------------------------------------------------------------ topics

    async def CreateTopic(self, message: pb.CreateTopicRequest) -> pb.CreateTopicResponse:
        try:
            await self.log.create_topic(
                message.name, message.num_partitions, message.replication_factor, dict(message.configs)
            )
        except LogError as error:
            return pb.CreateTopicResponse(error=error.detail)
        return pb.CreateTopicResponse(success=True)

    async def DeleteTopic(self, message: pb.DeleteTopicRequest) -> pb.DeleteTopicResponse:
        try:
            await self.log.delete_topic(message.name)
        except LogError as error:
            return pb.DeleteTopicResponse(error=error.detail)
        return pb.DeleteTopicResponse(success=True)

    async def ListTopics(self, message: pb.ListTopicsRequest) -> pb.ListTopicsResponse:
        return pb.ListTopicsResponse(topics=sorted(self.log.topics))

    async def GetTopic(self, message: pb.GetTopicRequest) -> pb.GetTopicResponse:
        try:
            return pb.GetTopicResponse(topic=_info(self.log.topic(message.name)))
        except LogError as error:
            return pb.GetTopicResponse(error=error.detail)

    async def DescribeTopics(self, message: pb.DescribeTopicsRequest) -> pb.DescribeTopicsResponse:
        topics = self.log.topics
        names = message.topics or sorted(topics)
        return pb.DescribeTopicsResponse(topics=[_info(topics[name]) for name in names if name in topics])

    async def GetPartitionOffsets(self, message: pb.GetPartitionOffsetsRequest) -> pb.GetPartitionOffsetsResponse:
        answer = pb.GetPartitionOffsetsResponse(topic=message.topic, partition=message.partition)
        try:
            partition = self.log.topic(message.topic).partition(message.partition)
        except LogError as error:
            answer.error = error.detail
        else:
            answer.beginning_offset, answer.end_offset = partition.begin_offset, partition.end_offset
        return answer

    # ------------------------------------------------------------------ records

    def ProduceMessage(self, message: pb.ProduceMessageRequest) -> bytes | Later | Awaitable[bytes]:
        return self._producing.one(message)

    async def ProduceMessageStream(self, call: LogCall) -> None:
        await ProduceStream(self._producing, call).run()

    async def ConsumeMessages(self, message: pb.ConsumeMessagesRequest, request: LogCall) -> None:
        """Stream records; see the .proto.

        Raises:
            purerpc.RpcFailedError: There is no such topic, partition or offset, or what is on disk is damaged.
        """
        try:
            await self._consume(message, request)
        except RideTrioError as error:
            raise error_for(int(error.grpc_status), error.detail) from None

    async def _consume(self, message: pb.ConsumeMessagesRequest, call: LogCall) -> None:
        _check(message)
        if message.group_id:
            await GroupConsumer(self.log, call, message).run()
            return
        if message.topics:
            raise BadRequestError("topics are for members of a group: say group_id, or one topic and partition")
        partition = self.log.topic(message.topic).partition(message.partition)
        consumer = Consumer(self.log, call, message)
        cursor = self.log.cursor(partition, await self._begin(partition, message))
        cursor.check()
        consumer.add(cursor)
        await consumer.run()

    async def _begin(self, partition: Partition, message: pb.ConsumeMessagesRequest) -> int:
        if message.start_timestamp_ms:
            return await self.log.offset_at(partition, message.start_timestamp_ms)
        if message.offset == EARLIEST:
            return partition.begin_offset
        if message.offset == LATEST:
            return partition.end_offset
        return int(message.offset)

    # ------------------------------------------------------------------ health

    async def HealthCheck(self, message: pb.HealthCheckRequest) -> pb.HealthCheckResponse:
        commits = self.log.commits
        serving = commits.failed is None and not commits.stopped
        return pb.HealthCheckResponse(
            status="SERVING" if serving else "NOT_SERVING",
            version=__version__,
            uptime_seconds=int(trio.current_time() - self._started_at),
        )


def _check(message: pb.ConsumeMessagesRequest) -> None:
    for name in ("max_bytes", "min_bytes", "max_wait_ms", "max_batches", "start_timestamp_ms"):
        if getattr(message, name) < 0:
            raise BadRequestError(f"{name} {getattr(message, name)}: it can't be below 0")


def _info(topic: Topic) -> pb.TopicInfo:
    info = pb.TopicInfo(
        name=topic.name, num_partitions=len(topic.partitions), replication_factor=1, configs=topic.config.given
    )
    for partition in topic.partitions:
        info.partitions[partition.number].MergeFrom(
            pb.PartitionInfo(
                partition_id=partition.number,
                beginning_offset=partition.begin_offset,
                end_offset=partition.end_offset,
                leader=_LEADER,
                replicas=[_LEADER],
                isr=[_LEADER],
            )
        )
    return info
