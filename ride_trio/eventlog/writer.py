"""The threads that write.

    submit ──> the line ──> two lanes: each writes and syncs a commit in one system call (RWF_DSYNC)
                   │            └─ somebody waits for the write alone: writes, and hands on to the thread that syncs
                   └──> told of in order, whichever is done first

Two lanes, because a thread that has written something has to be woken, get the processor and the interpreter before it
writes on: meanwhile the other one's commit keeps the disk busy. A commit that begins a segment is written when all
before it are safe.

When a commit can't be written, what was written behind it is taken back with it, as soon as nobody writes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from queue import SimpleQueue
from threading import Condition
from time import perf_counter
from typing import Any, Final

import trio

from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import Commits
from ride_trio.eventlog.disk_errors import NO_ROOM
from ride_trio.eventlog.files import Begun, Files
from ride_trio.metrics import Histogram, LogMetrics

LANES: Final = 2
_WRITTEN: Final = (Level.WRITTEN, Level.SYNCED)


class Job:
    """A commit on its way; or a folder that is to be forgotten.

    Attributes:
        era: How many failures had been told of when it was submitted. What is of the era of a failure fails with it.
        begun: What it has begun to write.
        level: How far it is.
        told: The trio thread knows that it is written.
        error: Why it has failed.
        uncertain: Nobody knows what is in the files now.
    """

    __slots__ = ("begun", "era", "error", "level", "told", "uncertain", "work")

    def __init__(self, work: Commit | Path, era: int) -> None:
        self.work = work
        self.era = era
        self.begun: list[Begun] = []
        self.level = Level.QUEUED
        self.told = False
        self.error: OSError | None = None
        self.uncertain = False

    @property
    def commit(self) -> Commit:
        assert isinstance(self.work, Commit)
        return self.work

    @property
    def is_done_first(self) -> bool:
        """It waits until all before it are done, and it is the first in the line."""
        work = self.work
        return not isinstance(work, Commit) or any(segment.is_to_be_made for segment, _, _ in work.parts)

    def failed(self, error: OSError, *, uncertain: bool) -> Level:
        self.error, self.uncertain = error, uncertain
        return Level.FAILED


class ThreadedWriter:
    """A `commits.Writer` on threads, which `run` owns."""

    def __init__(self, commits: Commits, metrics: LogMetrics) -> None:
        self._commits = commits
        self._metrics = metrics
        self._files = Files()
        self._to_write: SimpleQueue[Job | None] = SimpleQueue()
        self._to_sync: SimpleQueue[Job | None] = SimpleQueue()
        # All that are not told of to the end, in order. The trio thread appends without the lock: that, and copying the
        # line, are one step for the interpreter.
        self._line: deque[Job] = deque()
        self._moved = Condition()  # held by threads that look at the line, or at what follows
        self._lanes = LANES  # that have not ended
        self._writing = 0  # jobs that threads are at
        self._era = 0  # of what is submitted
        self._failed_era = -1  # what is of it, or an earlier one, is not written any more
        self._failing = False  # it has failed, and nobody has been told
        self._dying = False  # a thread has ended by an error that is none of the disk's
        self._token = trio.lowlevel.current_trio_token()

    def submit(self, commit: Commit) -> None:
        self._put(Job(commit, self._era))

    def forget(self, folder: Path) -> None:
        self._put(Job(folder, self._era))

    def resume(self) -> None:
        self._era += 1

    def give_way(self) -> None:
        """Threads need the processor and the interpreter a few times a commit, for some microseconds. On one processor
        they would get them when a time slice is over otherwise (milliseconds), and the disk would wait.
        """
        os.sched_yield()

    def _put(self, job: Job) -> None:
        self._line.append(job)
        self._to_write.put(job)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the threads until cancelled; what was submitted is finished first."""
        limiter = trio.CapacityLimiter(LANES + 1)

        async def thread(loop: Callable[[], None]) -> None:
            with trio.CancelScope(shield=True):  # all begin, or one would wait for another's end for ever
                await trio.to_thread.run_sync(loop, limiter=limiter)

        async with trio.open_nursery() as nursery:
            for _ in range(LANES):
                nursery.start_soon(thread, self._write_loop)
            nursery.start_soon(thread, self._sync_loop)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._to_write.put(None)

    def _tell(self, function: Callable[..., Any], *args: Any) -> None:
        self._token.run_sync_soon(function, *args)

    # ------------------------------------------------------------------ threads

    def _write_loop(self) -> None:
        try:
            self._loop(self._write_next)
        finally:
            self._to_write.put(None)  # for the next lane
            with self._moved:
                self._lanes -= 1
                if not self._lanes:
                    self._files.close()
                    self._to_sync.put(None)

    def _sync_loop(self) -> None:
        self._loop(self._sync_next)

    def _loop(self, work: Callable[[], bool]) -> None:
        try:
            while work():
                pass
        except BaseException:
            with self._moved:
                self._dying = True
                self._moved.notify_all()
            raise

    def _write_next(self) -> bool:
        """Between two calls nothing is held: neither files, which may have been deleted, nor records."""
        job = self._to_write.get()
        if job is not None and self._begin(job):
            self._write(job)
        return job is not None

    def _begin(self, job: Job) -> bool:
        """Whether it is to be written, now that it is its turn."""
        with self._moved:
            while job.is_done_first and self._line[0] is not job and not self._dying:
                self._moved.wait()
            if isinstance(job.work, Commit) and job.era > self._failed_era and not self._dying:
                self._writing += 1
                return True
            if isinstance(job.work, Path):
                self._files.forget(job.work)
            self._line.remove(job)
            self._tell_what_is_done()  # behind it, perhaps
            self._moved.notify_all()
            return False

    def _write(self, job: Job) -> None:
        commit, began = job.commit, perf_counter()
        and_sync = not commit.hurried
        try:
            self._files.write(commit, job.begun, and_sync=and_sync)
            level = Level.SYNCED if and_sync else Level.WRITTEN
        except OSError as error:
            level = job.failed(error, uncertain=and_sync and error.errno not in NO_ROOM)
        self._got(level, [job], self._metrics.sync_time if and_sync else self._metrics.write_time, began)
        if level is Level.WRITTEN:
            self._to_sync.put(job)

    def _sync_next(self) -> bool:
        """Sync all that is written by now, at once."""
        due = [self._to_sync.get()]
        while not self._to_sync.empty():
            due.append(self._to_sync.get())
        written = [job for job in due if job is not None]
        if written:
            self._sync(written)
        return len(written) == len(due)

    def _sync(self, due: list[Job]) -> None:
        level, began = Level.SYNCED, perf_counter()
        try:
            for handle in {handle: None for job in due for _, handle, _, _ in job.begun}:
                os.fdatasync(handle.fd)
        except OSError as error:
            for job in due:
                level = job.failed(error, uncertain=True)
        self._got(level, due, self._metrics.sync_time, began)

    # ------------------------------------------------------------------ telling

    def _got(self, level: Level, jobs: list[Job], time: Histogram, began: float) -> None:
        """Jobs have got so far: tell the trio thread what is done, in order."""
        with self._moved:
            time.observe(perf_counter() - began)
            for job in jobs:
                job.level = level
            if level is not Level.WRITTEN:  # the other thread's by now
                self._writing -= len(jobs)
            if level is Level.FAILED:
                self._failing, self._failed_era = True, jobs[0].era
            self._tell_what_is_done()
            if self._failing and not self._writing:
                self._failing = False
                self._give_up()
            self._moved.notify_all()

    def _tell_what_is_done(self) -> None:
        synced = []
        while self._line and self._line[0].level is Level.SYNCED:
            synced.append(self._line.popleft().commit)
        if synced:
            self._tell(self._commits.on_synced, synced)
        for job in takewhile(lambda job: job.level in _WRITTEN, list(self._line)):
            if not job.told:
                job.told = True
                self._tell(self._commits.on_written, job.commit)

    def _give_up(self) -> None:
        """Take back what has failed, and all that was written behind it."""
        failed = [job for job in list(self._line) if isinstance(job.work, Commit) and job.era == self._failed_era]
        begun = [job for job in failed if job.level is not Level.QUEUED]
        errors = [(job.uncertain, job.error) for job in begun if job.error is not None]
        uncertain, error = max(errors, key=lambda each: each[0])
        if not uncertain:
            try:
                self._files.take_back([each for job in begun for each in job.begun], [job.commit for job in failed])
            except OSError as trouble:
                error, uncertain = trouble, True
        for job in begun:
            self._line.remove(job)
        self._tell(partial(self._commits.on_failed, failed[0].commit, error, syncing=uncertain))
