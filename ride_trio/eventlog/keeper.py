"""The keeper: what a log needs done in the background, in small steps. What and why: `retention` and `compaction`.

Plans are made on the trio thread, which also puts segments in and out of their topics; files are for threads. A segment
leaves its topic before its file goes, so nobody looks for a file that is not there. One task closes and deletes, as
soon as a topic has begun a new segment; another one compacts, which takes longer.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import pairwise
from time import thread_time
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from ride_trio.errors import LogError
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.compaction import TOMBSTONE_MS, Outcome, Source, due, find_newest, groups, rewrite
from ride_trio.eventlog.cursor import RunSync
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.retention import expired, must_roll, remove
from ride_trio.eventlog.segments import Segment
from ride_trio.eventlog.topic import Topic

if TYPE_CHECKING:
    from ride_trio.eventlog.log import EventLog

log = logging.getLogger(__name__)

T = TypeVar("T")
# After each slice compaction rests so many times as long as that had of the processor: a quarter of a core at most.
RESTS: Final = 3


class Keeper:
    """Closes segments, deletes and compacts.

    Args:
        owner: Whose.
        run_sync: Runs what blocks, in a thread.
        worked_s: How long the thread that asks has worked, s.
    """

    def __init__(self, owner: EventLog, run_sync: RunSync, worked_s: Callable[[], float] = thread_time) -> None:
        self._log = owner
        self._run_sync = run_sync
        self._worked_s = worked_s
        self._rolled: dict[Topic, None] = {}
        self._wake = trio.Event()
        owner.commits.on_rolled = self._note_rolled

    async def run(self, every_s: float) -> None:
        """Look after all topics, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_all, every_s)
            nursery.start_soon(self._compact_all, every_s)

    def _note_rolled(self, topic: Topic) -> None:
        self._rolled[topic] = None
        self._wake.set()

    async def _keep_all(self, every_s: float) -> None:
        while True:
            for topic in list(self._log.topics.values()):
                await trio.lowlevel.checkpoint()
                await self.keep(topic)
            next_look = trio.current_time() + every_s
            while trio.current_time() < next_look:
                with trio.move_on_at(next_look):
                    await self._wake.wait()
                await self._keep_rolled()

    async def _keep_rolled(self) -> None:
        rolled, self._rolled, self._wake = self._rolled, {}, trio.Event()
        for topic in rolled:
            await self.keep(topic)

    async def _compact_all(self, every_s: float) -> None:
        while True:
            await trio.sleep(every_s)  # first of all: a server that has just started has better things to do
            for topic in list(self._log.topics.values()):
                await trio.lowlevel.checkpoint()
                if topic.config.compact:
                    await self.compact(topic)

    # ------------------------------------------------------------------ closing and deleting

    async def keep(self, topic: Topic) -> None:
        """Close a topic's newest segment if its time has come, delete what has to go, and write indexes of the rest."""
        async with self._at_work(topic):
            if must_roll(topic, self._log.now_ms()):
                await self._log.commits.roll(topic).wait(Level.SYNCED)
            if not topic.config.compact:
                await self._delete_expired(topic)
            await self._close_segments(topic)

    async def _delete_expired(self, topic: Topic) -> None:
        gone = expired(topic, self._log.options.segment_bytes, self._log.now_ms())
        if gone and not topic.deleted:
            del topic.segments[: len(gone)]
            await self._run_sync(remove, gone)
            self._log.metrics.retention("deleted").n += len(gone)
            self._log.metrics.freed.n += _size(gone)

    async def _close_segments(self, topic: Topic) -> None:
        """Write the index files of segments that will not grow any more."""
        for segment, following in pairwise(list(topic.segments)):
            is_closed = following.exists and segment.synced == segment.size  # a roll that fails is taken back
            if segment.index is not None and is_closed and not topic.deleted:
                await self._run_sync(write_index, segment)
                segment.index = None

    async def close_all(self) -> None:
        """At the end: nobody will have to scan the newest segments."""
        for topic in self._log.topics.values():
            async with self._at_work(topic):
                await self._close_segments(topic)
                if topic.active.exists and topic.active.synced == topic.active.size:
                    await self._run_sync(write_index, topic.active)

    @asynccontextmanager
    async def _at_work(self, topic: Topic) -> AsyncIterator[None]:
        """What fails is tried again at the next look. In a topic that is gone by then, what was just made goes, too."""
        try:
            yield
        except (LogError, OSError) as error:
            if not topic.deleted:
                log.warning("topic '%s': its files can't be kept in order: %s", topic.name, error)
        if topic.deleted:
            await self._run_sync(partial(shutil.rmtree, topic.folder, ignore_errors=True))

    # ------------------------------------------------------------------ compacting

    async def compact(self, topic: Topic) -> None:
        """Go over a topic, if that is worth it (see `compaction`)."""
        sources = due(topic)
        if sources:
            async with self._at_work(topic):
                await self._pass(topic, sources)

    async def _pass(self, topic: Topic, sources: Sequence[Source]) -> None:
        newest, count = await self._in_slices(topic, find_newest(sources))
        bound_bytes = topic.segment_bytes(self._log.options.segment_bytes)
        horizon_ms = self._log.now_ms() - TOMBSTONE_MS
        for group in groups(sources[:count], bound_bytes):
            before = sources[: sources.index(group[0])]
            if any(source.segment.damaged for source in before):
                horizon_ms = 0
            outcome: Outcome = await self._in_slices(topic, rewrite(group, newest, horizon_ms))
            if outcome.segment is not None:
                await self._replace(topic, [source.segment for source in group], outcome.segment)

    async def _replace(self, topic: Topic, old: Sequence[Segment], new: Segment) -> None:
        at = topic.segments.index(old[0])
        topic.segments[at : at + len(old)] = [new]
        await self._run_sync(remove, old)
        self._log.metrics.retention("compacted").n += len(old)
        self._log.metrics.freed.n += _size(old) - new.size

    async def _in_slices(self, topic: Topic, work: Generator[None, None, T]) -> T:
        """Run a generator in a thread, from one `yield` to the next, with rests between.

        Raises:
            FileNotFoundError: The topic was deleted.
        """
        with closing(work):
            while not topic.deleted:
                done, worked_s = await self._run_sync(self._next_slice, work)
                if done:
                    result: T = done[0]
                    return result
                await trio.sleep(worked_s * RESTS)
        raise FileNotFoundError(f"topic '{topic.name}' was deleted")

    def _next_slice(self, work: Generator[None, None, T]) -> tuple[list[T], float]:
        """Run a generator to its next `yield`, in a thread; what it returns at its end, and how long it has worked."""
        began_s = self._worked_s()
        done = []
        try:
            next(work)
        except StopIteration as stop:
            done.append(stop.value)
        return done, self._worked_s() - began_s


def _size(segments: Sequence[Segment]) -> int:
    return sum(segment.size for segment in segments)
