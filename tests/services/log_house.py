"""The log's two hot paths with their calls, on a mock clock, without a network."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from google.protobuf.message import Message
from trio.testing import wait_all_tasks_blocked

from ride_trio.eventlog.commits import Commits
from ride_trio.eventlog.log import EventLog, LogOptions
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import NOW_MS, InlineWriter, StuckWriter, in_place


class LogCall:
    """A call as the log's service uses it: `sendable_bytes` is what the client's windows let out now.

    Attributes:
        room: Bytes of messages that the client takes; infinite by default.
        got: Messages that have gone out, and a test has not looked at.
    """

    def __init__(self, answer: type[Message]) -> None:
        self.peer = "192.0.2.1:50000"
        self.room = math.inf
        self.got: list[Any] = []
        self._answer = answer
        self._sink: Callable[[Any], bool] | None = None
        self._pull: Callable[[], bytes | None] | None = None
        self._inbox: deque[Any] = deque()
        self._due = False

    @property
    def sendable_bytes(self) -> int:
        return int(min(self.room, 1 << 24))

    @property
    def can_send(self) -> bool:
        return self.room > 0

    def push(self, data: bytes) -> None:
        self.room -= len(data)
        self.got.append(self._answer.FromString(data))  # type: ignore[attr-defined]

    def send_whole(self, data: bytes) -> bool:
        if len(data) > self.room:
            return False
        self.push(data)
        return True

    async def start(self) -> None: ...

    def set_sink(self, sink: Callable[[Any], bool]) -> None:
        self._sink = sink
        self.resume()

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        self._pull = pull

    def resume(self) -> None:
        while self._sink is not None and self._inbox and self._sink(self._inbox[0]):
            self._inbox.popleft()

    def wake_source(self) -> None:
        if not self._due:
            self._due = True
            trio.lowlevel.current_trio_token().run_sync_soon(self._drain)

    async def flush_source(self) -> None:
        self._drain()

    def _drain(self) -> None:
        self._due = False
        while self._pull is not None and self.room > 0:
            data = self._pull()
            if data is None:
                return
            self.room -= len(data)
            self.got.append(self._answer.FromString(data))  # type: ignore[attr-defined]
            self.resume()

    @property
    def held(self) -> int:
        """Messages that the sink has not taken."""
        return len(self._inbox)

    def say(self, *messages: Any) -> None:
        """The client sends; None is its half-close."""
        self._inbox += messages
        self.resume()

    async def answers(self) -> list[Any]:
        """What has come since the last look, when nothing moves any more."""
        await wait_all_tasks_blocked()
        got, self.got = self.got, []
        return got

    async def read(self, room: float) -> list[Any]:
        """Let so much more out, and look."""
        self.room = room
        self._drain()
        return await self.answers()


class LogHouse:
    """A log that runs in a test's nursery, and its calls.

    Attributes:
        writer: Of commits; a `StuckWriter` if asked for.
    """

    log: EventLog
    writer: Any

    def __init__(self, nursery: trio.Nursery, path: Path, *, stuck: bool = False, **options: int) -> None:
        self.nursery = nursery
        self.metrics = LogMetrics()
        self._path = path
        self._stuck = stuck
        self._options = LogOptions(keep_every_s=1e6, **options)

    async def start(self) -> LogHouse:
        self.log = EventLog(
            self._path,
            self.metrics,
            self._options,
            run_sync=in_place,
            now_ms=lambda: NOW_MS,
            writer=self._make_writer,
        )
        await self.nursery.start(self.log.run)
        return self

    def _make_writer(self, commits: Commits, metrics: LogMetrics) -> Any:
        self.writer = (StuckWriter if self._stuck else InlineWriter)(commits, metrics)
        return self.writer

    @contextmanager
    def failing(self, error: OSError) -> Iterator[None]:
        """Writes fail."""
        self.writer.trouble = error
        yield
        self.writer.trouble = None
