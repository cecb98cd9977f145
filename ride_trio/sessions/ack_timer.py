"""How long clients wait for our acks, as far as that is up to us.

Timing every ack would cost each message two looks at the clock. So one is timed at a time, and not more than EVERY_S
apart: from when an envelope's turn has come to when all that its session had to say has been handed to its connection,
the ack among it. What is not in it: bytes that wait in the kernel, and the network. The page measures these, with its
own heartbeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from ride_trio.metrics import Histogram
from ride_trio.sessions.outbox import Outbox

EVERY_S: Final = 0.05
# A client that does not read would be timed for ever: after this its ack counts as one that took so long.
LONGEST_S: Final = 1.0
# What `lately` looks at: enough for a 99th of a hundred, and not what was long ago.
LATELY: Final = 200
LATELY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class AckLatency:
    """Of the acks that were timed lately, seconds."""

    median_s: float
    p99_s: float


class AckTimer:
    """See the module's text.

    Args:
        now: the clock, s.

    Attributes:
        is_due: the next envelope is one to time.
    """

    __slots__ = ("_began", "_found", "_histogram", "_now", "_outbox", "is_due")

    def __init__(self, now: Callable[[], float]) -> None:
        self.is_due = False
        self._now = now
        self._outbox: Outbox | None = None  # of the session that is timed
        self._histogram: Histogram | None = None
        self._began = 0.0
        self._found: deque[tuple[float, float]] = deque(maxlen=LATELY)  # when, and how long it took

    def begin(self, outbox: Outbox, histogram: Histogram) -> None:
        """A session's envelope is worked on now.

        Args:
            outbox: where its ack goes.
            histogram: what to count it in.
        """
        self.is_due = False
        self._outbox, self._histogram, self._began = outbox, histogram, self._now()
        outbox.on_empty = self._end

    def lately(self) -> AckLatency | None:
        """What acks have taken; None if none was timed in the last LATELY_S."""
        since = self._now() - LATELY_S
        took = sorted(seconds for at, seconds in self._found if at >= since)
        return AckLatency(took[len(took) // 2], took[len(took) * 99 // 100]) if took else None

    async def run(self) -> None:
        """Have an ack timed every so often, until cancelled."""
        while True:
            await trio.sleep(EVERY_S)
            if self._outbox is None:
                self.is_due = True
            elif self._outbox.on_empty is None:  # closed: its session has ended
                self._outbox = None
            elif self._now() - self._began > LONGEST_S:
                self._end()

    def _end(self) -> None:
        outbox, histogram, now = self._outbox, self._histogram, self._now()
        if outbox is None or histogram is None:
            return
        outbox.on_empty = self._outbox = None
        histogram.observe(now - self._began)
        self._found.append((now, now - self._began))
