"""`bench log`: rows about consuming from a topic's beginning to its end, from files and from the server's memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Final, NamedTuple

import trio

from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.log_load import LogLoad, create_topic, ends_of, run, until
from ride_trio_loadgen.bench.log_produce import plan_of
from ride_trio_loadgen.bench.log_setup import Figure, Figures, LogServer, Setup
from ride_trio_loadgen.log_ledger import LogLedger

RECORD_BYTES: Final = 1_024
TOPIC: Final = "consume"
# Its newest records are read so many times from memory: once would be over in a moment.
HOT_PASSES: Final = 5


class Read(NamedTuple):
    """What a pass over a topic has taken."""

    records: int
    seconds: float
    client_s: float
    server_s: float


def consuming(setup: Setup) -> Figures:
    """One consumer on one partition. Cold: neither the server nor the kernel has the files in memory. Hot: the newest
    records, which are in the server's."""
    with setup.log_server() as server:
        return run(_measure, server, setup)


async def _measure(server: LogServer, setup: Setup) -> Figures:
    load = LogLoad(plan_of(server.port, TOPIC, RECORD_BYTES), partitions=1)
    await create_topic(server.port, TOPIC, 1)
    await load.produce(lambda: until(lambda: load.tally.acked >= setup.scale.records))
    ends = (await ends_of(server.port, TOPIC)).ends
    await trio.to_thread.run_sync(drop_cached, server.folder)
    cold = await read(server.child, load, [0], ends)
    begins = [max(0, ends[0] - setup.scale.hot_records)]
    from_files = server.child.ask("cold_reads")
    hot = [await read(server.child, load, begins, ends) for _ in range(HOT_PASSES)]
    if server.child.ask("cold_reads") > from_files:
        raise ValueError(f"{setup.scale.hot_records} records are not all in the log's cache: files were read")
    total = Read(*map(sum, zip(*hot, strict=True)))
    return _figures("cold", cold) | _figures("hot", total)


def drop_cached(folder: Path) -> None:
    """Have the kernel forget what it keeps of a folder's files."""
    for path in folder.rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


async def read(server: Child, load: LogLoad, begins: Sequence[int], ends: Sequence[int]) -> Read:
    """Read what there is between these offsets; each record is looked at.

    Raises:
        ValueError: One is missing, damaged or not in its place.
    """
    ledger = LogLedger(begins, load.tally)
    client_s, server_s, began = process_time(), server.ask("cpu"), trio.current_time()
    await load.consume(ledger, lambda: until(lambda: all(ledger.next_offset(p) >= e for p, e in enumerate(ends))))
    taken_s = load.tally.last_consumed_s - began
    ledger.finish()
    load.check()
    return Read(sum(ends) - sum(begins), taken_s, process_time() - client_s, server.ask("cpu") - server_s)


def _figures(name: str, done: Read) -> Figures:
    return {
        f"consume-{name}": Figure(done.records / done.seconds),
        f"consume-{name}-server": Figure(done.server_s / done.records * 1e6),
        f"consume-{name}-client": Figure(done.client_s / done.records * 1e6),
    }
