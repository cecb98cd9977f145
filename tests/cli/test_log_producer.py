"""Lines become records, and what comes back of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import purerpc
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio_cli.log_client import LogClient
from ride_trio_cli.log_producer import MAX_IN_FLIGHT, Outcome, Plan, produce
from ride_trio_cli.standard_streams import LineTooLongError
from tests.cli.fake_log import LAST, FakeLog, connect

PATIENCE_S = 10


async def never() -> None:
    await trio.sleep_forever()


class Lines:
    """A source of lines: these, then what `then` does.

    Attributes:
        taken: how many somebody has asked for.
    """

    def __init__(self, *lines: bytes, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.taken = 0
        self._lines = lines
        self._then = then

    async def read(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            self.taken += 1
            yield line
        if self._then is not None:
            await self._then()


async def run(log: FakeLog, plan: Plan, lines: Lines, stop: trio.Event) -> Outcome:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            async with connect(nursery, log) as channel, aclosing(lines.read()) as source:
                outcome = await produce(LogClient(channel), plan, source, stop)
            nursery.cancel_scope.cancel()
    return outcome


async def run_all(log: FakeLog, plan: Plan, *lines: bytes) -> Outcome:
    return await run(log, plan, Lines(*lines), trio.Event())


@dataclass
class Running:
    """A run in the background. `outcome` is None until it ends."""

    lines: Lines
    stop: trio.Event = field(default_factory=trio.Event)
    outcome: Outcome | None = None

    async def run(self, log: FakeLog) -> None:
        self.outcome = await run(log, Plan("rides"), self.lines, self.stop)


@pytest.fixture
def rides(log: FakeLog) -> FakeLog:
    log.add_topic("rides", [], [])
    return log


async def test_a_record_a_line_as_the_plan_says(rides: FakeLog) -> None:
    plan = Plan("rides", partition=1, required_acks=1, key=b"ann", headers=[("h", b"1"), ("h", b"\xff")])
    outcome = await run_all(rides, plan, b"one", b"", b"\xff\x00")
    assert outcome == Outcome(sent=3, acknowledged=3, last_offsets={1: 2})
    records = rides.topics["rides"].partitions[1]
    assert [record.value for record in records] == [b"one", b"", b"\xff\x00"]
    assert {record.key for record in records} == {b"ann"}
    assert [(header.key, header.value) for header in records[0].headers] == [("h", b"1"), ("h", b"\xff")]
    assert {(request.partition, request.required_acks) for request in rides.asked} == {(1, 1)}


async def test_by_default_the_log_chooses_and_it_has_to_be_on_disk(rides: FakeLog) -> None:
    await run_all(rides, Plan("rides"), b"one")
    (request,) = rides.asked
    assert (request.partition, request.required_acks, request.record.key) == (-1, -1, b"")


async def test_a_separator_ends_each_lines_own_key(rides: FakeLog) -> None:
    outcome = await run_all(rides, Plan("rides", separator=b": "), b"ann: 1", b"bob: x: y", b": 3")
    assert outcome.failure == ""
    records = rides.topics["rides"].partitions[0]
    assert [(record.key, record.value) for record in records] == [(b"ann", b"1"), (b"bob", b"x: y"), (b"", b"3")]


async def test_a_line_without_its_key_is_the_first_error_and_those_before_it_are_stored(rides: FakeLog) -> None:
    outcome = await run_all(rides, Plan("rides", separator=b"\t"), b"a\t1", b"b\t2", b"nothing", b"c\t3")
    assert outcome.failure == "line 3: there is no '\\t' that would end a key"
    assert (outcome.sent, outcome.acknowledged) == (2, 2)


async def test_a_line_that_is_too_long_is_one_too(rides: FakeLog) -> None:
    async def too_long() -> None:
        raise LineTooLongError("longer than 5 bytes")

    outcome = await run(rides, Plan("rides"), Lines(b"1", then=too_long), trio.Event())
    assert (outcome.failure, outcome.acknowledged) == ("line 2: longer than 5 bytes", 1)


async def test_what_the_log_refuses_ends_it(log: FakeLog) -> None:
    outcome = await run_all(log, Plan("none"), *[b"x"] * (3 * MAX_IN_FLIGHT))
    assert outcome.failure.startswith("line 1: UNKNOWN_TOPIC: no topic 'none'; `ride-trio topics list`")
    assert (outcome.acknowledged, outcome.last_offsets) == (0, {})
    assert outcome.sent <= 2 * MAX_IN_FLIGHT


async def test_many_lines_are_in_flight_but_never_more_than_the_bound(rides: FakeLog, nursery: trio.Nursery) -> None:
    rides.answer = trio.Event()
    total = MAX_IN_FLIGHT + 500
    running = Running(Lines(*[b"x"] * total))
    nursery.start_soon(running.run, rides)
    await wait_all_tasks_blocked()
    assert running.lines.taken == MAX_IN_FLIGHT + 1  # it has to wait
    rides.answer.set()
    await wait_all_tasks_blocked()
    assert running.outcome == Outcome(total, total, {0: total - 1})


async def test_stopped_it_waits_for_the_answers_to_what_was_sent(rides: FakeLog, nursery: trio.Nursery) -> None:
    rides.answer = trio.Event()
    running = Running(Lines(b"1", b"2", then=never))
    nursery.start_soon(running.run, rides)
    await wait_all_tasks_blocked()
    running.stop.set()
    await wait_all_tasks_blocked()
    assert running.outcome is None
    rides.answer.set()
    await wait_all_tasks_blocked()
    assert running.outcome == Outcome(2, 2, {0: 1})


async def test_of_what_a_lost_call_has_not_answered_nobody_knows(rides: FakeLog) -> None:
    rides.answers_at_most = 2
    rides.ends_call_with = purerpc.UnavailableError("the server is stopping")
    outcome = await run_all(rides, Plan("rides"), *[b"x"] * 4, LAST)
    assert outcome.failure == "the server is stopping; lines 3 to 5 may be stored or not"
    assert (outcome.sent, outcome.acknowledged) == (5, 2)


async def test_of_a_refused_call_nothing_is_stored(rides: FakeLog) -> None:
    rides.answers_at_most = 0
    rides.ends_call_with = purerpc.PermissionDeniedError("not you")
    outcome = await run_all(rides, Plan("rides"), b"1", LAST)
    assert (outcome.failure, outcome.acknowledged) == ("not you", 0)


async def test_a_server_that_ends_the_call_without_all_answers_has_failed(rides: FakeLog) -> None:
    rides.answers_at_most = 1
    outcome = await run_all(rides, Plan("rides"), b"1", b"2", b"3")
    assert outcome.failure == "the server has ended the call; lines 2 to 3 may be stored or not"


async def test_a_call_that_ends_while_lines_are_awaited_has_failed_though_all_are_answered(rides: FakeLog) -> None:
    rides.ended = True
    outcome = await run(rides, Plan("rides"), Lines(b"1", then=never), trio.Event())
    assert outcome == Outcome(1, 1, {0: 0}, "the server has ended the call")
