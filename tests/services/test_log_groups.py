"""Members of groups as calls, and the methods that look at groups. Rebalances themselves: `tests/eventlog`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError
from ride_trio.eventlog.commit import Level
from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.services import log_groups
from ride_trio.services.log_groups import GroupConsumer, GroupMethods
from tests.eventlog.logs import NOW_MS, encode
from tests.services.log_house import LogCall, LogHouse


class Group:
    """A log with a topic, and members of group "g"."""

    def __init__(self, house: LogHouse) -> None:
        self.house = house
        self.methods = GroupMethods(house.log)
        self.ended: dict[str, str] = {}

    async def produce(self, partition: int, count: int, time_ms: int = NOW_MS) -> None:
        target = self.house.log.topic("t").partition(partition)
        for _ in range(count):
            target.append(encode(target, b"v", time_ms), time_ms)
        await self.house.log.commits.gathering.wait(Level.SYNCED)

    async def join(self, name: str, **fields: Any) -> tuple[LogCall, trio.CancelScope]:
        call, scope = LogCall(pb.ConsumeMessagesResponse), trio.CancelScope()
        request = pb.ConsumeMessagesRequest(**{"group_id": "g", "client_id": name, "topic": "t", **fields})
        self.house.nursery.start_soon(self._serve, name, call, scope, request)
        await wait_all_tasks_blocked()
        return call, scope

    async def _serve(self, name: str, call: LogCall, scope: trio.CancelScope, request: Any) -> None:
        self.ended.pop(name, None)
        try:
            with scope:
                await GroupConsumer(self.house.log, call, request).run()
        except LogError as error:
            self.ended[name] = error.code


async def group(nursery: trio.Nursery, path: Path, partitions: int = 2) -> Group:
    house = await LogHouse(nursery, path / "data").start()
    await house.log.create_topic("t", partitions)
    return Group(house)


def places(found: Any) -> list[tuple[int, int]]:
    return [(place.partition, place.offset) for place in found]


async def test_a_member_is_told_what_it_has_before_its_records(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await group(nursery, tmp_path)
    await it.produce(1, 3)
    call, _ = await it.join("a")
    first, second = await call.answers()
    assert places(first.assigned) == [(0, 0), (1, 0)]
    assert first.member_id
    assert first.generation
    assert (second.partition, [record.offset for record in second.records]) == (1, [0, 1, 2])


async def test_what_a_member_leaves_goes_to_the_other_from_the_committed_offset(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    it = await group(nursery, tmp_path)
    await it.produce(0, 5)
    first, scope = await it.join("a")
    second, _ = await it.join("b")
    told = await first.answers()
    assert [places(response.revoked) for response in told if response.revoked] == [[(1, -1)]]
    offsets = [pb.TopicPartitionOffset(topic="t", partition=0, offset=2)]
    old, new = told[0].generation, told[-1].generation
    for generation, code in ((old, "ILLEGAL_GENERATION"), (new, "")):
        request = pb.CommitOffsetRequest(
            group_id="g", offsets=offsets, member_id=told[0].member_id, generation=generation
        )
        answer = await it.methods.CommitOffset(request)
        assert (answer.success, answer.error.split(":")[0]) == (not code, code)
    await second.answers()
    scope.cancel()
    told = await second.answers()
    assert places(told[0].assigned) == [(0, 2)]
    assert [record.offset for response in told for record in response.records] == [2, 3, 4]


async def test_a_group_without_offsets_may_begin_at_a_time(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await group(nursery, tmp_path, partitions=1)
    await it.produce(0, 2, time_ms=1_000)
    await it.produce(0, 2, time_ms=2_000)
    call, _ = await it.join("a", start_timestamp_ms=1_500)
    told = await call.answers()
    assert places(told[0].assigned) == [(0, -1)]
    assert [record.offset for response in told for record in response.records] == [2, 3]


async def test_a_newer_stream_of_a_member_ends_the_older(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await group(nursery, tmp_path)
    call, _ = await it.join("a")
    (told,) = await call.answers()
    newer, _ = await it.join("again", member_id=told.member_id)
    await wait_all_tasks_blocked()
    assert it.ended == {"a": "MEMBER_FENCED"}
    assert places((await newer.answers())[0].assigned) == [(0, 0), (1, 0)]


async def test_a_member_that_does_not_read_is_not_told_for_ever(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(log_groups, "MAX_CHANGES", 5)
    it = await group(nursery, tmp_path)
    call, _ = await it.join("lazy")
    call.room = 0
    for number in range(6):
        _, scope = await it.join(f"passing {number}")
        scope.cancel()
        await wait_all_tasks_blocked()
    assert it.ended == {"lazy": "MEMBER_FENCED"}


async def test_what_is_told_of_groups(nursery: trio.Nursery, tmp_path: Path) -> None:
    it = await group(nursery, tmp_path)
    await it.produce(0, 5)
    _, scope = await it.join("a")
    listed = await it.methods.ListConsumerGroups(pb.ListConsumerGroupsRequest())
    assert [(g.group_id, g.state, g.protocol_type, g.member_count) for g in listed.groups] == [
        ("g", "Stable", "consumer", 1)
    ]
    described = await it.methods.DescribeConsumerGroup(pb.DescribeConsumerGroupRequest(group_id="g"))
    (member,) = described.members
    assert (member.client_id, member.client_host, places(member.assignments)) == (
        "a",
        "192.0.2.1:50000",
        [(0, -1), (1, -1)],
    )
    assert [(lag.partition, lag.committed_offset, lag.end_offset, lag.lag) for lag in described.lag] == [
        (0, -1, 5, 5),
        (1, -1, 0, 0),
    ]
    delete = pb.DeleteConsumerGroupRequest(group_id="g")
    assert (await it.methods.DeleteConsumerGroup(delete)).error.startswith("GROUP_NOT_EMPTY: ")
    scope.cancel()
    await wait_all_tasks_blocked()
    place = pb.TopicPartitionOffset(topic="t", partition=0, offset=4)
    assert (await it.methods.CommitOffset(pb.CommitOffsetRequest(group_id="g", offsets=[place]))).success
    fetched = await it.methods.FetchOffsets(pb.FetchOffsetsRequest(group_id="g"))
    assert places(fetched.offsets) == [(0, 4)]
    assert (await it.methods.DeleteConsumerGroup(delete)).success
    assert (await it.methods.DeleteConsumerGroup(delete)).error.startswith("UNKNOWN_GROUP: ")
