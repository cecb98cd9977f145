"""The timeline: what is due when, for every session of a run, in one heap and one task.

An open-loop generator needs a due time for each message, and thousands of sessions have several a second. A
task a session that sleeps until its next message costs a wake-up, a deadline and a scheduler hop each (10 to
20 us measured); a heap entry costs 0.6 us. So actors leave plain callbacks here, and one task runs what is
due.

The kernel's timer that trio sleeps on counts whole milliseconds, rounded up: a sleeper wakes up to 1 ms late.
Messages would then look up to 1 ms slower than they were. So the timeline wakes one tick early and runs what
falls due within that tick; a message that leaves early has its latency counted from when it left.

When this process can't keep its own schedule, that is not the server's fault: `lag` says by how much things
ran late.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import trio

from ride_trio_loadgen.tally import Latencies

# Called with the time at which it was due, seconds of the trio clock.
Action = Callable[[float], None]

# Seconds: the grain of the kernel's timer, see above.
TICK_S = 0.001
# Actions before the other tasks get a turn: about 5 ms of sending at 20 us each; answers must be read in
# between.
MAX_RUN = 256


class Timeline:
    """Runs callbacks at their time. Actions due at the same time run in the order in which they were left."""

    __slots__ = ("_heap", "_nap", "_serial", "lag")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._serial = count()
        self._nap = trio.CancelScope()
        self.lag = Latencies()

    def at(self, due_s: float, action: Action) -> None:
        """Have `action(due_s)` run at `due_s`, or as soon as possible after it."""
        heappush(self._heap, (due_s, next(self._serial), action))
        if due_s - TICK_S < self._nap.deadline:
            self._nap.deadline = due_s - TICK_S

    async def run(self) -> None:
        """Run what falls due, until cancelled."""
        while True:
            if self._run_due():
                await trio.lowlevel.checkpoint()
                continue
            self._nap = trio.CancelScope(deadline=self._heap[0][0] - TICK_S if self._heap else math.inf)
            with self._nap:
                await trio.sleep_forever()

    def _run_due(self) -> bool:
        """Run up to MAX_RUN actions that are due. True: there are more."""
        for _ in range(MAX_RUN):
            now_s = trio.current_time()
            if not self._heap or self._heap[0][0] - TICK_S > now_s:
                return False
            due_s, _, action = heappop(self._heap)
            self.lag.record(max(0.0, now_s - due_s))
            action(due_s)
        return True

    def __len__(self) -> int:
        return len(self._heap)
