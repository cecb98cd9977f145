"""`bench log-long`: gigabytes through a topic with retention.bytes: does it hold, and does nothing grow?

Producers send at a rate that leaves server and disk room, so that times say something, and one consumer follows them.
The run is in three parts, by bytes: in the first one the topic reaches its limit and everything that grows to a size
has got it; the last one has to be like the middle one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG
from statistics import median
from typing import Final

import trio
from rich.console import Console
from rich.table import Table

from ride_trio_loadgen.bench.child import client_on_its_own_cpu
from ride_trio_loadgen.bench.log_load import HOST, TIMEOUT_S, LogLoad, create_topic, delete_topic, run, until
from ride_trio_loadgen.bench.log_produce import p50_p99
from ride_trio_loadgen.bench.log_setup import LogServer, Scale, Setup
from ride_trio_loadgen.log_ledger import LogLedger
from ride_trio_loadgen.log_plan import Acks, LogPlan

TOPIC: Final = "long"
PARTITIONS: Final = 4
PRODUCERS: Final = 4
IN_FLIGHT: Final = 10_000
RECORD_BYTES: Final = 10_240
# The topic's limit is such a part of what is produced.
TURNOVERS: Final = 5
WINDOW_S: Final = 1.0
# Between two looks at the disk: files come and go.
DISK_LOOK_S: Final = 0.02
MOST_GROWTH_BYTES: Final = 8 * 2**20
# The consumer's p99 in the last part, of that in the middle one; medians of the parts' windows.
MOST_SLOWER: Final = 1.5
# A run that takes so many times as long as it should is given up.
SLOWEST: Final = 5
_BLOCK_BYTES: Final = 512  # what st_blocks counts (inode(7))


@dataclass(frozen=True, slots=True)
class Window:
    """A second of the run.

    Args:
        produced_bytes: Of records, since the beginning.
        resident_bytes: The server's memory.
        disk_bytes: The most that the topic took in this window.
        p50_ms: From when a record was due until the consumer had it.
        p99_ms: The same.
    """

    produced_bytes: int
    resident_bytes: float
    disk_bytes: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LongResult:
    """What was seen.

    Args:
        gigabytes: That were to be produced.
        limit_bytes: The topic's retention.bytes.
        freed_bytes: Given back while it ran, as the server counts.
        left_bytes: Taken on the disk when the topic had been deleted.
    """

    gigabytes: float
    limit_bytes: int
    windows: list[Window]
    freed_bytes: float
    left_bytes: int

    def part(self, number: int) -> list[Window]:
        """A third of the run: 0, 1 or 2."""
        third = self.gigabytes * 1e9 / 3
        return [w for w in self.windows if number * third <= w.produced_bytes < (number + 1) * third]

    @property
    def most_disk_bytes(self) -> int:
        return max(window.disk_bytes for window in self.windows)

    @property
    def growth_bytes(self) -> float:
        """Of the server's memory, from the middle part to the last one."""
        middle, last = (median(w.resident_bytes for w in self.part(number)) for number in (1, 2))
        return last - middle

    @property
    def slower(self) -> float:
        """The consumer's p99 in the last part, of that in the middle one."""
        middle, last = (median(w.p99_ms for w in self.part(number)) for number in (1, 2))
        return last / middle

    def broken(self) -> list[str]:
        """A sentence for each thing that does not hold."""
        checks = {
            f"memory grew by {self.growth_bytes / 2**20:.1f} MiB": self.growth_bytes <= MOST_GROWTH_BYTES,
            f"{self.most_disk_bytes:,} bytes on the disk, the limit is {self.limit_bytes:,}": self.most_disk_bytes
            <= self.limit_bytes,
            "nothing was given back while it ran": self.freed_bytes > 0,
            f"{self.left_bytes:,} bytes are left on the disk": not self.left_bytes,
            f"the consumer's p99 is {self.slower:.2f} times what it was": self.slower <= MOST_SLOWER,
        }
        return [sentence for sentence, holds in checks.items() if not holds]


def disk_bytes(server: LogServer) -> int:
    """What a server's topics take on the disk, with deleted files that it keeps open."""
    topics = server.folder / "topics"
    return sum(map(_taken, [*topics.rglob("*"), *_deleted(server.child.pid, topics)]))


def _taken(path: Path) -> int:
    with suppress(FileNotFoundError):  # it has just gone
        found = path.stat()
        if S_ISREG(found.st_mode):
            return found.st_blocks * _BLOCK_BYTES
    return 0


