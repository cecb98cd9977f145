"""What of a topic goes when: the plans, made on the trio thread, and what carries them out, in another.

Segments go whole, the oldest first, for a topic's beginning is its oldest segment's (see `segments`):

- retention.bytes: those that leave too little room under the limit for the newest segment at its full size and for one
  more, which may fill before anybody looks again. So the limit is held, and 3/4 of it or more are kept.
- retention.ms: those whose latest record is older. A segment takes records for an eighth of that time, so a record goes
  at the latest when it is 9/8 as old as that, and somebody has looked.

The newest segment never goes. It is closed first, when its time is over or when it alone is larger than the limit, so a
topic that nobody writes to any more gets empty, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from ride_trio.eventlog.files import sync_folder
from ride_trio.eventlog.segments import Segment
from ride_trio.eventlog.topic import SEGMENTS_A_LIMIT, Topic

# How long a segment of a compacted topic takes records: what is in the newest one is not compacted.
COMPACTED_SEGMENT_MS: Final = 86_400_000


def must_roll(topic: Topic, now_ms: int) -> bool:
    """Whether a topic's newest segment has to be closed."""
    active, config = topic.active, topic.config
    if not active.has_batches:
        return False
    if not config.compact and 0 <= config.retention_bytes < active.size:
        return True
    bound_ms = COMPACTED_SEGMENT_MS if config.compact else config.retention_ms // SEGMENTS_A_LIMIT
    if bound_ms < 0 or active.head.created_ms >= now_ms - bound_ms:
        return False
    return _oldest_ms(active, now_ms) < now_ms - bound_ms


def _oldest_ms(active: Segment, now_ms: int) -> int:
    """When its records began; now, if none is on disk."""
    return min((rows.times[0] for rows in (active.index or {}).values()), default=now_ms)


def expired(topic: Topic, usual_segment_bytes: int, now_ms: int) -> list[Segment]:
    """Segments that go, oldest first.

    Args:
        topic: Whose cleanup.policy is delete.
        usual_segment_bytes: `LogOptions.segment_bytes`.
        now_ms: Unix ms.
    """
    config = topic.config
    left = config.retention_bytes - 2 * topic.segment_bytes(usual_segment_bytes)
    size = sum(segment.size for segment in topic.segments[:-1])
    gone = []
    for segment, following in pairwise(topic.segments):
        too_large = config.retention_bytes >= 0 and size > left
        too_old = config.retention_ms >= 0 and _newest_ms(segment) < now_ms - config.retention_ms
        # The next one says where the topic begins then: its file has to be there.
        if not (too_large or too_old) or segment.synced < segment.size or not following.exists:
            break
        gone.append(segment)
        size -= segment.size
    return gone


def _newest_ms(segment: Segment) -> int:
    return segment.max_timestamp or segment.head.created_ms


def remove(segments: Iterable[Segment]) -> None:
    """Remove segments' files; not one before those ahead of it are really gone, so that no gap can be left. Blocks."""
    for segment in segments:
        segment.path.unlink(missing_ok=True)
        sync_folder(segment.path.parent)
        segment.index_path.unlink(missing_ok=True)
        for cut in segment.path.parent.glob(f"{segment.path.name}.cut-*"):
            cut.unlink(missing_ok=True)
