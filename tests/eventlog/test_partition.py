"""Offsets are given out densely, and records gather in batches that are worth their headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ride_trio.eventlog.batches import MAX_BATCH_BYTES
from ride_trio.eventlog.partition import Batch, Partition
from tests.eventlog.logs import NOW_MS, Core, append, append_from, read_all, records


@pytest.fixture
async def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


@pytest.fixture
async def partition(core: Core) -> Partition:
    return core.topic().partition(0)


def batches(core: Core) -> list[Batch]:
    """What has gathered, closed."""
    found = core.commits.gathering.batches
    for batch in found:
        batch.partition.close_batch()
    return found


async def test_records_of_a_partition_gather_in_one_batch(core: Core, partition: Partition) -> None:
    for number in range(5):
        assert partition.next_offset == number
        append(partition, b"value-%d" % number, timestamp=NOW_MS - number)
    (batch,) = batches(core)
    assert (batch.base_offset, batch.count, batch.end_offset, batch.max_timestamp) == (0, 5, 5, NOW_MS)
    assert [r.offset for r in records(batch.payload)] == list(range(5))
    assert batch.size == core.commits.gathering.size == len(batch.payload)
    assert (partition.end_offset, partition.written_offset) == (0, 0)


async def test_a_large_batch_is_followed_by_another(core: Core, partition: Partition) -> None:
    for _ in range(7):
        append(partition, b"x" * (MAX_BATCH_BYTES // 3))
    assert [(b.base_offset, b.count) for b in batches(core)] == [(0, 3), (3, 3), (6, 1)]


async def test_an_idempotent_producer_has_batches_of_its_own(core: Core, partition: Partition) -> None:
    append_from(partition, 7, 0, 0, b"")
    append_from(partition, 7, 0, 1, b"")
    append_from(partition, 8, 0, 2, b"")  # another producer
    append(partition, b"")  # none
    append_from(partition, 8, 0, 3, b"")
    append_from(partition, 8, 0, 5, b"")  # a gap
    append_from(partition, 8, 1, 6, b"")  # an epoch
    found = [(b.producer_id, b.producer_epoch, b.base_sequence, b.base_offset, b.count) for b in batches(core)]
    assert found == [
        (7, 0, 0, 0, 2),
        (8, 0, 2, 2, 1),
        (0, 0, 0, 3, 1),
        (8, 0, 3, 4, 1),
        (8, 0, 5, 5, 1),
        (8, 1, 6, 6, 1),
    ]
    assert partition.producers.of(7, 0).offset_of(1) == 1


async def test_what_was_not_written_is_given_out_anew(core: Core, partition: Partition) -> None:
    append_from(partition, 7, 0, 0, b"first")
    core.flush()
    append_from(partition, 7, 0, 1, b"lost")
    core.commits.gathering.batches.clear()
    partition.undo()
    assert (partition.next_offset, partition.open) == (1, None)
    assert partition.producers.of(7, 0).offset_of(0) == 0
    assert partition.producers.of(7, 0).offset_of(1) is None
    append(partition, b"second")
    core.flush()
    assert await read_all(core.cursor(partition)) == [(0, b"first"), (1, b"second")]


async def test_it_tells_where_it_begins_and_ends(core: Core, partition: Partition) -> None:
    append(partition, b"a", b"b")
    assert (partition.begin_offset, partition.end_offset, partition.next_offset) == (0, 0, 2)
    core.write()
    assert (partition.written_offset, partition.end_offset) == (2, 0)
    core.writer.sync()
    assert partition.end_offset == 2
    assert repr(partition) == "<Partition topic-1/0, 0 to 2>"
