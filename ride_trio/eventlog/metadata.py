"""The small facts of the log: which topics there are, and what groups have committed. The file is in `tables.py`.

What a change has returned from is on disk. SQLite takes its time in a thread, one transaction after the other; changes
that come meanwhile go into the next one together, in the order in which they came, each whole or not at all. So a
thousand consumers that commit at once need two syncs, not a thousand. Nobody's task does that: the first of those who
wait leads the transaction, and when it is through, the first of those who have come since.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import trio

from ride_trio.errors import LogError, LogFailedError, LogFullError
from ride_trio.eventlog import tables
from ride_trio.eventlog.tables import Tables, TopicRow

T = TypeVar("T")
RunSync = Callable[[Callable[[], None]], Awaitable[None]]
Settle = Callable[[LogError | None], None]


@dataclass(frozen=True, slots=True)
class MetadataStatistics:
    """Transactions that were tried since the start, the changes in them, and changes that wait now."""

    transactions: int
    changes: int
    waiting: int


class _Change(Generic[T]):
    """One caller's change, on its way to the disk.

    Attributes:
        turn: set when it is settled, or when its caller is to lead the next transaction.
    """

    __slots__ = ("apply", "error", "result", "settle", "settled", "turn")

    def __init__(self, apply: Callable[[sqlite3.Connection], T], settle: Settle | None) -> None:
        self.apply = apply
        self.settle = settle
        self.settled = False
        self.turn = trio.Event()
        self.error: LogError | None = None
        self.result: T


class Metadata:
    """See the module's text.

    The plain methods block; they are for the start and the end. The async ones are changes. One that has begun is
    carried out: a cancellation has to wait for it, two transactions at most. If it raises, nothing has changed.

    Args:
        path: the file.
        run_sync: runs a function where it may block; in a thread, unless a test has a better place.
    """

    _tables: Tables

    def __init__(self, path: Path, run_sync: RunSync | None = None) -> None:
        self.path = path
        # A limiter of its own: a transaction never waits until others' threads are through.
        self._run_sync = run_sync or partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(1))
        self._waiting: list[_Change[Any]] = []
        self._led = False  # somebody leads, or is about to
        self._transactions = self._changes = 0

    def __repr__(self) -> str:
        return f"<Metadata {self.path}: {self.statistics()}>"

    def statistics(self) -> MetadataStatistics:
        """How many changes share a transaction."""
        return MetadataStatistics(self._transactions, self._changes, len(self._waiting))

    def open(self) -> bool:
        """Open the file, or make it.

        Returns:
            Whether it was made now, or was empty.

        Raises:
            DataDirError: it can't be read, is damaged, is not ours, or a newer release has written it.
        """
        self._tables = Tables(self.path)
        return self._tables.is_new

    def close(self) -> None:
        """Close the file. No change may be on its way."""
        self._tables.db.close()

    def topics(self) -> list[TopicRow]:
        """All topics, oldest first.

        Raises:
            DataDirError: a row is damaged.
        """
        return self._tables.topics()

    def last_topic_id(self) -> int:
        """The highest that a topic has had, be it deleted; 0: there was none.

        Raises:
            DataDirError: it can't be read.
        """
        return self._tables.last_topic_id()

    def offsets(self) -> dict[str, dict[tuple[int, int], int]]:
        """What groups have committed: offsets by (topic id, partition), by group id.

        Raises:
            DataDirError: a row is damaged.
        """
        return self._tables.offsets()

    # ------------------------------------------------------------------ changes

    async def create_topic(self, name: str, num_partitions: int, configs: Mapping[str, str], created_ms: int) -> int:
        """Add a topic. That its name is free is the caller's to know.

        Returns:
            Its id; no other topic has had it or will have it.

        Raises:
            LogFullError: the disk is full.
            LogFailedError: whatever else the disk may have.
        """
        return await self._change(
            lambda db: tables.create_topic(db, name, num_partitions, json.dumps(dict(configs)), created_ms)
        )

    async def delete_topic(self, topic_id: int) -> None:
        """Remove a topic and what was committed on it. Raises as `create_topic`."""
        await self._change(lambda db: tables.delete_topic(db, topic_id))

    async def commit_offsets(
        self, group_id: str, offsets: Mapping[tuple[int, int], int], settle: Settle | None = None
    ) -> None:
        """Set some of a group's offsets, all or none. Raises as `create_topic`.

        Args:
            group_id: the group.
            offsets: by (topic id, partition); left alone until this has returned. Those of no topic are left out.
            settle: is told the outcome, None for success. Changes are settled in their order, each before its caller
                goes on, while callers go on in any order. Not called for one that is cancelled before it has begun.
        """
        await self._change(lambda db: tables.commit_offsets(db, group_id, offsets), settle)

    async def delete_group(self, group_id: str, settle: Settle | None = None) -> None:
        """Remove all of a group's offsets. `settle` as in `commit_offsets`; raises as `create_topic`."""
        await self._change(lambda db: tables.delete_group(db, group_id), settle)

    async def _change(self, apply: Callable[[sqlite3.Connection], T], settle: Settle | None = None) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        change = _Change(apply, settle)
        self._waiting.append(change)
        with trio.CancelScope(shield=True):
            await self._wait_turn(change)
            if not change.settled:
                await self._lead()
        if change.error is not None:
            raise change.error
        return change.result

    async def _wait_turn(self, change: _Change[Any]) -> None:
        if self._led:
            await change.turn.wait()
        else:
            self._led = True
            await trio.lowlevel.checkpoint()  # who comes in the same pass comes along

    async def _lead(self) -> None:
        """Carry out all that waits, then let the first of those that have come meanwhile lead."""
        changes, self._waiting = self._waiting, []
        cause: BaseException | None = None
        try:
            await self._run_sync(lambda: self._transact(changes))
        except BaseException as error:
            cause = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._settle(changes, cause)
            self._led = bool(self._waiting)
            if self._led:
                self._waiting[0].turn.set()

    def _transact(self, changes: list[_Change[Any]]) -> None:
        """In the thread."""
        db = self._tables.db
        with db:  # commits, or rolls back
            db.execute("BEGIN IMMEDIATE")
            for change in changes:
                change.result = change.apply(db)

    def _settle(self, changes: list[_Change[Any]], cause: BaseException | None) -> None:
        self._transactions += 1
        self._changes += len(changes)
        for change in changes:
            change.settled = True
            change.error = self._error(cause) if cause is not None else None
            if change.settle is not None:
                change.settle(change.error)
            change.turn.set()

    def _error(self, cause: BaseException) -> LogError:
        """One for each who waits: a traceback grows where an error is raised."""
        full = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        error = (LogFullError if full else LogFailedError)(f"{self.path}: {cause}")
        error.__cause__ = cause
        return error
