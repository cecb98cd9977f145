"""However a log is stopped, what it has accepted gets to the disk first. With real threads."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
import trio

from ride_trio.eventlog import EventLog
from ride_trio.eventlog import log as log_module
from ride_trio.eventlog.files import Files
from ride_trio.metrics import LogMetrics
from tests.eventlog.logs import append, read_all

PATIENCE_S = 5.0  # half of the time that the log gives its disk at the end


async def test_a_cancelled_log_still_writes_what_it_has_accepted(tmp_path: Path) -> None:
    log = EventLog(tmp_path, LogMetrics())
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(log.run)
            topic = await log.create_topic("t", 1)
            append(topic.partition(0), b"a")
            log.commits.hand_over_if_due()
            append(topic.partition(0), b"b")  # waits until the first one is on disk
            nursery.cancel_scope.cancel()
    again = EventLog(tmp_path, LogMetrics())
    async with trio.open_nursery() as nursery:
        await nursery.start(again.run)
        assert await read_all(again.cursor(again.topic("t").partition(0), 0)) == [(0, b"a"), (1, b"b")]
        nursery.cancel_scope.cancel()


async def test_whoever_waits_for_a_log_whose_threads_have_died_waits_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "SETTLE_S", 0.1)
    log, go_on = EventLog(tmp_path, LogMetrics()), Event()

    def fail(*_: object, **__: object) -> None:
        assert go_on.wait(5)
        raise ZeroDivisionError

    with trio.fail_after(PATIENCE_S), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(log.run)
            topic = await log.create_topic("t", 1)
            monkeypatch.setattr(Files, "write", fail)
            append(topic.partition(0), b"a")
            await trio.sleep(0.01)
            nursery.start_soon(log.delete_topic, "t")  # it lets no cancellation through while it removes files
            await trio.sleep(0.01)
            go_on.set()
