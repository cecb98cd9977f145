"""What is written together: batches, how safe they are, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

import trio

from ride_trio.errors import LogError
from ride_trio.eventlog.partition import Batch
from ride_trio.eventlog.segments import Segment

if TYPE_CHECKING:
    from ride_trio.eventlog.topic import Topic

Part = tuple[Segment, int, list[Batch]]  # a file, where in it, and what


class Level(IntEnum):
    """How safe a commit is. A producer waits for one of the first three."""

    QUEUED = 0
    WRITTEN = 1
    SYNCED = 2
    FAILED = 3


class Commit:
    """Batches that are written together.

    Attributes:
        batches: In the order in which they were begun.
        size: Bytes of entries.
        level: How far it is.
        error: Why it has failed.
        hurried: Somebody waits for `WRITTEN`.
        awaited: A producer waits for `SYNCED`.
        late: It has been on its way for so long that nobody waits any more.
        began_at: trio's clock, s, when its first record came.
        listeners: Called at each change of `level`.
        rolls: Topics that begin a segment with it: those that were asked to, then those whose segment got too large.
        parts: What goes into which file, from where on; nothing, when a segment only begins.
    """

    __slots__ = (
        "_lot",
        "awaited",
        "batches",
        "began_at",
        "error",
        "hurried",
        "late",
        "level",
        "listeners",
        "parts",
        "rolls",
        "size",
    )

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.size = 0
        self.level = Level.QUEUED
        self.error: LogError | None = None
        self.hurried = self.awaited = self.late = False
        self.began_at = 0.0
        self.listeners: list[Callable[[], None]] = []
        self.rolls: dict[Topic, None] = {}
        self.parts: list[Part] = []
        self._lot: trio.lowlevel.ParkingLot | None = None

    def __repr__(self) -> str:
        return f"<Commit of {len(self.batches)} batches, {self.size} bytes, {self.level.name}>"

    async def wait(self, level: Level) -> None:
        """Wait until it is so far.

        Raises:
            LogError: It has failed.
        """
        self.awaited = self.awaited or level is Level.SYNCED
        while self.level < level:
            if self._lot is None:
                self._lot = trio.lowlevel.ParkingLot()
            await self._lot.park()
        if self.error is not None:
            raise type(self.error)(self.error.message)

    def reach(self, level: Level, error: LogError | None = None) -> None:
        """It has got so far: tell all who wait."""
        self.level, self.error = level, error
        if self._lot is not None:
            self._lot.unpark_all()
        self.tell()

    def tell(self) -> None:
        """Let all who listen look again."""
        for listener in self.listeners:
            listener()
