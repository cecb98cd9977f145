"""`bench log`: rows about producing on streams, as fast as it goes and at a fixed rate.

The producers are those of `load log`, each with a connection and a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Final

import trio

from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.log_load import HOST, LogLoad, create_topic, ends_of, run
from ride_trio_loadgen.bench.log_plain import append_and_sync, sync_times
from ride_trio_loadgen.bench.log_servers import ECHO
from ride_trio_loadgen.bench.log_setup import Figure, Figures, Setup
from ride_trio_loadgen.log_plan import Acks, LogPlan

TOPIC: Final = "produce"
PRODUCERS: Final = 16
IN_FLIGHT: Final = 64
PARTITIONS: Final = 8
# Records a second of the rows at a fixed rate, and their size.
RATE: Final = 10_000.0
PACED_BYTES: Final = 1_024
# Few enough that the client is far from being busy: what it waits for is the server.
PACED_PRODUCERS: Final = 4
# Producers that keep to a rate may have more in flight: they wait for no answer.
PACED_IN_FLIGHT: Final = 10_000
# A part of what is measured comes first, to warm up allocator, caches and windows.
WARM_UP_SHARE: Final = 5


def plan_of(port: int, topic: str, record_bytes: int) -> LogPlan:
    """Sixteen producers, as fast as they can."""
    return LogPlan(HOST, port, topic, PRODUCERS, record_bytes, 1.0, IN_FLIGHT)


def paced_plan(port: int, topic: str, acks: Acks) -> LogPlan:
    """Producers that keep to the rate."""
    return LogPlan(HOST, port, topic, PACED_PRODUCERS, PACED_BYTES, 1.0, PACED_IN_FLIGHT, acks, rate=RATE)


# ---------------------------------------------------------------------- as fast as it goes


@dataclass(frozen=True, slots=True)
class Reading:
    """What was done by then."""

    at_s: float
    acked: int
    client_s: float
    server_s: float
    commits: float
    syncs: float
    bytes: float

    @classmethod
    async def take(cls, server: Child, load: LogLoad) -> Reading:
        return await trio.to_thread.run_sync(cls._take, server, load)

    @classmethod
    def _take(cls, server: Child, load: LogLoad) -> Reading:
        asked = [server.ask(what) for what in ("cpu", "commits", "syncs", "commit_bytes")]
        return cls(perf_counter(), load.tally.acked, process_time(), *asked)

    def since(self, before: Reading) -> Reading:
        """What was done from then on."""
        return Reading(
            self.at_s - before.at_s,
            self.acked - before.acked,
            self.client_s - before.client_s,
            self.server_s - before.server_s,
            self.commits - before.commits,
            self.syncs - before.syncs,
            self.bytes - before.bytes,
        )


async def stretch(server: Child, load: LogLoad, seconds: float) -> Reading:
    """Create the topic, produce, and look at a stretch in the middle."""

    async def look() -> Reading:
        await trio.sleep(seconds / WARM_UP_SHARE)
        before = await Reading.take(server, load)
        await trio.sleep(seconds)
        return (await Reading.take(server, load)).since(before)

    await create_topic(server.port, load.plan.topic, PARTITIONS)
    done = await load.produce(look)
    stored = sum((await ends_of(server.port, load.plan.topic)).ends)
    if stored != load.tally.acked:
        raise ValueError(f"{load.tally.acked} records were acknowledged, {stored} are stored")
    return done


def full_speed(name: str, record_bytes: int) -> Callable[[Setup], Figures]:
    """Rows of one size of records; plain appends of what a sync of the server's had, in the same round."""

    def measure(setup: Setup) -> Figures:
        with setup.log_server() as server:
            load = LogLoad(plan_of(server.port, TOPIC, record_bytes), PARTITIONS)
            done = run(stretch, server.child, load, setup.scale.seconds)
            sync_bytes = done.bytes / done.syncs
            plain = append_and_sync(server.folder, round(sync_bytes), setup.scale.seconds)
        rate, plain_rate = done.acked / done.at_s, plain / done.bytes * done.acked
        return {
            name: Figure(rate, plain_rate),
            f"{name}-mb": Figure(rate * record_bytes / 1e6, plain_rate * record_bytes / 1e6),
            f"{name}-server": Figure(done.server_s / done.acked * 1e6),
            f"{name}-client": Figure(done.client_s / done.acked * 1e6),
            f"{name}-commit": Figure(done.bytes / done.commits / 1e3),
            f"{name}-sync": Figure(sync_bytes / 1e3),
        }

    return measure


# ---------------------------------------------------------------------- at a fixed rate


def p50_p99(seconds: list[float]) -> tuple[float, float]:
    """Of times in s, in ms."""
    return median(seconds) * 1e3, quantiles(seconds, n=100)[98] * 1e3


async def paced(load: LogLoad, seconds: float) -> list[float]:
    """Produce at a rate; how long each answer takes from when its record was due, s."""

    async def time() -> list[float]:
        await trio.sleep(seconds / WARM_UP_SHARE)
        load.tally.produce.fresh_us.clear()
        await trio.sleep(seconds)
        return [us / 1e6 for us in load.tally.produce.fresh_us]

    return await load.produce(time)


def synced_latency(setup: Setup) -> Figures:
    """acks=-1, and fdatasync of batches as large and as often as the server's."""
    with setup.log_server() as server:
        run(create_topic, server.port, TOPIC, PARTITIONS)
        began, syncs, size = perf_counter(), server.child.ask("syncs"), server.child.ask("commit_bytes")
        times = _paced(server.child, Acks.ALL, setup)
        syncs, size = server.child.ask("syncs") - syncs, server.child.ask("commit_bytes") - size
        interval_s = (perf_counter() - began) / syncs
        plain = sync_times(server.folder, round(size / syncs), interval_s, setup.scale.seconds)
    return _beside("synced", times, plain)


def written_latency(setup: Setup) -> Figures:
    """acks=1, and an echo of the same messages on as many streams of our engine."""
    with setup.log_server() as server:
        run(create_topic, server.port, TOPIC, PARTITIONS)
        times = _paced(server.child, Acks.LEADER, setup)
    with setup.other_server(ECHO) as echo:
        echoes = _paced(echo, Acks.LEADER, setup)
    return _beside("written", times, echoes)


def _paced(server: Child, acks: Acks, setup: Setup) -> list[float]:
    return run(paced, LogLoad(paced_plan(server.port, TOPIC, acks), PARTITIONS), setup.scale.seconds)


def _beside(name: str, times: list[float], others: list[float]) -> Figures:
    (p50, p99), (other_p50, other_p99) = p50_p99(times), p50_p99(others)
    return {f"{name}-p99": Figure(p99, other_p99), f"{name}-p50": Figure(p50, other_p50)}
