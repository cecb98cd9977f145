"""Ctrl-C on a run that has something to say at its end: the first one stops it, the second one ends it.

Without this trio raises KeyboardInterrupt in whatever task runs just then, and the report is lost. Both signals only
set flags, inside trio's loop: no task is ever interrupted half-way through a step.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

Value = TypeVar("Value")


class EndedAtOnceError(Exception):
    """Ctrl-C has cancelled the work."""


async def interruptible(work: Callable[[trio.Event], Awaitable[Value]]) -> tuple[Value, bool]:
    """Run `work(stop)` in the main thread.

    Args:
        work: must return soon when `stop` is set; the first SIGINT sets it. The second one cancels the work.

    Returns:
        What `work` returned, and whether there was a SIGINT.

    Raises:
        EndedAtOnceError: at the second SIGINT.
    """
    stop = trio.Event()
    with trio.CancelScope() as scope, _on_sigint(lambda: scope.cancel() if stop.is_set() else stop.set()):
        return await work(stop), stop.is_set()
    raise EndedAtOnceError


async def cancellable(work: Callable[[], Awaitable[Value]]) -> Value:
    """Run `work()`, which has nothing to say at an early end, in the main thread: the first SIGINT cancels it.

    Raises:
        EndedAtOnceError: at a SIGINT.
    """
    with trio.CancelScope() as scope, _on_sigint(scope.cancel):
        return await work()
    raise EndedAtOnceError


@contextmanager
def _on_sigint(action: Callable[[], None]) -> Iterator[None]:
    """Have trio's loop call `action` for each SIGINT while the block runs."""
    token = trio.lowlevel.current_trio_token()
    before = signal.signal(signal.SIGINT, lambda number, frame: token.run_sync_soon(action))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
