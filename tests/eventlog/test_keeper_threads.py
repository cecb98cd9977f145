"""The keeper with real threads and files, while records come and consumers follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from ride_trio.eventlog.check import check_data_dir
from ride_trio.eventlog.commit import Level
from ride_trio.eventlog.compaction import due
from ride_trio.eventlog.log import EventLog, LogOptions
from ride_trio.eventlog.partition import Partition
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import encode, read, records

RECORDS = 3_000
KEYS = 50
LIMIT = 200_000


async def produce(log: EventLog, partition: Partition) -> None:
    for number in range(RECORDS):
        timestamp = log.now_ms()
        partition.append(encode(partition, b"%d" % number + bytes(300), timestamp, b"%d" % (number % KEYS)), timestamp)
        if number % 10 == 9:
            await log.commits.gathering.wait(Level.SYNCED)


async def follow(log: EventLog, partition: Partition, seen: list[int]) -> None:
    cursor = log.cursor(partition, 0)
    while cursor.offset < RECORDS:
        if cursor.is_behind:
            seen += [record.offset for record in records(await read(cursor, 20_000))]
        else:
            await trio.sleep(0.001)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody tells when the keeper has done its work
        await trio.sleep(0.01)


async def test_it_keeps_up_with_producers_and_consumers(tmp_path: Path) -> None:
    metrics = LogMetrics()
    log = EventLog(tmp_path, metrics, LogOptions(segment_bytes=65_536, cache_bytes=100_000, keep_every_s=0.02))
    seen: list[int] = []
    with trio.fail_after(60):
        async with trio.open_nursery() as server:
            await server.start(log.run)
            compacted = await log.create_topic("compacted", 2, configs={"cleanup.policy": "compact"})
            limited = await log.create_topic("limited", 1, configs={"retention.bytes": str(LIMIT)})
            async with trio.open_nursery() as clients:
                for partition in (*compacted.partitions, *limited.partitions):
                    clients.start_soon(produce, log, partition)
                clients.start_soon(follow, log, compacted.partition(0), seen)
            await log.commits.roll(compacted).wait(Level.SYNCED)
            await until(lambda: compacted.segments[-2].index is None and not due(compacted))
            await until(lambda: limited.size_bytes <= LIMIT)
            assert limited.partition(0).begin_offset > RECORDS / 2
            server.cancel_scope.cancel()
    assert seen == sorted(set(seen))
    assert set(range(RECORDS - KEYS, RECORDS)) <= set(seen)
    assert metrics.retention("compacted").n > 10
    assert sum(path.stat().st_size for path in limited.folder.glob("*.log")) <= LIMIT
    report = check_data_dir(tmp_path)
    assert (report.damages, report.left_over) == ([], [])
    assert {topic.name: topic.records < 2 * RECORDS for topic in report.topics} == {"compacted": True, "limited": True}
