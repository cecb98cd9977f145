"""Group commit: many records, one write and one sync.

    append ──> gathering ──hand over──> written (acks=1) ──> synced (acks=-1; consumers see it)
               trio thread              threads (see `writer`)

Records gather in one `Commit` while the ones before it are on their way; it is handed over when none is, or when it is
worth to be written beside them: so the disk is busy, and the more there is to do, the larger commits are. Somebody
who waits for `WRITTEN` only need not wait for a sync: then it is handed over as soon as the ones before are written.

When a commit cannot be written (the disk is full), it and all that came after it fail together: offsets that were given
out are given out anew, so what is acknowledged later is as dense as ever. When a sync fails, nobody knows what is on
disk, so nothing more is accepted until the server is started anew.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import trio

from ride_trio.errors import LogError, LogFailedError, LogStoppedError
from ride_trio.eventlog.batches import HEADER_BYTES
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.disk_errors import disk_error
from ride_trio.eventlog.partition import Batch, Partition
from ride_trio.eventlog.pass_end import at_pass_ends
from ride_trio.eventlog.placing import end_of, place
from ride_trio.metrics import LogMetrics

if TYPE_CHECKING:
    from ride_trio.eventlog.cache import Cache
    from ride_trio.eventlog.topic import Topic

log = logging.getLogger(__name__)

# Commits that the writer may have at a time: two threads write, and the first that is through finds the next one.
MAX_UNWRITTEN: Final = 3
# A commit of this size is worth to be written beside others. Smaller ones wait, and grow: what is done for a commit
# costs as much as 30 records.
NEXT_BYTES: Final = 131_072
# A commit of this size is worth a write of its own, however many are in flight.
LARGE_BYTES: Final = 1_048_576
# Whoever has not said how long, waits so long for a commit, s; and how often that is looked at.
LATE_S: Final = 30.0
WATCH_EVERY_S: Final = 1.0


class Writer(Protocol):
    """Writes commits, in the order in which it is given them."""

    def submit(self, commit: Commit) -> None:
        """Write, call `Commits.on_written` (not needed if the commit is not `hurried`), sync, call `on_synced`; or call
        `on_failed` for the first that could not be written, and forget all that was submitted. On the trio thread,
        later: from a task, or from `give_way`."""

    def give_way(self) -> None:
        """A pass is over, and the trio thread has nothing to do for the moment. May call back; what that wakes runs in
        another pass at once."""

    def forget(self, folder: Path) -> None:
        """Keep no file of a folder open: it was deleted, and what is open takes its room on the disk."""


class Commits:
    """The trio thread's side; one a log.

    Attributes:
        gathering: Where records go now.
        in_flight: Handed over and neither synced nor failed, in order.
        bound_bytes: Of what is gathered and in flight; past it, `is_full`.
        room_bytes: What is in flight leaves of that for what gathers.
        failed: Why nothing more is accepted.
        stopped: The log is being closed.
        wanted_bytes: When what is gathered gets so large, `want` is to be called.
        on_rolled: Called with a topic that has begun a new segment, when the ones before are on disk.
        writer: Set once, before the first record.
    """

    writer: Writer

    def __init__(
        self, cache: Cache, metrics: LogMetrics, bound_bytes: int, segment_bytes: int, now_ms: Callable[[], int]
    ) -> None:
        self.gathering = Commit()
        self.in_flight: list[Commit] = []
        self.bound_bytes = self.room_bytes = bound_bytes
        self.failed: LogFailedError | None = None
        self.stopped = False
        self.wanted_bytes = sys.maxsize
        self.on_rolled: Callable[[Topic], None] = lambda topic: None
        self._cache = cache
        self._metrics = metrics
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms
        self._now = trio.lowlevel.current_clock().current_time
        self._unwritten = 0  # of those in flight, as far as we have been told
        self._due = False
        self._room = trio.lowlevel.ParkingLot()
        self._waiting_for_room: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Commits {self.gathering.size} bytes gathered, {self.bound_bytes - self.room_bytes} in flight>"

    # ------------------------------------------------------------------ for producers

    @property
    def size_bytes(self) -> int:
        """Gathered and in flight."""
        return self.gathering.size + self.bound_bytes - self.room_bytes

    @property
    def is_full(self) -> bool:
        """Producers have to wait; `when_room` tells when to look again."""
        return self.gathering.size >= self.room_bytes

    def when_room(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, when there may be room again."""
        self._waiting_for_room.append(tell)

    async def wait_room(self) -> None:
        """Wait until there is room."""
        while self.is_full:
            await self._room.park()

    def check(self) -> None:
        """Raises LogError if nothing is accepted: the disk has failed, or the server stops."""
        if self.failed is not None:
            raise LogFailedError(self.failed.message)
        if self.stopped:
            raise LogStoppedError("the server is stopping")

    def begin(self, batch: Batch) -> None:
        """A batch has been begun in the commit that gathers."""
        commit = self.gathering
        if not commit.batches:
            commit.began_at = self._now()
            self._due = True
        commit.batches.append(batch)

    def want(self) -> None:
        """What is gathered is so large that it is to be handed over."""
        self.wanted_bytes = sys.maxsize
        self._due = True

    def hurry(self) -> None:
        """Somebody waits for the commit that gathers to be `WRITTEN`, and not for more."""
        if not self.gathering.hurried:
            self.gathering.hurried = True
            self._due = True

    def holding(self, partition: Partition, offset: int) -> Commit | None:
        """A commit that is written and synced no earlier than the record at an offset, and fails only if that may have.

        None, if the record is on disk, or its topic was deleted.
        """
        if offset < partition.end_offset or partition.topic.deleted:
            return None
        if offset < partition.written_offset:
            return next(commit for commit in reversed(self.in_flight) if commit.level is Level.WRITTEN)
        return self.gathering if self.gathering.batches else self.in_flight[-1]

    def roll(self, topic: Topic) -> Commit:
        """Begin a new segment of a topic, with the next commit.

        Raises:
            LogError: As `check`.
        """
        self.check()
        self.gathering.rolls[topic] = None
        self._due = True
        return self.gathering

    # ------------------------------------------------------------------ handing over

    async def run(self) -> None:
        """Hand over what has gathered, with all that came in the same pass, until cancelled."""
        await at_pass_ends(self._end_pass)

    def _end_pass(self) -> None:
        if self._due:
            self._due = False
            self.hand_over_if_due()
        if self.in_flight:
            self.writer.give_way()

    async def watch(self) -> None:
        """Give up those that wait for a disk that does not answer, for ever: one timer for all of them."""
        while True:
            await trio.sleep(WATCH_EVERY_S)
            for commit in (*self.in_flight, self.gathering):
                if commit.batches and not commit.late and self._now() - commit.began_at >= LATE_S:
                    commit.late = True
                    commit.tell()

    def hand_over_if_due(self) -> None:
        commit = self.gathering
        self.wanted_bytes = sys.maxsize
        if self._unwritten >= MAX_UNWRITTEN or self.failed is not None:
            return
        enough = 0 if not self.in_flight else NEXT_BYTES if len(self.in_flight) < MAX_UNWRITTEN else LARGE_BYTES
        hurried = commit.hurried and not self._unwritten
        if not (commit.batches or commit.rolls) or (commit.size < enough and not hurried):
            self.wanted_bytes = max(1, enough)
            return
        self.gathering = Commit()
        for batch in commit.batches:
            batch.partition.close_batch()
        place(commit, self._segment_bytes, self._now_ms())
        self._unwritten += 1
        self.in_flight.append(commit)
        self.room_bytes -= commit.size
        self.writer.submit(commit)

    # ------------------------------------------------------------------ called back

    def on_written(self, commit: Commit) -> None:
        if self.failed is not None:
            return
        self._written(commit)
        commit.reach(Level.WRITTEN)
        self._due = True

    def _written(self, commit: Commit) -> None:
        self._unwritten -= 1
        for batch in commit.batches:
            batch.partition.written_offset = batch.end_offset
        for segment, position, batches in commit.parts:
            segment.exists = True
            segment.written = end_of(position, batches)

    def on_synced(self, commits: list[Commit]) -> None:
        """They are the first ones in flight."""
        if self.failed is not None:
            return
        for commit in commits:
            if commit.level is Level.QUEUED:
                self._written(commit)
            self.in_flight.remove(commit)
            self.room_bytes += commit.size
            self._show(commit)
            commit.reach(Level.SYNCED)
            for topic in commit.rolls:
                self.on_rolled(topic)
        self._due = True
        self._tell_room()

    def _show(self, commit: Commit) -> None:
        """Let consumers see what is on disk now."""
        moved: dict[Partition, None] = {}
        put = self._cache.put
        for segment, position, batches in commit.parts:
            records = 0
            for batch in batches:
                partition, payload, at, size = batch.partition, batch.payload, batch.position, batch.size
                segment.add(partition.number, batch.base_offset, at, size, batch.max_timestamp)
                put((segment, at), payload, size)
                partition.end_offset = batch.base_offset + batch.count
                records += batch.count
                moved[partition] = None
            segment.synced = end_of(position, batches)
            if batches:
                topic = batches[0].partition.topic
                topic.produced.n += records
                topic.produced_bytes.n += segment.synced - position - len(batches) * HEADER_BYTES
        if commit.batches:
            self._metrics.commit_bytes.observe(commit.size)
            self._metrics.commit_time.observe(self._now() - commit.began_at)
        for partition in moved:
            for tell in partition.watchers:
                tell()

    def on_failed(self, commit: Commit, error: OSError, *, syncing: bool) -> None:
        """The first commit that could not be written, or synced. What is behind it can't be, either.

        Args:
            commit: It.
            error: Why.
            syncing: Nobody knows what is on disk now.
        """
        if self.failed is not None:
            return
        self._metrics.commit_failures.n += 1
        if syncing:
            self.failed = LogFailedError(f"the log can't be written any more: {error}; start the server anew")
            log.critical("the log can't be written any more, nothing is accepted: %s", error)
            failure: LogError = self.failed
        else:
            failure = disk_error(error)
            log.error("the log can't be written: %s", error)
        self._undo(commit, failure)

    def _undo(self, commit: Commit, failure: LogError) -> None:
        at = self.in_flight.index(commit)
        failed = [*self.in_flight[at:], self.gathering]
        del self.in_flight[at:]
        self.room_bytes += sum(c.size for c in failed[:-1])
        self.gathering = Commit()
        self._unwritten = 0  # a writer has told us of those before
        for topic in {topic: None for c in failed for topic in (*c.rolls, *(b.partition.topic for b in c.batches))}:
            topic.undo()
        for each in failed:
            each.reach(Level.FAILED, failure)
        self._tell_room()

    def _tell_room(self) -> None:
        if not self.is_full:
            self._room.unpark_all()
            waiting, self._waiting_for_room = self._waiting_for_room, []
            for tell in waiting:
                tell()

    async def passed(self) -> None:
        """Wait until nothing is on its way to a file that was when this was called."""
        for commit in list(self.in_flight):
            with suppress(LogError):
                await commit.wait(Level.SYNCED)

    async def settled(self) -> None:
        """Wait until everything that was accepted is on disk, or has failed."""
        while self.gathering.batches or self.in_flight:
            if self.failed is not None:
                return
            last = self.gathering if self.gathering.batches else self.in_flight[-1]
            with suppress(LogError):
                await last.wait(Level.SYNCED)
