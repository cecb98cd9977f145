"""One ConsumeMessages call: a reader of one partition, or a group's member with what it is assigned.

When a partition has more, each of its readers sends a response, if there is room for one; what all tails of a partition
get is made once. Whatever else there is goes out by a source, which is asked for what the windows let out. Who does not
read is not asked, and holds nothing but a place. The call's task sleeps, and wakes for what has to wait: a file to be
read, a time that has passed, the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

import trio

from ride_trio.errors import LogError
from ride_trio.eventlog.cursor import Cursor, NotInMemoryError
from ride_trio.eventlog.log import EventLog
from ride_trio.pb.takhin.v1.takhin_pb2 import ConsumeMessagesRequest, ConsumeMessagesResponse

DEFAULT_MAX_BYTES: Final = 1_048_576
DEFAULT_MAX_WAIT_S: Final = 0.5
# A response is at least so large if there is as much, however little a window lets out at the moment.
_LEAST_ROOM_BYTES: Final = 4_096


class _Shared(NamedTuple):
    """What brings a tail to a partition's end: the same bytes for all that are at the same place."""

    begin: int
    end: int
    data: bytes


class ConsumeCall(Protocol):
    """A call as the consumer uses it; `ride_trio.rpc.Call` is one."""

    @property
    def sendable_bytes(self) -> int: ...
    @property
    def can_send(self) -> bool: ...
    def push(self, data: bytes, /) -> None: ...
    def send_whole(self, data: bytes, /) -> bool: ...
    async def start(self) -> None: ...
    def set_source(self, pull: Callable[[], bytes | None], /) -> None: ...
    def wake_source(self) -> None: ...
    def flush_source(self) -> Awaitable[None]: ...


