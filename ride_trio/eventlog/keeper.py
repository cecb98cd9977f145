"""The keeper: what a log needs done in the background, in small steps. See `retention` for what goes when."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from ride_trio.eventlog.cursor import RunSync
from ride_trio.eventlog.indexes import write_index
from ride_trio.eventlog.topic import Topic

if TYPE_CHECKING:
    from ride_trio.eventlog.log import EventLog

log = logging.getLogger(__name__)


class Keeper:
    """Closes segments, deletes and compacts.

    Args:
        owner: Whose.
        run_sync: Runs what blocks, in a thread.
    """

    def __init__(self, owner: EventLog, run_sync: RunSync) -> None:
        self._log = owner
        self._run_sync = run_sync

    async def run(self, every_s: float) -> None:
        """Look after all topics, for ever."""
        while True:
            for topic in list(self._log.topics.values()):
                await self._keep(topic)
            await trio.sleep(every_s)

    async def _keep(self, topic: Topic) -> None:
        await self._close_segments(topic)

    async def _close_segments(self, topic: Topic) -> None:
        """Write the index files of segments that will not grow any more."""
        for segment in topic.segments[:-1]:
            if segment.index is not None and segment.synced == segment.size and not topic.deleted:
                try:
                    await self._run_sync(write_index, segment)
                except OSError as error:
                    log.warning("no index of %r: %s", segment, error)
                    return
                segment.index = None

    async def close_all(self) -> None:
        """At the end: nobody will have to scan the newest segments."""
        for topic in self._log.topics.values():
            await self._close_segments(topic)
            if topic.active.exists and topic.active.synced == topic.active.size:
                await self._run_sync(write_index, topic.active)
