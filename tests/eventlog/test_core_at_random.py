"""Whatever is written, refused, cut short or restarted, and when: what was promised is there, once, in its place.

A dict is the model: of each partition the values that have an offset, and how many of them are written and synced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ride_trio.errors import DamagedError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.partition import Partition
from tests.eventlog.logs import NOW_MS, Core, encode, no_syncs, read, records

TOPICS, PARTITIONS = 2, 2
SEGMENT_BYTES = 1_500
PRODUCER = 7


@pytest.fixture(scope="module", autouse=True)
def _quick_disk() -> Iterator[None]:
    with no_syncs():
        yield


class Disk:
    """Lets a write have so many bytes, and no more, of all files together."""

    def __init__(self) -> None:
        self.left: int | None = None
        self._pwritev = os.pwritev

    def pwritev(self, fd: int, buffers: list[bytes], position: int, flags: int = 0) -> int:
        size = sum(map(len, buffers))
        if self.left is None:
            return self._pwritev(fd, buffers, position)
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = min(size, self.left)
        self.left -= size
        return self._pwritev(fd, [b"".join(buffers)[:size]], position)

    def pwrite(self, fd: int, data: bytes, position: int) -> int:
        return self.pwritev(fd, [data], position)


class Model:
    """The log under test, and what it should have."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self.disk = folder, disk
        self.values: dict[tuple[int, int], list[bytes]] = {}
        self.sequences: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        self.begins: dict[tuple[int, int], int] = {}
        self.synced: dict[tuple[int, int], int] = {}
        self.commits: list[tuple[Commit, dict[tuple[int, int], int]]] = []
        self.number = 0
        self.start()

    def start(self) -> None:
        self.core = Core(self.folder, segment_bytes=SEGMENT_BYTES, cache_bytes=1_000)
        self.topics = [self.core.topic(PARTITIONS, topic_id=number + 1) for number in range(TOPICS)]
        self.commits.clear()

    @property
    def partitions(self) -> Iterator[tuple[tuple[int, int], Partition]]:
        for topic in self.topics:
            yield from (((topic.topic_id, p.number), p) for p in topic.partitions)

    # ------------------------------------------------------------------ what happens

    def append(self, topic: int, partition: int, size: int) -> None:
        self.number += 1
        value = b"%d:" % self.number + bytes(size)
        place = self.topics[topic].partition(partition)
        place.append(encode(place, value), NOW_MS)
        self._appended(place, value)

    def append_from(self, topic: int, partition: int, sequence: int) -> None:
        place = self.topics[topic].partition(partition)
        known = place.producers.of(PRODUCER, 0).offset_of(sequence)
        value = b"sequence %d" % sequence
        if known is None:
            place.append_from(PRODUCER, 0, sequence, encode(place, value), NOW_MS)
            self._appended(place, value)
        else:
            assert self.values[topic + 1, partition][known] == value

    def _appended(self, place: Partition, value: bytes) -> None:
        key = place.topic.topic_id, place.number
        known = self.values.setdefault(key, [])
        known.append(value)
        assert place.next_offset == len(known)
        commit = self.core.commits.gathering
        if not self.commits or self.commits[-1][0] is not commit:
            self.commits.append((commit, {}))
        self.commits[-1][1][key] = len(known)

    def hand_over(self, hurried: bool) -> None:
        if hurried:
            self.core.commits.hurry()
        self.core.commits.hand_over_if_due()

    def write(self, room: int | None) -> None:
        if self.core.writer.given:
            self.disk.left = room
            self.core.writer.write()
            self.disk.left = None
        self.look()

    def sync(self) -> None:
        if self.core.writer.unsynced:
            self.core.writer.sync()
        self.look()

    def fail_sync(self) -> None:
        if self.core.writer.unsynced:
            self.core.writer.trouble = OSError(errno.EIO, "Input/output error")
            self.core.writer.sync()
            assert self.core.commits.failed is not None
            assert all(commit.level is Level.FAILED for commit, _ in self.commits)
            self.restart(lambda size: size)

    def look(self) -> None:
        """Take what commits have come to into the model."""
        for commit, ends in self.commits:
            if commit.level is Level.SYNCED:
                self.synced.update(ends)
        self.commits = [(c, ends) for c, ends in self.commits if c.level < Level.SYNCED]
        for key, partition in self.partitions:
            del self.values.setdefault(key, [])[partition.next_offset :]  # what has failed
            assert len(self.values[key]) == partition.next_offset
            assert partition.end_offset == self.synced.get(key, 0)

    def roll(self, topic: int) -> None:
        self.core.commits.roll(self.topics[topic])

    def close_segments(self, topic: int) -> None:
        for segment in self.topics[topic].segments[:-1]:
            if segment.index is not None and segment.synced == segment.size:
                following = self.topics[topic].segments[self.topics[topic].segments.index(segment) + 1]
                if following.exists:
                    write_index(segment)
                    segment.index = None

    def retain(self, topic: int) -> None:
        first, *others = self.topics[topic].segments
        if others and others[0].exists and first.synced == first.size:
            del self.topics[topic].segments[0]
            first.path.unlink()
            first.index_path.unlink(missing_ok=True)
            self.begins.update({(topic + 1, n): base for n, base in enumerate(others[0].head.bases)})

    def restart(self, cut: Callable[[int], int]) -> None:
        """The server dies, and of each file so much is left of what was written and not synced."""
        for topic in self.topics:
            segment = next((s for s in reversed(topic.segments) if s.exists), None)
            if segment is not None:
                unsynced = segment.path.stat().st_size - max(segment.synced, segment.head.size)
                os.truncate(segment.path, max(segment.synced, segment.head.size) + cut(unsynced))
        self.start()
        for key, partition in self.partitions:
            known = self.values.setdefault(key, [])
            assert self.synced.get(key, 0) <= partition.next_offset <= len(known)
            del known[partition.next_offset :]
            self.synced[key] = partition.end_offset
            assert partition.end_offset == partition.next_offset
        assert not [note for note in self.core.notes if "damaged" in note]

    def stop(self) -> None:
        """In good order."""
        self.core.flush()
        self.look()
        for number, topic in enumerate(self.topics):
            self.close_segments(number)
            if topic.active.exists:
                write_index(topic.active)
        self.restart(lambda size: size)
        assert self.core.notes == []

    # ------------------------------------------------------------------ what is seen

    async def check(self, key: tuple[int, int], start: int, rooms: list[int]) -> None:
        partition = self.topics[key[0] - 1].partition(key[1])
        begin = self.begins.get(key, 0)
        assert partition.begin_offset == begin
        cursor = self.core.cursor(partition, min(max(start, begin), partition.end_offset))
        start, found, turn = cursor.offset, list[tuple[int, bytes]](), 0
        while cursor.is_behind:
            some = records(await read(cursor, rooms[turn % len(rooms)]))
            found += [(r.offset, r.value) for r in some]
            turn += 1
        assert found == list(enumerate(self.values.get(key, [])))[start : self.synced.get(key, 0)]


