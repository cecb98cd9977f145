"""Metadata in a test: its transactions run at once, or when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from ride_trio.eventlog.metadata import Metadata


class Disk:
    """Stands for the thread of `Metadata`: runs what it is given in place, after a checkpoint.

    Attributes:
        gate: transactions wait until it is open.
        trouble: raised in place of the next transactions.
        runs: transactions so far.
    """

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.gate.set()
        self.trouble: Exception | None = None
        self.runs = 0

    async def run_sync(self, work: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        with trio.fail_after(10):  # a test that has failed forgets to open it, and nobody can cancel a transaction
            await self.gate.wait()
        self.runs += 1
        if self.trouble is not None:
            raise self.trouble
        work()

    def close_gate(self) -> None:
        self.gate = trio.Event()


def open_metadata(path: Path, disk: Disk) -> Metadata:
    metadata = Metadata(path, disk.run_sync)
    metadata.open()
    return metadata
