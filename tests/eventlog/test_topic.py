"""A topic's name, its partitions, and where partitions begin in a new segment."""

from __future__ import annotations

from pathlib import Path

import pytest

from ride_trio.errors import InvalidTopicError, UnknownPartitionError
from ride_trio.eventlog.topic import MAX_NAME_CHARS, MIN_SEGMENT_BYTES, check_name
from tests.eventlog.logs import NOW_MS, Core, append, append_from


@pytest.mark.parametrize("name", ["a", "rides", "ride.matches", "A-b_c.9", "...", "x" * MAX_NAME_CHARS])
def test_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "é", "a\n", "x" * (MAX_NAME_CHARS + 1), "\x1b[0m"])
def test_no_name(name: str) -> None:
    with pytest.raises(InvalidTopicError) as caught:
        check_name(name)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


async def test_partitions_by_number(tmp_path: Path) -> None:
    topic = Core(tmp_path).topic(3)
    assert [topic.partition(n).number for n in range(3)] == [0, 1, 2]
    for number in (-1, 3, 2**31 - 1):
        with pytest.raises(UnknownPartitionError, match=f"no partition {number} in topic 'topic-1': it has 0 to 2"):
            topic.partition(number)
    assert repr(topic) == "<Topic topic-1, 3 partitions, 1 segments>"


async def test_segments_of_a_topic_with_a_limit_are_small(tmp_path: Path) -> None:
    core = Core(tmp_path)
    assert core.topic().segment_bytes(1_000_000) == 1_000_000
    assert core.topic(topic_id=2, retention_bytes="4000000").segment_bytes(1_000_000) == 500_000
    assert core.topic(topic_id=3, retention_bytes="80000000").segment_bytes(1_000_000) == 1_000_000
    assert core.topic(topic_id=4, retention_bytes="10").segment_bytes(1_000_000) == MIN_SEGMENT_BYTES


async def test_partitions_begin_in_a_new_segment_where_what_is_left_of_a_commit_does(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    one, two, three = topic.partitions
    append(one, b"", b"")
    append(two, b"")
    core.flush()
    append(two, b"", b"")
    append_from(one, 7, 0, 0, b"")
    append_from(one, 7, 0, 5, b"")
    append(three, b"")
    batches = core.commits.gathering.batches
    for partition in topic.partitions:
        partition.close_batch()
    segment = topic.roll(NOW_MS, batches[2:])  # the second batch of partition 0, and that of partition 2
    assert topic.segments[-1] is segment
    assert list(segment.head.bases) == [3, 3, 0]
    assert (segment.number, segment.head.topic_id, segment.exists) == (2, 1, False)
    assert segment.head.producers == topic.partition(0).producers.pack(0, 3) != topic.partition(0).producers.pack(0, 4)
    topic.undo()
    assert len(topic.segments) == 1
    assert [p.next_offset for p in topic.partitions] == [2, 1, 0]


async def test_its_size_is_that_of_all_its_segments(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    append(topic.partition(0), b"x" * 1_000)
    core.flush()
    core.commits.roll(topic)
    core.flush()
    assert len(topic.segments) == 2
    assert topic.size_bytes == sum(segment.path.stat().st_size for segment in topic.segments)