def schedule(random: Random, steps: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What happens, one thing after the other."""
    kinds: dict[str, tuple[int, Callable[[], tuple[Any, ...]]]] = {
        "append": (30, lambda: (topic(), partition(), random.choice((0, 10, 60, 300, 900)))),
        "append_from": (15, lambda: (topic(), partition(), random.randrange(40))),
        "hand_over": (20, lambda: (random.random() < 0.5,)),
        "write": (20, lambda: (random.choice((None, None, None, random.randrange(3_000))),)),
        "sync": (15, lambda: ()),
        "roll": (2, lambda: (topic(),)),
        "close_segments": (3, lambda: (topic(),)),
        "retain": (1, lambda: (topic(),)),
        "restart": (2, lambda: (random.random(),)),
        "stop": (1, lambda: ()),
        "fail_sync": (1, lambda: ()),
        "check": (5, lambda: (topic(), partition(), random.randrange(60), [random.randrange(2_000) for _ in range(5)])),
    }

    def topic() -> int:
        return random.randrange(TOPICS)

    def partition() -> int:
        return random.randrange(PARTITIONS)

    for name in random.choices(list(kinds), [weight for weight, _ in kinds.values()], k=steps):
        yield name, kinds[name][1]()


async def carry_out(model: Model, name: str, args: tuple[Any, ...]) -> None:
    if name == "check":
        topic, partition, start, rooms = args
        await model.check((topic + 1, partition), start, rooms)
    elif name == "restart":
        model.restart(lambda size: int(size * args[0]))
    else:
        getattr(model, name)(*args)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "pwritev", disk.pwritev)
    monkeypatch.setattr(os, "pwrite", disk.pwrite)
    return disk


async def run(folder: Path, disk: Disk, random: Random, steps: int) -> Model:
    model = Model(folder, disk)
    for name, args in schedule(random, steps):
        await carry_out(model, name, args)
    return model


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_promised_is_there_once_in_its_place(tmp_path: Path, disk: Disk, seed: int) -> None:
    for number in range(4):
        model = await run(tmp_path / str(number), disk, Random(100 * seed + number), 200)
        model.stop()
        for key, _ in model.partitions:
            await model.check(key, 0, [1_000])


# ------------------------------------------------------------------ damage


@pytest.mark.parametrize("seed", range(8))
async def test_damage_anywhere_never_serves_what_was_not_stored(tmp_path: Path, disk: Disk, seed: int) -> None:
    random = Random(seed)
    for number in range(2):
        model = await run(tmp_path / str(number), disk, random, 100)
        model.core.flush()
        model.look()
        if random.random() < 0.5:
            model.stop()
        whole = {path: path.read_bytes() for path in model.folder.rglob("*") if path.is_file()}
        for _ in range(10):
            flip(random, [path for path, data in whole.items() if data], random.randint(1, 3))
            core = Core(model.folder, segment_bytes=SEGMENT_BYTES)
            for topic in [core.topic(PARTITIONS, topic_id=number + 1) for number in range(TOPICS)]:
                for partition in topic.partitions:
                    key = topic.topic_id, partition.number
                    await check_damaged(core, partition, model.values[key], model.begins.get(key, 0))
            for path, data in whole.items():
                path.write_bytes(data)


def flip(random: Random, paths: list[Path], count: int) -> None:
    """Flip a bit at some places in some files."""
    for path in random.choices(paths, k=count) if paths else ():
        data = bytearray(path.read_bytes())
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(data)


async def check_damaged(core: Core, partition: Partition, stored: list[bytes], begin: int) -> None:
    """Each offset is served as it was stored, or is DATA_LOSS; what is behind the end was cut, and that was told."""
    assert partition.begin_offset == begin or core.notes
    assert partition.end_offset <= len(stored)
    cursor = core.cursor(partition, partition.begin_offset)
    while cursor.is_behind:
        offset = cursor.offset
        try:
            (record,) = records(await read(cursor, 1))
        except DamagedError:
            cursor.offset += 1
        else:
            assert (record.offset, record.value) == (offset, stored[offset])
    assert partition.end_offset == len(stored) or core.notes
