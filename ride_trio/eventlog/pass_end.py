"""Work at the end of every scheduler pass, when everything that the pass has brought is there.

trio calls an instrument's `before_io_wait` then; a task would have to be woken, and would run amid the next pass. trio
has decided by then how long it will wait. So work that wakes a task, or that makes work for another instrument, has to
see to it that there is one more pass.
"""

from __future__ import annotations

from collections.abc import Callable

import trio


class PassEnd(trio.abc.Instrument):
    """Calls `work` at the end of each pass, until that raises.

    Attributes:
        failed: Set when it has; trio would only log that.
        error: What it has raised.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.failed = trio.Event()
        self.error: Exception | None = None
        self._work = work
        self._token = trio.lowlevel.current_trio_token()

    def before_io_wait(self, timeout: float) -> None:
        if self.error is None:
            try:
                self._work()
            except Exception as error:
                self.error = error
                self._token.run_sync_soon(self.failed.set)


async def at_pass_ends(work: Callable[[], None]) -> None:
    """Call a plain function at the end of each pass, until cancelled; raises what it raises."""
    instrument = PassEnd(work)
    trio.lowlevel.add_instrument(instrument)
    try:
        await instrument.failed.wait()
    finally:
        trio.lowlevel.remove_instrument(instrument)
        if instrument.error is not None:  # it says more than a cancellation that has come meanwhile
            raise instrument.error
