"""What is left after crashes and damage: all that was before it, and never a word that is not true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ride_trio.errors import SequenceTooOldError
from tests.eventlog.damage import fill, flip, full, rolled, served, values
from tests.eventlog.logs import Core, append, append_from

# ------------------------------------------------------------------ nothing wrong


async def test_a_topic_without_files_gets_a_first_segment(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    assert [p.next_offset for p in topic.partitions] == [0, 0, 0]
    assert (topic.active.exists, core.notes) == (False, [])
    fill(core, topic.partition(2), 0, 1)
    again = Core(tmp_path)
    topic = again.topic(3)
    assert [p.next_offset for p in topic.partitions] == [0, 0, 2]
    assert await served(again, topic.partition(2)) == values(0, 1)
    assert again.notes == []


async def test_segments_and_ends_and_producers_are_found_again(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(3)
    one, two, _ = topic.partitions
    fill(core, one, 0, 1, 2)
    append_from(two, 7, 1, 0, b"value-0")
    append_from(two, 7, 1, 1, b"value-1")
    core.flush()
    rolled(core, topic)
    fill(core, one, 3)
    append_from(two, 7, 1, 2, b"value-2")
    core.flush()
    again = Core(tmp_path)
    topic = again.topic(3)
    assert [p.begin_offset for p in topic.partitions] == [0, 0, 0]
    assert [p.end_offset for p in topic.partitions] == [p.next_offset for p in topic.partitions] == [4, 3, 0]
    assert await served(again, topic.partition(0)) == values(0, 1, 2, 3)
    assert await served(again, topic.partition(1)) == values(0, 1, 2)
    assert [topic.partition(1).producers.of(7, 1).offset_of(n) for n in range(4)] == [0, 1, 2, None]
    assert again.notes == []


async def test_what_is_written_after_recovery_follows(tmp_path: Path) -> None:
    for start in range(0, 12, 3):
        core = Core(tmp_path)
        topic = core.topic(2)
        fill(core, topic.partition(0), *range(start, start + 3))
        if start == 3:
            rolled(core, topic)
    core = Core(tmp_path)
    assert await served(core, core.topic(2).partition(0)) == values(*range(12))


# ------------------------------------------------------------------ torn


async def test_a_file_that_is_cut_anywhere_serves_what_is_wholly_before(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    partition = topic.partition(1)
    ends = {topic.active.head.size: 0}
    for number in range(4):
        fill(core, partition, number * 2, number * 2 + 1)
        ends[topic.active.size] = partition.end_offset
    path = topic.active.path
    whole = path.read_bytes()
    last = max(end for end in ends if end < len(whole))
    for size in (*range(topic.active.head.size, last, 11), *range(last, len(whole))):
        path.write_bytes(whole[:size])
        core = Core(tmp_path)
        partition = core.topic(2).partition(1)
        kept = max(end for end in ends if end <= size)
        assert partition.next_offset == partition.end_offset == ends[kept]
        assert await served(core, partition) == values(*range(ends[kept]))
        aside = path.with_name(f"{path.name}.cut-{kept}")
        if kept < size:
            assert aside.read_bytes() == whole[kept:size]
            assert len(core.notes) == 1
            assert str(path) in core.notes[0]
            assert aside.name in core.notes[0]
            aside.unlink()
        else:
            assert core.notes == []
        assert path.read_bytes() == whole[:kept]
        fill(core, partition, ends[kept])
        assert await served(core, partition) == values(*range(ends[kept] + 1))


async def test_a_file_that_is_cut_in_its_head_was_being_made(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(2)
    fill(core, topic.partition(0), 0, 1)
    rolled(core, topic)
    path = topic.active.path
    head = path.read_bytes()
    for size in range(len(head)):
        path.write_bytes(head[:size])
        core = Core(tmp_path)
        topic = core.topic(2)
        assert not path.exists()
        assert len(topic.segments) == 1
        assert await served(core, topic.partition(0)) == values(0, 1)
        assert path.name in core.notes[0]


async def test_garbage_behind_the_last_batch_is_cut(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0, 1)
    with topic.active.path.open("ab") as file:
        file.write(b"Rt\x01" * 50)
    core = Core(tmp_path)
    partition = core.topic().partition(0)
    assert await served(core, partition) == values(0, 1)
    fill(core, partition, 2)
    core = Core(tmp_path)
    assert await served(core, core.topic().partition(0)) == values(0, 1, 2)
    assert core.notes == []


async def test_what_is_whole_behind_a_torn_write_is_cut_too(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    append(topic.partition(0), b"value-1")
    core.write()
    append(topic.partition(0), b"value-2")
    core.write()
    flip(topic.active.path, b"value-1")
    core = Core(tmp_path)
    assert await served(core, core.topic().partition(0)) == values(0)
    assert "the server died while it wrote" in core.notes[0]


async def test_a_tail_is_cut_though_the_disk_has_no_room_to_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    fill(core, topic.partition(0), 0)
    with topic.active.path.open("ab") as file:
        file.write(b"torn")
    monkeypatch.setattr(Path, "write_bytes", full)
    core = Core(tmp_path)
    topic = core.topic()
    assert await served(core, topic.partition(0)) == values(0)
    assert topic.active.size == topic.active.path.stat().st_size
    assert "no room to keep" in core.notes[0]


async def test_what_was_written_is_synced_before_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    append(topic.partition(0), b"value-0")
    core.write()  # and the server is killed: the record is in the system's memory
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    core = Core(tmp_path)
    assert await served(core, core.topic().partition(0)) == values(0)
    assert str(topic.active.path) in synced


async def test_a_topics_folder_is_on_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    core = Core(tmp_path)
    fill(core, core.topic().partition(0), 0)
    assert str(tmp_path) in synced


# ------------------------------------------------------------------ producers


async def test_an_epoch_that_began_while_a_segment_did_keeps_nobody_from_starting(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    partition = topic.partition(0)
    append_from(partition, 5, 0, 0, b"value-0")
    core.flush()
    core.commits.roll(topic)
    append_from(partition, 5, 0, 1, b"value-1")
    append_from(partition, 5, 1, 0, b"value-2")
    core.flush()
    core = Core(tmp_path)
    partition = core.topic().partition(0)
    assert await served(core, partition) == values(0, 1, 2)
    assert partition.producers.of(5, 1).offset_of(0) == 2


async def test_what_is_forgotten_stays_so_after_a_restart(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic()
    partition = topic.partition(0)
    for sequence in range(0, 400, 2):
        append_from(partition, 5, 0, sequence, b"")
    core.flush()
    rolled(core, topic)
    core = Core(tmp_path)
    producer = core.topic().partition(0).producers.of(5, 0)
    assert producer.offset_of(398) == 199
    assert producer.offset_of(397) is None
    with pytest.raises(SequenceTooOldError):
        producer.offset_of(0)