class Consumer:
    """See the module's text.

    Args:
        log: The log.
        call: It.
        request: What it asks for.
    """

    __slots__ = (
        "_cache",
        "_call",
        "_cursors",
        "_error",
        "_first",
        "_is_plain",
        "_left",
        "_live",
        "_log",
        "_max_bytes",
        "_max_wait_s",
        "_min_bytes",
        "_missing",
        "_most_bytes",
        "_overdue",
        "_token",
        "_work",
    )

    def __init__(self, log: EventLog, call: ConsumeCall, request: ConsumeMessagesRequest) -> None:
        self._log = log
        self._cache = log.cache
        self._call = call
        self._live = False  # the call has its headers and its source
        self._max_bytes = request.max_bytes or DEFAULT_MAX_BYTES
        self._most_bytes = max(self._max_bytes, _LEAST_ROOM_BYTES)  # of a response that is not made for this one
        self._min_bytes: int = request.min_bytes
        self._max_wait_s = request.max_wait_ms / 1_000 if request.max_wait_ms else DEFAULT_MAX_WAIT_S
        self._left = request.max_batches or None
        self._is_plain = self._left is None and self._min_bytes <= 1
        self._cursors: deque[Cursor] = deque()
        self._first: deque[bytes] = deque()  # what goes out before any records
        self._error: LogError | None = None
        self._missing: Cursor | None = None  # whose records have to be loaded
        self._overdue = False  # max_wait has passed: what there is goes out
        self._work = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    # ------------------------------------------------------------------ what it reads

    def add(self, cursor: Cursor) -> None:
        """Read a partition, too."""
        self._cursors.append(cursor)
        cursor.partition.watchers[self.news] = None
        self.wake()

    def remove(self, topic: str, number: int) -> None:
        """Read a partition no longer; not another record of it goes out."""
        for cursor in list(self._cursors):
            if cursor.partition.topic.name == topic and cursor.partition.number == number:
                self._cursors.remove(cursor)
                cursor.partition.watchers.pop(self.news, None)

    def say(self, response: ConsumeMessagesResponse) -> None:
        """Send a response before any more records."""
        self._first.append(response.SerializeToString())
        self.wake()

    def fail(self, error: LogError) -> None:
        """End the call with this."""
        self._error = self._error or error
        self._work.set()

    def wake(self) -> None:
        """There may be something to send."""
        self._call.wake_source()

    def news(self) -> None:
        """A partition has more: a response goes out at once, if there is room, and the rest by the source."""
        call, cursors = self._call, self._cursors
        if self._live and self._is_plain and len(cursors) == 1 and self._is_told_the_same(cursors[0]):
            return
        if self._live and call.can_send:
            data = self.pull()
            if data is not None:
                call.push(data)
            if len(cursors) == 1 and cursors[0].offset == cursors[0].partition.end_offset and not self._first:
                return
        call.wake_source()

    def _is_told_the_same(self, cursor: Cursor) -> bool:
        """The shortest way: what another tail at the same place has just got, if there is room for all of it."""
        shared = self._told_others(cursor)
        if shared is None or self._first or self._missing is not None or self._error is not None:
            return False
        begin, end, data = shared
        size = len(data)
        if size > self._most_bytes or not self._call.send_whole(data):
            return False
        cursor.offset = end
        topic = cursor.partition.topic
        topic.consumed.n += end - begin
        topic.consumed_bytes.n += size
        return True

    # ------------------------------------------------------------------ its life

    async def run(self) -> None:
        """Until the caller leaves, or has what it wanted.

        Raises:
            LogError: It can't go on.
        """
        self._log.metrics.consumers.n += 1
        try:
            await self._call.start()
            self._call.set_source(self.pull)
            self._live = True
            self.wake()
            while self._left is None or self._left > 0:
                await self._wait()
                if self._error is not None:
                    break
                await self._load()
        finally:
            self._log.metrics.consumers.n -= 1
            for cursor in self._cursors:
                cursor.partition.watchers.pop(self.news, None)
        await self._call.flush_source()
        if self._error is not None:
            raise self._error

    async def _wait(self) -> None:
        """Sleep until there is work for a task; with a minimum or a number of rounds, at most max_wait."""
        timed = self._min_bytes > 1 or self._left is not None
        with trio.move_on_after(self._max_wait_s if timed else float("inf")) as scope:
            await self._work.wait()
        self._work = trio.Event()
        if scope.cancelled_caught and self._missing is None:
            self._round_is_over()

    def _round_is_over(self) -> None:
        """max_wait has passed: what there is goes out, or nothing does."""
        if any(cursor.is_behind for cursor in self._cursors):
            self._overdue = True
            self.wake()
        elif self._left is not None:
            self._left -= 1

    async def _load(self) -> None:
        cursor = self._missing
        if cursor is None:
            return
        try:
            await cursor.load()
        except LogError as error:
            self._error = error
            self._work.set()
        self._missing = None
        self.wake()

    # ------------------------------------------------------------------ the source

    def pull(self) -> bytes | None:
        """The next response. No task may be woken here."""
        if self._first:
            return self._first.popleft()
        if self._missing is None and self._error is None and self._left != 0 and self._is_due():
            cursors = self._cursors
            for _ in range(len(cursors)):
                cursor = cursors[0]
                partition = cursor.partition
                if cursor.offset != partition.end_offset or partition.topic.deleted:
                    return self._pull_from(cursor)
                cursors.rotate(-1)
        return None

    def _is_due(self) -> bool:
        if self._min_bytes <= 1 or self._overdue:
            return True
        return sum(cursor.waiting_bytes(self._min_bytes) for cursor in self._cursors) >= self._min_bytes

    def _pull_from(self, cursor: Cursor) -> bytes | None:
        try:
            return self._respond(cursor)
        except NotInMemoryError:
            self._missing = cursor
        except LogError as error:
            self._error = error
        self._token.run_sync_soon(self._work.set)
        return None

    def _told_others(self, cursor: Cursor) -> _Shared | None:
        """The response that another tail at the same place has just got."""
        partition = cursor.partition
        shared: _Shared | None = self._cache.get(partition)
        if shared is None or partition.topic.deleted:
            return None
        begin, end, _ = shared
        return shared if begin == cursor.offset and end == partition.end_offset else None

    def _shared(self, cursor: Cursor) -> bytes | None:
        """What others were told, if there is room for it."""
        shared = self._told_others(cursor)
        if shared is None or len(shared.data) > max(_LEAST_ROOM_BYTES, self._room()):
            return None
        cursor.offset = shared.end
        return shared.data

    def _room(self) -> int:
        """Bytes of a response."""
        return min(self._max_bytes, max(self._call.sendable_bytes, _LEAST_ROOM_BYTES))

    def _respond(self, cursor: Cursor) -> bytes | None:
        partition, begin = cursor.partition, cursor.offset
        topic, data = partition.topic, self._shared(cursor)
        if data is None:
            entries = cursor.read(self._room())
            if not entries:
                return None
            data = _head(topic.name, partition.number, partition.end_offset) + entries
            if cursor.offset == partition.end_offset:
                self._cache.put(partition, _Shared(begin, cursor.offset, data), len(data))
        self._overdue = False
        if self._left is not None:
            self._left -= 1
            self._token.run_sync_soon(self._work.set)
        if len(self._cursors) > 1:
            self._cursors.rotate(-1)
        topic.consumed.n += cursor.offset - begin
        topic.consumed_bytes.n += len(data)
        return data


def _head(topic: str, partition: int, end_offset: int) -> bytes:
    """A response without its records."""
    data: bytes = ConsumeMessagesResponse(
        topic=topic, partition=partition, high_watermark=end_offset
    ).SerializeToString()
    return data
