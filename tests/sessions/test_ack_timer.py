"""How long acks take: a sample of them, and what a client that does not read does to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ride_trio.metrics import Histogram
from ride_trio.sessions import AckLatency, AckTimer
from ride_trio.sessions.ack_timer import EVERY_S, LATELY_S, LONGEST_S
from tests.sessions.outboxes import make_outbox


@pytest.fixture
async def timer(nursery: trio.Nursery) -> AsyncIterator[AckTimer]:
    timer = AckTimer(trio.current_time)
    nursery.start_soon(timer.run)
    await due()
    yield timer
    nursery.cancel_scope.cancel()


@pytest.fixture
def counted() -> Histogram:
    return Histogram((0.5, 2.0))


async def due() -> None:
    await trio.sleep(EVERY_S * 1.01)


async def test_an_ack_is_timed_until_its_outbox_is_empty(
    autojump_clock: MockClock, timer: AckTimer, counted: Histogram
) -> None:
    outbox = make_outbox()
    assert timer.is_due
    timer.begin(outbox, counted)
    assert not timer.is_due
    outbox.push(b"ack")
    await trio.sleep(0.2)
    outbox.pull()
    assert timer.lately() is None
    assert outbox.pull() is None
    latency = timer.lately()
    assert latency is not None
    assert latency.median_s == latency.p99_s == pytest.approx(0.2)
    assert outbox.pull() is None  # nobody waits for that any more
    assert (counted.counts, counted.total) == ([1, 0, 0], pytest.approx(0.2))


async def test_one_at_a_time(autojump_clock: MockClock, timer: AckTimer, counted: Histogram) -> None:
    outbox = make_outbox()
    timer.begin(outbox, counted)
    await due()
    assert not timer.is_due
    outbox.pull()
    assert not timer.is_due
    await due()
    assert timer.is_due


async def test_who_does_not_read_is_timed_so_long_and_no_longer(
    autojump_clock: MockClock, timer: AckTimer, counted: Histogram
) -> None:
    timer.begin(make_outbox(), counted)
    await trio.sleep(LONGEST_S + 2 * EVERY_S)
    assert (timer.is_due, counted.counts) == (True, [0, 1, 0])
    latency = timer.lately()
    assert latency is not None
    assert latency.p99_s == pytest.approx(LONGEST_S, abs=2 * EVERY_S)


async def test_a_session_that_ends_meanwhile_is_not_counted(
    autojump_clock: MockClock, timer: AckTimer, counted: Histogram
) -> None:
    outbox = make_outbox()
    timer.begin(outbox, counted)
    outbox.close()
    await due()
    await due()
    assert (timer.is_due, counted.counts, timer.lately()) == (True, [0, 0, 0], None)


async def test_what_was_long_ago_is_not_lately(autojump_clock: MockClock, timer: AckTimer, counted: Histogram) -> None:
    for took in (*[0.0] * 98, 0.5, 0.9):
        outbox = make_outbox()
        timer.begin(outbox, counted)
        await trio.sleep(took)
        outbox.pull()
    assert timer.lately() == AckLatency(0.0, pytest.approx(0.9))
    await trio.sleep(LATELY_S + 1)
    assert timer.lately() is None
