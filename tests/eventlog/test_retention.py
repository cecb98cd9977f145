"""Plans of retention: which segments go, and when the newest one is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ride_trio.eventlog.retention import COMPACTED_SEGMENT_MS, expired, must_roll, remove
from ride_trio.eventlog.topic import Topic
from tests.eventlog.damage import rolled
from tests.eventlog.logs import NOW_MS, Core, append

LIMIT = 1 << 20
SEGMENT = LIMIT // 8
HOUR_MS = 3_600_000


def fill(core: Core, topic: Topic, size_bytes: int, timestamp: int = NOW_MS) -> None:
    """Bring the newest segment to a size."""
    frame = topic.active.size + 72 + 40
    append(topic.partition(0), bytes(size_bytes - frame), timestamp=timestamp)
    core.flush()


def filled(core: Core, segments: int, **configs: str) -> Topic:
    """A topic with so many full segments, and an empty one."""
    topic = core.topic(**configs)
    for _ in range(segments):
        fill(core, topic, SEGMENT)
        rolled(core, topic)
    return topic


@pytest.mark.parametrize(("full", "gone"), [(1, 0), (6, 0), (7, 1), (10, 4)])
async def test_room_is_kept_for_two_full_segments(tmp_path: Path, full: int, gone: int) -> None:
    topic = filled(Core(tmp_path, segment_bytes=SEGMENT), full, retention_bytes=str(LIMIT + 1_000))
    assert expired(topic, SEGMENT, NOW_MS) == topic.segments[:gone]


@pytest.mark.parametrize(("age_ms", "gone"), [(HOUR_MS, 0), (HOUR_MS + 1, 2)])
async def test_segments_go_by_their_latest_record(tmp_path: Path, age_ms: int, gone: int) -> None:
    core = Core(tmp_path)
    topic = core.topic(retention_ms=str(HOUR_MS))
    for timestamps in ((NOW_MS - age_ms - 5, NOW_MS - age_ms), (NOW_MS - age_ms,), (NOW_MS,), (NOW_MS - 9 * HOUR_MS,)):
        for timestamp in timestamps:
            append(topic.partition(0), b"x", timestamp=timestamp)
        core.flush()
        rolled(core, topic)
    # The last one is older, but not before those ahead of it.
    assert expired(topic, SEGMENT, NOW_MS) == topic.segments[:gone]


async def test_without_limits_nothing_goes(tmp_path: Path) -> None:
    topic = filled(Core(tmp_path, segment_bytes=SEGMENT), 3, retention_bytes="-1", retention_ms="-1")
    assert expired(topic, SEGMENT, NOW_MS + 10**12) == []


async def test_a_segment_stays_until_the_next_one_has_its_file(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(retention_ms="0")
    fill(core, topic, 1_000)
    core.commits.roll(topic)
    core.commits.hand_over_if_due()
    assert len(topic.segments) == 2
    assert expired(topic, SEGMENT, NOW_MS + 1) == []
    core.writer.write()
    core.writer.sync()
    assert expired(topic, SEGMENT, NOW_MS + 1) == topic.segments[:1]


async def test_a_segment_stays_until_it_is_on_disk(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(retention_ms="0")
    append(topic.partition(0), b"x")
    core.write()
    core.commits.roll(topic)
    core.commits.gathering.hurried = True
    core.commits.hand_over_if_due()
    core.writer.write()
    assert topic.active.exists
    assert expired(topic, SEGMENT, NOW_MS + 1) == []
    core.writer.sync()
    assert expired(topic, SEGMENT, NOW_MS + 1) == topic.segments[:1]


# ------------------------------------------------------------------ the newest


@pytest.mark.parametrize(
    ("configs", "age_ms"),
    [
        ({"retention_ms": str(8 * HOUR_MS)}, HOUR_MS),
        ({"cleanup_policy": "compact", "retention_ms": "1000", "retention_bytes": "1"}, COMPACTED_SEGMENT_MS),
    ],
)
async def test_it_is_closed_when_its_oldest_record_is_of_an_age(
    tmp_path: Path, configs: dict[str, str], age_ms: int
) -> None:
    core = Core(tmp_path)
    topic = core.topic(2, **configs)
    assert not must_roll(topic, NOW_MS + 10 * age_ms)  # nothing is in it
    append(topic.partition(0), b"first", timestamp=NOW_MS + 50)
    core.flush()
    append(topic.partition(0), b"later", timestamp=NOW_MS + 10 * age_ms)
    append(topic.partition(1), b"later", timestamp=NOW_MS + 10 * age_ms)
    core.flush()
    assert not must_roll(topic, NOW_MS + 50 + age_ms)
    assert must_roll(topic, NOW_MS + 50 + age_ms + 1)


async def test_it_is_not_closed_for_what_is_not_on_disk_yet(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(retention_ms="0")
    append(topic.partition(0), b"x")
    core.write()
    assert topic.active.has_batches
    assert not must_roll(topic, NOW_MS + HOUR_MS)
    core.writer.sync()
    assert must_roll(topic, NOW_MS + HOUR_MS)


async def test_it_is_not_closed_without_a_reason(tmp_path: Path) -> None:
    core = Core(tmp_path)
    topic = core.topic(retention_ms="-1", retention_bytes="-1")
    fill(core, topic, 1_000)
    assert topic.active.has_batches
    assert not must_roll(topic, NOW_MS + 10**12)


# ------------------------------------------------------------------ files


async def test_all_files_of_a_segment_go(tmp_path: Path) -> None:
    topic = filled(Core(tmp_path), 2)
    first, second, active = topic.segments
    for path in (first.index_path, first.path.with_name(f"{first.path.name}.cut-77"), second.index_path):
        path.write_bytes(b"")
    remove([first])
    assert sorted(topic.folder.iterdir()) == [second.index_path, second.path, active.path]
    remove([first])  # what has gone may go again
