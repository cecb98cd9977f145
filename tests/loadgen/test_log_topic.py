from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import CreateTopicRequest, CreateTopicResponse, GetTopicRequest, GetTopicResponse
from ride_trio.rpc import Channel
from ride_trio_loadgen.log_topic import LogTopicError, TopicOffsets, find_or_create, offsets_of
from tests.loadgen.fake_log import FakeLog, FakePartition, connect


class RefusingLog(FakeLog):
    refuses_to: str | None = None

    async def CreateTopic(self, message: CreateTopicRequest) -> CreateTopicResponse:
        if self.refuses_to == "create":
            return CreateTopicResponse(error="INVALID_TOPIC: no")
        return await super().CreateTopic(message)

    async def GetTopic(self, message: GetTopicRequest) -> GetTopicResponse:
        if self.refuses_to == "tell":
            return GetTopicResponse(error="LOG_FAILED: broken")
        return await super().GetTopic(message)


@pytest.fixture
def log() -> RefusingLog:
    return RefusingLog()


@pytest.fixture
async def channel(nursery: trio.Nursery, log: RefusingLog) -> AsyncIterator[Channel]:
    async with connect(nursery, log) as channel:
        yield channel


async def test_a_topic_that_is_not_there_is_created_if_it_is_known_with_how_many_partitions(
    log: RefusingLog, channel: Channel
) -> None:
    with pytest.raises(LogTopicError, match=r"^there is no topic 't': --partitions N creates it$"):
        await find_or_create(channel, "t", 0)
    assert log.topics == {}
    assert await find_or_create(channel, "t", 3) == TopicOffsets([0, 0, 0], [0, 0, 0])
    assert len(log.topics["t"]) == 3


async def test_a_topic_that_is_there_stays_as_it_is(log: RefusingLog, channel: Channel) -> None:
    log.topics["t"] = [FakePartition(), FakePartition()]
    log.topics["t"][1].entries = [b"", b""]
    for partitions in (0, 2):
        assert await find_or_create(channel, "t", partitions) == TopicOffsets([0, 0], [0, 2])
    assert await offsets_of(channel, "t") == TopicOffsets([0, 0], [0, 2])
    with pytest.raises(LogTopicError, match=r"^topic 't' has 2 partitions, not 3$"):
        await find_or_create(channel, "t", 3)


@pytest.mark.parametrize(
    ("refuses_to", "words"),
    [("create", "topic 't' can't be created: INVALID_TOPIC: no"), ("tell", "topic 't': LOG_FAILED: broken")],
)
async def test_a_servers_no_is_told(log: RefusingLog, channel: Channel, refuses_to: str, words: str) -> None:
    log.refuses_to = refuses_to
    with pytest.raises(LogTopicError, match=words):
        await find_or_create(channel, "t", 1)
