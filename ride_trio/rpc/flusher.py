"""One write a connection at the end of each scheduler pass.

Handlers, sinks and broadcasts only append to their connection's output. When should it be written? At every
message: a syscall a message. In a writer task: a task switch and a pass more for every batch. trio calls an
instrument's `before_io_wait` once a pass, after all runnable tasks have run and before it polls the sockets: that is
the moment when everything the pass produced is there, and writing costs neither.

The rule of the place: trio has already decided how long to wait, so nothing here may wake a task. What must
(senders that may go on, a socket that is full) goes through `run_sync_soon`, which interrupts the wait.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import trio
from trio.lowlevel import RunVar

log = logging.getLogger(__name__)


class Flushable(Protocol):
    """What can be marked dirty."""

    def flush(self) -> None:
        """Write what is there, without waiting and without waking a task."""

    def broken(self, error: Exception) -> None:
        """`flush` raised: end this one, from outside the pass."""


class Flusher(trio.abc.Instrument):
    """The instrument of one `trio.run`, installed at its first connection.

    Attributes:
        turn: Whoever has much to do (input that was not done at once, calls to be ended) does a part of it at a time,
            holding this: the others like it wait in line, and who has little to do is not held up.
        alone: How many turns nobody has been there who had little to do.
    """

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.turn = trio.Lock()
        self.alone = 0
        self._dirty: list[Flushable] = []

    def mark(self, item: Flushable) -> None:
        """Have `item.flush()` called at the end of this pass. The caller sees to it that it is marked once."""
        self._dirty.append(item)

    def before_io_wait(self, timeout: float) -> None:
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, []
        for item in dirty:
            try:
                item.flush()
            except Exception as error:
                log.exception("flush of %r failed", item)
                self.token.run_sync_soon(item.broken, error)
        if self._dirty:
            # A source has marked another connection, and trio has decided how long to sleep: have one more pass.
            self.token.run_sync_soon(_one_more_pass)


def _one_more_pass() -> None:
    """Nothing to do: what is called for is the pass that ends after it."""


_current: Final[RunVar[Flusher]] = RunVar("ride_trio_flusher")


def current_flusher() -> Flusher:
    """This run's flusher."""
    try:
        return _current.get()
    except LookupError:
        flusher = Flusher()
        trio.lowlevel.add_instrument(flusher)
        _current.set(flusher)
        return flusher
