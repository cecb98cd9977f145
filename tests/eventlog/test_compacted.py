"""What a compacted segment looks like in its file."""

from __future__ import annotations

import pytest

from ride_trio.eventlog import compacted
from ride_trio.eventlog.batches import SPARSE
from ride_trio.eventlog.scan import Found, scan
from ride_trio.eventlog.topic import Topic
from tests.eventlog.whole import WholeLog, compacted_topic


def batches(topic: Topic, segment: int) -> list[tuple[int, int, int, int]]:
    """Partition, base offset, end offset and count of a segment's batches."""
    found = list(scan(topic.segments[segment].path, topic.segments[segment].head.size))
    assert all(isinstance(item, Found) and item.header.flags == SPARSE for item in found)
    headers = [item.header for item in found if isinstance(item, Found)]
    return [(h.partition, h.base_offset, h.end_offset, h.count) for h in headers]


async def test_offsets_are_covered_by_sparse_batches(small_segments: WholeLog) -> None:
    await small_segments.start()
    topic = await compacted_topic(small_segments, 2)
    one, two = topic.partitions
    await small_segments.produce(one, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")])
    await small_segments.produce(two, [(b"a", b"5"), (b"a", b"6")])
    await small_segments.roll(topic)
    await small_segments.produce(one, [(b"b", b"7")])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert batches(topic, 0) == [(0, 0, 5, 3), (1, 0, 2, 1)]


async def test_a_range_of_which_nothing_is_left(small_segments: WholeLog) -> None:
    log = await small_segments.start()
    topic = await compacted_topic(small_segments, 3)
    first, second, _ = topic.partitions
    await small_segments.produce(first, [(b"a", b"old")] * 3)
    await small_segments.produce(second, [(b"b", b"kept")])
    await small_segments.roll(topic)
    await small_segments.produce(first, [(b"x" * 40, bytes(4_000)), (b"a", b"new")])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert batches(topic, 0) == [(0, 0, 3, 0), (1, 0, 1, 1)]
    assert [offset for offset, _ in await small_segments.read(first)] == [3, 4]
    for restarted in (False, True):
        if restarted:
            await small_segments.stop()
            log = await small_segments.start()
            first = log.topic("t").partition(0)
        assert [offset for offset, _ in await small_segments.read(first, 1)] == [3, 4]
        assert first.end_offset == 5


async def test_a_span_that_is_too_long_for_one_batch(small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacted, "MAX_SPAN", 2)
    await small_segments.start()
    topic = await compacted_topic(small_segments)
    partition = topic.partition(0)
    await small_segments.produce(partition, [(b"a", b"0")] * 7 + [(b"b", b"7"), (b"c", b"8")] + [(b"a", b"x")] * 5)
    await small_segments.roll(topic)
    await small_segments.produce(partition, [(b"a", bytes(4_000))])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    spans = [(base, end) for _, base, end, _ in batches(topic, 0)]
    assert [end for _, end in spans] == [*[base for base, _ in spans[1:]], 14]
    assert max(end - base for base, end in spans) == 3
    assert await small_segments.read(partition) == [(7, b"7"), (8, b"8"), (14, bytes(4_000))]


async def test_large_batches_and_what_waits_is_bounded(
    small_segments: WholeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacted, "MAX_BATCH_BYTES", 100)
    monkeypatch.setattr(compacted, "BUFFER_BYTES", 150)
    await small_segments.start()
    topic = await compacted_topic(small_segments, 2)
    for n in range(20):
        await small_segments.produce(topic.partition(n % 2), [(b"%d" % n, bytes(10))])
    await small_segments.roll(topic)
    await small_segments.keeper.compact(topic)
    assert all(count <= 4 for *_, count in batches(topic, 0))
    assert len(batches(topic, 0)) > 6
    for partition in topic.partitions:
        assert [offset for offset, _ in await small_segments.read(partition)] == list(range(10))
