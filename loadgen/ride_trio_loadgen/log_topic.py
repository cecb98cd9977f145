"""The topic of a load on the durable log: looked up, or created."""

from __future__ import annotations

from dataclasses import dataclass

from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceStub
from ride_trio.pb.takhin.v1.takhin_pb2 import CreateTopicRequest, GetTopicRequest, TopicInfo
from ride_trio.rpc import Channel


class LogTopicError(Exception):
    """There is no topic to load: the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class TopicOffsets:
    """Where the partitions of a topic begin and end."""

    begins: list[int]
    ends: list[int]


async def find_or_create(channel: Channel, name: str, partitions: int) -> TopicOffsets:
    """The topic's offsets.

    Args:
        partitions: how many the topic has to have; one that is not there is created with them. 0: any number, and it
            has to be there.

    Raises:
        LogTopicError: it is not there, has another number of partitions, or can't be created.
        purerpc.RpcFailedError: the server can't be asked.
    """
    info = await _get(channel, name)
    if info is None:
        if not partitions:
            raise LogTopicError(f"there is no topic {name!r}: --partitions N creates it")
        await _create(channel, name, partitions)
        info = await _get(channel, name)
        if info is None:
            raise LogTopicError(f"topic {name!r} was created, and is not there")
    if partitions not in (0, info.num_partitions):
        raise LogTopicError(f"topic {name!r} has {info.num_partitions} partitions, not {partitions}")
    return _offsets(info)


async def offsets_of(channel: Channel, name: str) -> TopicOffsets:
    """The topic's offsets now; errors as `find_or_create`."""
    return await find_or_create(channel, name, 0)


async def _get(channel: Channel, name: str) -> TopicInfo | None:
    answer = await TakhinServiceStub(channel).GetTopic(GetTopicRequest(name=name))
    if answer.error.startswith("UNKNOWN_TOPIC"):
        return None
    if answer.error:
        raise LogTopicError(f"topic {name!r}: {answer.error}")
    topic: TopicInfo = answer.topic
    return topic


async def _create(channel: Channel, name: str, partitions: int) -> None:
    request = CreateTopicRequest(name=name, num_partitions=partitions)
    answer = await TakhinServiceStub(channel).CreateTopic(request)
    if answer.error:
        raise LogTopicError(f"topic {name!r} can't be created: {answer.error}")


def _offsets(info: TopicInfo) -> TopicOffsets:
    partitions = [info.partitions[number] for number in range(info.num_partitions)]
    return TopicOffsets([p.beginning_offset for p in partitions], [p.end_offset for p in partitions])
