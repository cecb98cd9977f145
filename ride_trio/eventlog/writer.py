"""The threads that write, and the trio thread's side of them.

    submit ──> the line ──> two write: each a commit and its sync in one system call (RWF_DSYNC)
                   │            └─ somebody waits for the write alone: then it is told of, and synced after it
                   └──> told of in order, whichever is done first

Two, because a thread that has written something has to be woken, get the processor and the interpreter before it writes
on: meanwhile the other one's commit keeps the disk busy. The threads know nothing: each does one piece of work after
the other. What is begun when, and who is told what, is decided on the trio thread, so nothing here needs a lock.

A commit that begins a segment is written when all before it are safe. When one can't be written, what was written
behind it is taken back with it, as soon as nobody writes.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import trio

from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import Commits
from ride_trio.eventlog.disk_errors import NO_ROOM
from ride_trio.eventlog.files import Begun, Files
from ride_trio.metrics import LogMetrics

# Commits that are written at a time; one more thread syncs.
LANES: Final = 2

# Of an eventfd's counter.
EVENTFD_BYTES: Final = 8
# A sync that nobody waits for (of records with acks=1, of partitions without tails) comes so long after the write, s.
LAZY_S: Final = 0.005

# What a thread does; and what the trio thread is told then: what went wrong, and how long it took, s.
Work = Callable[[], None]
Done = Callable[[OSError | None, float], None]


class Job:
    """A commit on its way.

    Attributes:
        begun: What it has begun to write.
        level: How far it is.
        told: `Commits` knows that it is written.
        error: Why it has failed.
        uncertain: Nobody knows what is in the files now.
    """

    __slots__ = ("begun", "commit", "error", "level", "told", "uncertain")

    def __init__(self, commit: Commit) -> None:
        self.commit = commit
        self.begun: list[Begun] = []
        self.level = Level.QUEUED
        self.told = False
        self.error: OSError | None = None
        self.uncertain = False

    def failed(self, error: OSError, *, uncertain: bool) -> None:
        self.level, self.error, self.uncertain = Level.FAILED, error, uncertain

    @property
    def is_awaited(self) -> bool:
        """Somebody may wait for it to be synced, and so for what is before it: a producer, or a tail."""
        commit = self.commit
        return (
            not commit.hurried
            or commit.awaited
            or bool(commit.rolls)
            or any(batch.partition.watchers for batch in commit.batches)
        )

    @property
    def begins_a_segment(self) -> bool:
        return any(not segment.exists for segment, _, _ in self.commit.parts)


class ThreadedWriter:
    """A `commits.Writer` on threads, which `run` owns."""

    def __init__(self, commits: Commits, metrics: LogMetrics) -> None:
        self._commits = commits
        self._metrics = metrics
        self._files = Files()
        # Both ways by eventfd: a queue of the library's and trio's `run_sync_soon` cost three times as much a commit.
        self._given: deque[tuple[Work, Done] | None] = deque()
        self._gives = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._done: deque[tuple[Done, OSError | None, float]] = deque()
        self._tells = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._broken = False  # a thread has died, or telling has failed: what is on its way will never be told of
        self._over = False
        self._line: deque[Job] = deque()  # in order, what is told of to the end excepted
        self._to_begin: deque[Job | Path] = deque()  # the part of it that no thread is at; and folders to be forgotten
        self._to_sync: list[Job] = []
        self._busy = 0  # threads, but for the one that syncs
        self._syncing = False
        self._sync_at = 0.0  # trio's clock, s: when what is to be synced is, at the latest
        self._failing = False  # a job has failed, and nobody has been told: nothing is begun

    def submit(self, commit: Commit) -> None:
        job = Job(commit)
        self._line.append(job)
        self._to_begin.append(job)
        self._begin_sync(at_once=job.is_awaited)
        self._begin()

    def forget(self, folder: Path) -> None:
        self._to_begin.append(folder)
        self._begin()

    def give_way(self) -> None:
        """Threads need the processor and the interpreter a few times a commit, for some microseconds. On one processor
        they would get them when a time slice is over otherwise (milliseconds), and the disk would wait.

        What only had to be written may be done by then. It is told of at once; and its answers go out with this pass,
        as connections are flushed later in it (the log runs before there is any).
        """
        os.sched_yield()
        self._see_to_what_is_done()

    # ------------------------------------------------------------------ threads

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the threads until cancelled; what was submitted is finished first."""
        limiter = trio.CapacityLimiter(LANES + 1)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(LANES + 1):
                    nursery.start_soon(self._thread, limiter)
                task_status.started()
                try:
                    while True:
                        await self._hear()
                finally:
                    with trio.CancelScope(shield=True):
                        while (self._line or self._to_begin) and not self._broken:
                            await self._hear()
                    self._give(None)
        finally:
            self._end()

    def _end(self) -> None:
        """All threads have ended."""
        self._files.close()
        self._over = True
        os.close(self._gives)
        os.close(self._tells)
        if self._broken and self._commits.in_flight:
            error = OSError(errno.EIO, "what writes it has failed")
            self._commits.on_failed(self._commits.in_flight[0], error, syncing=True)

    async def _thread(self, limiter: trio.CapacityLimiter) -> None:
        try:
            with trio.CancelScope(shield=True):  # all begin, or one would wait for another's end for ever
                await trio.to_thread.run_sync(self._work, limiter=limiter)
        except BaseException:
            self._broken = True
            os.eventfd_write(self._tells, 1)
            raise
        finally:
            self._give(None)  # for the next one

    async def _hear(self) -> None:
        """Wait until threads have done something, and see to it. The end of a pass may have, but it reads no eventfd:
        so trio does not sleep then, and tasks that were woken run."""
        if self._to_sync and not self._syncing:
            with trio.move_on_at(self._sync_at):
                await self._wait_for_threads()
            self._begin_sync()
        else:
            await self._wait_for_threads()
        self._see_to_what_is_done()

    async def _wait_for_threads(self) -> None:
        await trio.lowlevel.wait_readable(self._tells)
        os.eventfd_read(self._tells)

    def _see_to_what_is_done(self) -> None:
        while self._done:
            done, error, took_s = self._done.popleft()
            try:
                done(error, took_s)
            except BaseException:
                self._broken = True
                raise

    def _give(self, item: tuple[Work, Done] | None) -> None:
        if not self._over:
            self._given.append(item)
            os.eventfd_write(self._gives, 1)

    def _work(self) -> None:
        """A thread's life. Between two pieces of work nothing is held: neither files, which may have been deleted, nor
        records."""
        # Not `eventfd_read`, which a signal interrupts.
        while os.read(self._gives, EVENTFD_BYTES) and (item := self._given.popleft()) is not None:
            work, done = item
            began, failure = perf_counter(), None
            try:
                work()
            except OSError as error:
                failure = error.with_traceback(None)  # its frames have files and records
            self._done.append((done, failure, perf_counter() - began))
            del item, work, done, failure
            os.eventfd_write(self._tells, 1)

    # ------------------------------------------------------------------ what is begun

    def _begin(self) -> None:
        """Give threads what may be begun now, in order."""
        line = self._to_begin
        while line and self._busy < LANES and not self._failing:
            job = line[0]
            if isinstance(job, Path):
                if self._busy:
                    return  # at one of its files, perhaps
                self._start(partial(self._files.forget, job), self._on_forgotten)
            elif self._line[0] is job or not job.begins_a_segment:
                and_sync = not job.commit.hurried
                self._start(
                    partial(self._files.write, job.commit, job.begun, and_sync=and_sync),
                    partial(self._on_written, job, and_sync),
                )
            else:
                self._begin_sync(at_once=True)
                return
            line.popleft()

    def _start(self, work: Work, done: Done) -> None:
        self._busy += 1
        self._give((work, done))

    def _begin_sync(self, *, at_once: bool = False) -> None:
        """Sync all that is written by now together, if it is time to."""
        if self._to_sync and not self._syncing and (at_once or trio.current_time() >= self._sync_at):
            due, self._to_sync = self._to_sync, []
            self._syncing = True
            self._give((partial(_sync, due), partial(self._on_synced, due)))

    # ------------------------------------------------------------------ what is done

    def _on_forgotten(self, _: OSError | None, __: float) -> None:
        self._busy -= 1
        self._go_on()

    def _on_written(self, job: Job, and_sync: bool, error: OSError | None, took_s: float) -> None:
        self._busy -= 1
        (self._metrics.sync_time if and_sync else self._metrics.write_time).observe(took_s)
        if error is not None:
            job.failed(error, uncertain=and_sync and error.errno not in NO_ROOM)
            self._failing = True
        elif and_sync:
            job.level = Level.SYNCED
        else:
            job.level = Level.WRITTEN
            if any(each.is_awaited for each in self._line):
                self._sync_at = 0.0
            elif not self._to_sync:
                self._sync_at = trio.current_time() + LAZY_S
            self._to_sync.append(job)
        self._go_on()

    def _on_synced(self, jobs: list[Job], error: OSError | None, took_s: float) -> None:
        self._syncing = False
        self._metrics.sync_time.observe(took_s)
        for job in jobs:
            if error is not None:
                job.failed(error, uncertain=True)
                self._failing = True
            else:
                job.level = Level.SYNCED
        self._go_on()

    def _go_on(self) -> None:
        self._begin_sync(at_once=self._failing)  # what was acknowledged as written is not taken back
        self._tell()
        if self._failing and not self._busy and not self._syncing:
            self._give_up()
        self._begin()

    def _tell(self) -> None:
        """Of what is done, in order."""
        line, synced = self._line, []
        while line and line[0].level is Level.SYNCED:
            synced.append(line.popleft().commit)
        if synced:
            self._commits.on_synced(synced)
        for job in line:
            if job.level is not Level.WRITTEN and job.level is not Level.SYNCED:
                break
            if not job.told:
                job.told = True
                self._commits.on_written(job.commit)

    # ------------------------------------------------------------------ failures

    def _give_up(self) -> None:
        """Take back what has failed, and all that was written behind it: all that is in the line."""
        failed = list(self._line)
        uncertain, error = max(((job.uncertain, job.error) for job in failed if job.error), key=lambda each: each[0])
        if uncertain:
            self._fail(error, uncertain=True)
            return
        begun = [each for job in failed for each in job.begun]
        commits = [job.commit for job in failed]
        self._start(partial(self._files.take_back, begun, commits), partial(self._on_taken_back, error))

    def _on_taken_back(self, error: OSError, trouble: OSError | None, _: float) -> None:
        self._busy -= 1
        self._fail(trouble or error, uncertain=trouble is not None)
        self._go_on()

    def _fail(self, error: OSError, *, uncertain: bool) -> None:
        """Tell, and begin anew. What came meanwhile fails with it: it was never begun."""
        first = self._line[0].commit
        self._line.clear()
        self._to_begin = deque(job for job in self._to_begin if isinstance(job, Path))
        self._failing = False
        self._commits.on_failed(first, error, syncing=uncertain)


def _sync(jobs: Iterable[Job]) -> None:
    for handle in {handle: None for job in jobs for _, handle, _, _ in job.begun}:
        os.fdatasync(handle.fd)