def _deleted(pid: int, folder: Path) -> Iterator[Path]:
    """Files of a folder that a process has open and that have no name any more (Linux)."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            name = os.readlink(path)
            if name.startswith(f"{folder}/") and name.endswith(" (deleted)"):
                yield path


class _LongRun:
    """A run: what is done to the server, and what is seen of it."""

    def __init__(self, server: LogServer, gigabytes: float, mb_per_s: float, say: Callable[[str], None]) -> None:
        rate = mb_per_s * 1e6 / RECORD_BYTES
        plan = LogPlan(HOST, server.port, TOPIC, PRODUCERS, RECORD_BYTES, 1.0, IN_FLIGHT, Acks.ALL, rate=rate)
        self._server = server
        self._gigabytes = gigabytes
        self._limit_bytes = int(gigabytes * 1e9 / TURNOVERS)
        self._load = LogLoad(plan, PARTITIONS)
        self._ledger = LogLedger([0] * PARTITIONS, self._load.tally)
        self._load.acked = self._ledger.acked
        self._windows: list[Window] = []
        self._disk_bytes = self._others_bytes = 0  # the most in this window; what the server's own topics take
        self._most_s = SLOWEST * gigabytes * 1e3 / mb_per_s + TIMEOUT_S
        self._say = say

    async def perform(self) -> LongResult:
        server, load = self._server, self._load
        self._others_bytes = await trio.to_thread.run_sync(disk_bytes, server)
        configs = {"retention.bytes": str(self._limit_bytes), "retention.ms": "-1"}
        await create_topic(server.port, TOPIC, PARTITIONS, configs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_disk)
            await load.consume(self._ledger, self._produce)
            nursery.cancel_scope.cancel()
        self._ledger.finish()
        load.check()
        freed = await trio.to_thread.run_sync(server.child.ask, "freed")
        await delete_topic(server.port, TOPIC)
        left = await trio.to_thread.run_sync(disk_bytes, server) - self._others_bytes
        return LongResult(self._gigabytes, self._limit_bytes, self._windows, freed, left)

    async def _produce(self) -> None:
        """Until all of it has been read."""
        await self._load.produce(self._watch)
        await until(lambda: not self._ledger.waiting)

    async def _watch(self) -> None:
        """Look at each window until so much has been sent."""
        with trio.fail_after(self._most_s):
            while self._load.tally.sent * RECORD_BYTES < self._gigabytes * 1e9:
                await trio.sleep(WINDOW_S)
                await self._look()

    async def _look(self) -> None:
        tally = self._load.tally
        resident_bytes = await trio.to_thread.run_sync(self._server.child.ask, "rss")
        tally.produce.fresh_us.clear()
        fresh_us = tally.end_to_end.fresh_us
        if len(fresh_us) < 2:
            return  # nothing has come: what comes late is in the next window
        times = p50_p99([us / 1e6 for us in fresh_us])
        fresh_us.clear()
        disk, self._disk_bytes = self._disk_bytes, 0
        self._windows.append(Window(tally.sent * RECORD_BYTES, resident_bytes, disk, *times))
        self._say(f"{tally.sent * RECORD_BYTES / 1e9:.2f} of {self._gigabytes:g} GB")

    async def _watch_disk(self) -> None:
        while True:
            taken = await trio.to_thread.run_sync(disk_bytes, self._server)
            self._disk_bytes = max(self._disk_bytes, taken - self._others_bytes)
            await trio.sleep(DISK_LOOK_S)


def measure(gigabytes: float, mb_per_s: float, say: Callable[[str], None] = lambda _: None) -> LongResult:
    """A run against a server of its own.

    Args:
        gigabytes: That are produced.
        mb_per_s: How fast, MB a second.
        say: Is told how far it is.
    """
    with client_on_its_own_cpu() as cpu, Setup(Scale(), cpu).log_server() as server:
        return run(_LongRun(server, gigabytes, mb_per_s, say).perform)


def table(result: LongResult) -> Table:
    """A line a part, of medians; of the disk the most."""
    title = f"{result.gigabytes:g} GB through a topic with retention.bytes={result.limit_bytes:,}"
    out = Table(title=title, caption=f"{result.freed_bytes / 1e9:.2f} GB were given back while it ran")
    for heading in ("part", "server memory, MiB", "most on disk, MB", "consumer p50, ms", "consumer p99, ms"):
        out.add_column(heading, justify="left" if heading == "part" else "right")
    for number, name in enumerate(("first", "middle", "last")):
        part = result.part(number)
        out.add_row(
            name,
            f"{median(w.resident_bytes for w in part) / 2**20:.1f}",
            f"{max(w.disk_bytes for w in part) / 1e6:.1f}",
            f"{median(w.p50_ms for w in part):.2f}",
            f"{median(w.p99_ms for w in part):.2f}",
        )
    return out


def main(gigabytes: float = 5.0, mb_per_s: float = 40.0, json_file: Path | None = None) -> bool:
    """Run and print; True if all holds."""
    console = Console(highlight=False)
    with console.status("") as status:
        result = measure(gigabytes, mb_per_s, status.update)
    console.print(table(result))
    for sentence in result.broken():
        console.print(f"does not hold: {sentence}")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result), indent=1) + "\n")
    return not result.broken()
