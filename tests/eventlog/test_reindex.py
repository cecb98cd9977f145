"""Damage to closed and newest segments, to their heads and indexes: seen, named, and nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ride_trio.errors import DamagedError
from ride_trio.eventlog import reindex
from ride_trio.eventlog.indexes import write_index
from tests.eventlog.damage import fill, flip, full, rolled, served, values
from tests.eventlog.logs import Core, append_from, read_all


async def test_a_damaged_record_of_a_closed_segment_is_data_loss_in_its_place(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    for number in range(3):
        fill(core, topic.partition(0), number)
        fill(core, topic.partition(1), number)
    damaged = topic.active.path
    rolled(core, topic)
    fill(core, topic.partition(0), 3)
    flip(damaged, b"value-1")  # partition 0's
    core = Core(tmp_path)
    topic = core.topic(2)
    assert await served(core, topic.partition(0)) == [*values(0), "DATA_LOSS", *values(2, 3)]
    assert await served(core, topic.partition(1)) == values(0, 1, 2)
    assert "damaged from byte" in core.notes[0]
    assert str(damaged) in core.notes[0]


@pytest.mark.parametrize("header", [False, True])
async def test_a_damaged_record_of_the_newest_segment_is_data_loss_in_its_place(tmp_path: Path, header: bool) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    places = []
    for number in range(4):
        places.append(topic.active.size)
        fill(core, topic.partition(0), number)
    flip(topic.active.path, places[1] + 20 if header else b"value-1")
    core = Core(tmp_path)
    topic = core.topic()
    assert await served(core, topic.partition(0)) == [*values(0), "DATA_LOSS", *values(2, 3)]
    assert core.notes == [f"{topic.active.path}: damaged from byte {places[1]} to {places[2]}"]
    fill(core, topic.partition(0), 4)
    core = Core(tmp_path)
    assert await served(core, core.topic().partition(0)) == [*values(0), "DATA_LOSS", *values(2, 3, 4)]


async def test_the_last_offsets_of_a_partition_are_not_given_out_anew_if_they_are_damaged(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    fill(core, topic.partition(0), 0, 1)
    fill(core, topic.partition(0), 2, 3)
    fill(core, topic.partition(1), 0)  # what tells that the ones before were synced
    flip(topic.active.path, b"value-3")
    core = Core(tmp_path)
    partition = core.topic(2).partition(0)
    assert partition.next_offset == 4
    fill(core, partition, 4)
    assert await served(core, partition) == [*values(0, 1), "DATA_LOSS", *values(4)]


async def test_each_hole_is_reported_with_its_own_place(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    places = []
    for number in range(3):
        for partition in topic.partitions:
            places.append(topic.active.size)
            fill(core, partition, number)
    path = topic.active.path
    flip(path, places[0] + 20)
    flip(path, places[3] + 20)
    core = Core(tmp_path)
    one, two = core.topic(2).partitions
    with pytest.raises(DamagedError, match=f"byte {places[0]}$"):
        await read_all(core.cursor(one, 0))
    with pytest.raises(DamagedError, match=f"byte {places[3]}$"):
        await read_all(core.cursor(two, 1))


async def test_damage_in_a_segment_that_was_closed_in_good_order_is_never_cut(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    fill(core, topic.partition(0), 1)
    write_index(topic.active)
    size = topic.active.size
    flip(topic.active.path, b"value-1")
    core = Core(tmp_path)
    topic = core.topic()
    assert topic.active.size == topic.active.path.stat().st_size == size
    assert await served(core, topic.partition(0)) == [*values(0), "DATA_LOSS"]
    assert not topic.active.index_path.exists()


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"garbage" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: flip(path, 15),  # the highest byte of the directory's count
        lambda path: flip(path, 35),
        lambda path: flip(path, path.stat().st_size - 1),
    ],
)
async def test_an_index_that_is_missing_or_damaged_is_made_anew(tmp_path: Path, damage: Damage) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    for partition in topic.partitions:
        fill(core, partition, 0, 1)
    rolled(core, topic)
    fill(core, topic.partition(1), 2)
    first = topic.segments[0]
    write_index(first)
    right = first.index_path.read_bytes()
    damage(first.index_path)
    core = Core(tmp_path)
    topic = core.topic(2)
    assert await served(core, topic.partition(0)) == values(0, 1)
    assert await served(core, topic.partition(1)) == values(0, 1, 2)
    assert first.index_path.read_bytes() == right
    assert core.notes == []


async def test_an_index_that_cannot_be_written_keeps_nobody_from_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0, 1)
    rolled(core, topic)
    monkeypatch.setattr(reindex, "write_index", full)
    core = Core(tmp_path)
    topic = core.topic()
    assert topic.segments[0].index  # kept in memory, until the disk has room
    assert await served(core, topic.partition(0)) == values(0, 1)
    topic.segments[0].index = None
    assert await served(core, topic.partition(0)) == values(0, 1)
    assert "can't be written: No space left" in core.notes[0]


async def test_a_file_of_the_middle_that_is_missing_is_data_loss(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    for number in range(3):
        fill(core, topic.partition(0), number)
        rolled(core, topic)
    for segment in topic.segments[:-1]:
        write_index(segment)
    topic.segments[1].path.unlink()
    for _ in range(2):
        core = Core(tmp_path)
        topic = core.topic()
        assert await served(core, topic.partition(0)) == [*values(0), "DATA_LOSS", *values(2)]
        assert "the segment behind it is missing" in core.notes[0]


async def test_left_over_files_go(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    for name in ("00000000000000000001.index.17.new", "00000000000000000009.index", "00000000000000000001-2-1.log.new"):
        (topic.folder / name).write_bytes(b"half")
    (topic.folder / "notes.log").write_bytes(b"somebody else's")
    core = Core(tmp_path)
    assert await served(core, core.topic().partition(0)) == values(0)
    assert sorted(path.name for path in topic.folder.iterdir()) == [topic.active.path.name, "notes.log"]


# ------------------------------------------------------------------ damaged heads


@pytest.mark.parametrize("at", [0, 9, 13, 40, 49, 60])
async def test_a_damaged_head_costs_nothing_if_segments_are_around_it(tmp_path: Path, at: int) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    for number in range(3):
        append_from(topic.partition(1), 5, 0, number, b"value-%d" % number)
        fill(core, topic.partition(0), number * 2, number * 2 + 1)
        rolled(core, topic)
    fill(core, topic.partition(0), 6)
    for segment in topic.segments:
        whole = segment.path.read_bytes()
        flip(segment.path, at)
        core = Core(tmp_path)
        found = core.topic(3)
        assert [p.begin_offset for p in found.partitions] == [0, 0, 0]
        assert [p.next_offset for p in found.partitions] == [7, 3, 0]
        assert await served(core, found.partition(0)) == values(*range(7))
        assert await served(core, found.partition(1)) == values(0, 1, 2)
        assert [found.partition(1).producers.of(5, 0).offset_of(n) for n in range(4)] == [0, 1, 2, None]
        assert any("the head is damaged" in note for note in core.notes)
        segment.path.write_bytes(whole)


async def test_records_of_one_commit_behind_a_damaged_head_are_not_cut(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    append_from(topic.partition(0), 5, 0, 0, b"value-0")
    core.flush()
    rolled(core, topic)
    fill(core, topic.partition(0), 1, 2)
    flip(topic.active.path, 13)
    core = Core(tmp_path)
    partition = core.topic(2).partition(0)
    assert await served(core, partition) == values(0, 1, 2)
    fill(core, partition, 3)
    core = Core(tmp_path)
    assert await served(core, core.topic(2).partition(0)) == values(0, 1, 2, 3)


async def test_the_first_segment_begins_where_its_batches_do_if_its_head_is_damaged(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    for partition in topic.partitions:
        fill(core, partition, 0, 1)
    rolled(core, topic)
    fill(core, topic.partition(1), 2)
    rolled(core, topic)
    first = topic.segments[0].path
    write_index(topic.segments[1])
    first.unlink()  # by retention
    flip(topic.segments[1].path, 13)
    core = Core(tmp_path)
    topic = core.topic(3)
    assert [(p.begin_offset, p.end_offset) for p in topic.partitions] == [(2, 2), (2, 3), (2, 2)]
    assert await served(core, topic.partition(1)) == values(2)


async def test_a_segment_of_another_topic_is_not_taken_for_ours(tmp_path: Path) -> None:
    core = Core(tmp_path)
    other = core.topic(1, topic_id=2)
    ours = core.topic(1, topic_id=1)
    fill(core, ours.partition(0), 0)
    fill(core, other.partition(0), 0)
    other.active.path.rename(ours.folder / "00000000000000000002.log")
    core = Core(tmp_path)
    core.topic()
    assert "the head is damaged" in core.notes[0]


async def test_a_head_that_is_damaged_behind_a_batch_that_is_too_hides_no_hole(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    fill(core, topic.partition(0), 0)
    lost = topic.active.size
    fill(core, topic.partition(0), 1)
    rolled(core, topic)
    fill(core, topic.partition(1), 0)  # nothing of partition 0
    rolled(core, topic)
    fill(core, topic.partition(0), 2)
    for segment in topic.segments[:2]:
        write_index(segment)
    flip(topic.segments[0].path, lost + 20)
    flip(topic.segments[1].path, 13)
    core = Core(tmp_path)
    assert await served(core, core.topic(2).partition(0)) == [*values(0), "DATA_LOSS", *values(2)]
