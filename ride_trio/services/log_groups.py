"""Consumer groups: a member's stream, and the methods that look at groups and their offsets."""

from __future__ import annotations

from typing import Final, Protocol

from ride_trio.errors import LogError
from ride_trio.eventlog.group import Change, Member
from ride_trio.eventlog.group_errors import MemberFencedError
from ride_trio.eventlog.group_reports import GroupDescription
from ride_trio.eventlog.log import EventLog
from ride_trio.eventlog.partition import Partition
from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.services.log_consume import ConsumeCall, Consumer

# No offset is committed, or (of what is assigned) it is still looked up by its time.
NO_OFFSET: Final = -1
# Changes of its group that may wait for a member; of one that is read they are gone at once.
MAX_CHANGES: Final = 1_000
# What Kafka calls groups that share out partitions.
_PROTOCOL_TYPE: Final = "consumer"


class MemberCall(ConsumeCall, Protocol):
    """A call of a member; `ride_trio.rpc.Call` is one."""

    peer: str


class GroupConsumer(Consumer):
    """One ConsumeMessages call of a group's member.

    Args:
        log: The log.
        call: It.
        request: What it asks for; `group_id` is set.
    """

    def __init__(self, log: EventLog, call: MemberCall, request: pb.ConsumeMessagesRequest) -> None:
        super().__init__(log, call, request)
        self._request = request
        self._peer = call.peer
        self._member_id = ""
        self._unplaced: dict[Partition, None] = {}

    async def run(self) -> None:
        """As a member, until the caller leaves; then the others get what it had.

        Raises:
            LogError: It can't join, or go on.
        """
        request = self._request
        topics = [topic for topic in dict.fromkeys((request.topic, *request.topics)) if topic]
        member: Member = self._log.groups.join(
            request.group_id,
            member_id=request.member_id,
            client_id=request.client_id,
            client_host=self._peer,
            topics=topics,
            assignor=request.assignor,
            changed=self._changed,
            fenced=self.fail,
        )
        try:
            await super().run()
        finally:
            self._log.groups.leave(member)

    def _changed(self, change: Change) -> None:
        """A generation has begun: from now on these partitions are ours, and those are not."""
        for topic, number in change.revoked:
            self._drop(topic, number)
        assigned = []
        for topic, number, committed in change.assigned:
            partition = self._log.topic(topic).partition(number)
            offset = self._begin(partition, committed)
            assigned.append(pb.TopicPartitionOffset(topic=topic, partition=number, offset=offset))
        revoked = [_offset(topic, number, None) for topic, number in change.revoked]
        if len(self._first) >= MAX_CHANGES:
            self.fail(MemberFencedError(f"{MAX_CHANGES} changes of the group wait: the member does not read"))
            return
        self.say(
            pb.ConsumeMessagesResponse(
                assigned=assigned, revoked=revoked, generation=change.generation, member_id=change.member_id
            )
        )

    def _begin(self, partition: Partition, committed: int | None) -> int:
        """Read a partition from where the group is; the offset, or `NO_OFFSET` if its time has to be looked up."""
        if committed is None and self._request.start_timestamp_ms:
            self._unplaced[partition] = None
            self._work.set()
            return NO_OFFSET
        # What retention has passed is gone: the group goes on with the oldest that there is.
        begin, end = partition.begin_offset, partition.end_offset
        offset = begin if committed is None else min(max(committed, begin), end)
        self.add(self._log.cursor(partition, offset))
        return offset

    def _drop(self, topic: str, number: int) -> None:
        self.remove(topic, number)
        for partition in [p for p in self._unplaced if p.topic.name == topic and p.number == number]:
            del self._unplaced[partition]

    async def _load(self) -> None:
        while self._unplaced:
            partition = next(iter(self._unplaced))
            offset = await self._log.offset_at(partition, self._request.start_timestamp_ms)
            if self._unplaced.pop(partition, self) is None:  # it is still ours
                self.add(self._log.cursor(partition, offset))
        await super()._load()


class GroupMethods:
    """The methods of `TakhinService` that are about groups.

    Args:
        log: The log, which runs.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log

    async def CommitOffset(self, message: pb.CommitOffsetRequest) -> pb.CommitOffsetResponse:
        offsets = {(o.topic, o.partition): o.offset for o in message.offsets}
        try:
            await self.log.groups.commit(message.group_id, offsets, message.member_id, message.generation)
        except LogError as error:
            return pb.CommitOffsetResponse(error=error.detail)
        return pb.CommitOffsetResponse(success=True)

    async def FetchOffsets(self, message: pb.FetchOffsetsRequest) -> pb.FetchOffsetsResponse:
        try:
            found = self.log.groups.fetch(message.group_id, [(o.topic, o.partition) for o in message.of])
        except LogError as error:
            return pb.FetchOffsetsResponse(error=error.detail)
        return pb.FetchOffsetsResponse(
            offsets=[_offset(topic, number, offset) for (topic, number), offset in found.items()]
        )

    async def ListConsumerGroups(self, message: pb.ListConsumerGroupsRequest) -> pb.ListConsumerGroupsResponse:
        return pb.ListConsumerGroupsResponse(
            groups=[
                pb.ConsumerGroupInfo(
                    group_id=group.group_id,
                    state=group.state,
                    protocol_type=_PROTOCOL_TYPE,
                    member_count=group.member_count,
                )
                for group in self.log.groups.list()
            ]
        )

    async def DescribeConsumerGroup(self, message: pb.DescribeConsumerGroupRequest) -> pb.DescribeConsumerGroupResponse:
        try:
            return _description(self.log.groups.describe(message.group_id))
        except LogError as error:
            return pb.DescribeConsumerGroupResponse(group_id=message.group_id, error=error.detail)

    async def DeleteConsumerGroup(self, message: pb.DeleteConsumerGroupRequest) -> pb.DeleteConsumerGroupResponse:
        try:
            await self.log.groups.delete(message.group_id)
        except LogError as error:
            return pb.DeleteConsumerGroupResponse(error=error.detail)
        return pb.DeleteConsumerGroupResponse(success=True)


def _description(group: GroupDescription) -> pb.DescribeConsumerGroupResponse:
    members = [
        pb.ConsumerGroupMember(
            member_id=member.member_id,
            client_id=member.client_id,
            client_host=member.client_host,
            assignments=[_offset(*assignment) for assignment in member.assignments],
        )
        for member in group.members
    ]
    lags = [
        pb.PartitionLag(
            topic=lag.topic,
            partition=lag.partition,
            committed_offset=NO_OFFSET if lag.committed is None else lag.committed,
            end_offset=lag.end_offset,
            lag=lag.lag,
            member_id=lag.member_id,
        )
        for lag in group.lags
    ]
    return pb.DescribeConsumerGroupResponse(
        group_id=group.group_id,
        state=group.state,
        protocol_type=_PROTOCOL_TYPE,
        members=members,
        lag=lags,
        generation=group.generation,
        assignor=group.assignor,
    )


def _offset(topic: str, partition: int, offset: int | None) -> pb.TopicPartitionOffset:
    return pb.TopicPartitionOffset(topic=topic, partition=partition, offset=NO_OFFSET if offset is None else offset)
