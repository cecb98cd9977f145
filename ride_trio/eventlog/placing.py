"""Which batch of a commit goes into which file, and where: decided on the trio thread, before a thread writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ride_trio.eventlog.batches import HEADER_BYTES
from ride_trio.eventlog.partition import Batch

if TYPE_CHECKING:
    from ride_trio.eventlog.commit import Commit, Part
    from ride_trio.eventlog.topic import Topic


def place(commit: Commit, usual_segment_bytes: int, now_ms: int) -> None:
    """Give each of a commit's batches, which are closed, its place in its topic's newest segment.

    Args:
        commit: Gets its `parts`; and in `rolls`, too, the topics whose segment was full. What is for a topic that was
            deleted goes nowhere.
        usual_segment_bytes: `LogOptions.segment_bytes`.
        now_ms: Unix ms.
    """
    topics: dict[Topic, list[Batch]] = {topic: [] for topic in commit.rolls}
    for batch in commit.batches:
        topics.setdefault(batch.partition.topic, []).append(batch)
    for topic, batches in topics.items():
        if not topic.deleted:
            _place_in(topic, batches, commit, topic.segment_bytes(usual_segment_bytes), now_ms)


def _place_in(topic: Topic, batches: list[Batch], commit: Commit, bound_bytes: int, now_ms: int) -> None:
    part: Part | None = None
    if topic in commit.rolls and topic.active.has_batches:
        part = _begin_segment(topic, batches, commit, now_ms)
    for number, batch in enumerate(batches):
        size = HEADER_BYTES + batch.size
        if topic.active.has_batches and topic.active.size + size > bound_bytes:
            part = _begin_segment(topic, batches[number:], commit, now_ms)
        elif part is None:
            part = (topic.active, topic.active.size, [])
            commit.parts.append(part)
        segment, _, placed = part
        batch.segment, batch.position = segment, segment.size
        placed.append(batch)
        segment.size += size


def _begin_segment(topic: Topic, rest: list[Batch], commit: Commit, now_ms: int) -> Part:
    segment = topic.roll(now_ms, rest)
    part: Part = (segment, segment.size, [])
    commit.parts.append(part)
    commit.rolls[topic] = None
    return part


def end_of(position: int, batches: list[Batch]) -> int:
    """Where a part ends that begins at a position."""
    return batches[-1].position + HEADER_BYTES + batches[-1].size if batches else position
