from __future__ import annotations

import pytest
from trio.testing import MockClock

from ride_trio_loadgen.bench.log_load import HOST, LogLoad, until
from ride_trio_loadgen.log_plan import LogPlan


@pytest.fixture
def load() -> LogLoad:
    return LogLoad(LogPlan(HOST, 1, "topic", producers=1, record_bytes=100, duration_s=1.0), partitions=1)


def test_a_load_that_was_answered_in_full_is_well(load: LogLoad) -> None:
    load.tally.sent = load.tally.acked = 3
    load.check()


def test_what_was_not_answered_is_an_error(load: LogLoad) -> None:
    load.tally.sent, load.tally.acked = 3, 2
    with pytest.raises(ValueError, match=r"^2 of 3 records were acknowledged$"):
        load.check()


def test_what_went_wrong_is_an_error_with_an_example(load: LogLoad) -> None:
    load.tally.error("refused:LOG_FULL", "record 7: LOG_FULL: the disk is full", 4)
    with pytest.raises(ValueError, match="refused:LOG_FULL: 4, such as record 7: LOG_FULL: the disk is full"):
        load.check()


async def test_waiting_ends_when_it_is_so_far(autojump_clock: MockClock) -> None:
    looks = iter([False, False, True])
    await until(lambda: next(looks))


async def test_waiting_has_an_end(autojump_clock: MockClock) -> None:
    with pytest.raises(TimeoutError, match="not so far after 60 s"):
        await until(lambda: False)
