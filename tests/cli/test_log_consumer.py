"""Records on their way to standard output, and what a group is told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import purerpc
import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Limits
from ride_trio_cli.log_client import LogCallError, LogClient
from ride_trio_cli.log_consumer import BEGIN_S, COMMIT_EVERY_S, LAST_COMMIT_S, LAST_WRITE_S, Plan, Printer, consume
from ride_trio_cli.log_positions import EARLIEST, LATEST, Position
from ride_trio_cli.log_records import as_text
from ride_trio_cli.standard_streams import Output
from tests.cli.fake_log import ARRIVED_MS, FakeLog, connect


class FakeOutput(Output):
    """Standard output in memory: it can be full, and nobody may read it any more."""

    def __init__(self, *, full: bool) -> None:
        self.lines: list[bytes] = []
        self.room = trio.Event()
        if not full:
            self.room.set()
        self.closed = trio.Event()
        self.broken = False  # as it turns out when something is written

    async def write(self, data: bytes) -> None:
        await self.room.wait()
        if self.broken:
            raise BrokenPipeError
        self.lines += data.splitlines()

    async def wait_closed(self) -> None:
        await self.closed.wait()


@dataclass
class Run:
    """A command's core while it runs."""

    printer: Printer
    output: FakeOutput
    stop: trio.Event = field(default_factory=trio.Event)
    ended: bool = False
    error: Exception | None = None

    @property
    def lines(self) -> list[bytes]:
        return self.output.lines


Start = Callable[..., Awaitable[Run]]


@pytest.fixture
def start(nursery: trio.Nursery, log: FakeLog, mock_clock: MockClock) -> Start:
    """Consumes in the background: `run = await start(plan)` returns when it waits. Time stands still."""

    async def main(plan: Plan, run: Run, options: dict[str, Any]) -> None:
        async with trio.open_nursery() as server:
            try:
                async with connect(server, log, **options) as channel:
                    await consume(LogClient(channel), plan, run.printer, run.output, run.stop)
            except Exception as error:
                run.error = error
            server.cancel_scope.cancel()
        run.ended = True

    async def begin(plan: Plan, max_records: int | None = None, *, full: bool = False, **options: Any) -> Run:
        output = FakeOutput(full=full)
        run = Run(Printer(output, as_text, max_records), output)
        nursery.start_soon(main, plan, run, options)
        await wait_all_tasks_blocked()
        return run

    return begin


async def stopped(run: Run) -> Run:
    """Set its stop, and see that it ends."""
    run.stop.set()
    await wait_all_tasks_blocked()
    assert run.ended
    return run


def plan_of(partition: int | None = None, group: str = "", begin: Position = EARLIEST) -> Plan:
    return Plan("rides", partition, group, begin)


def reason(run: Run) -> str:
    """What a run has failed with."""
    error = run.error
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, purerpc.RpcFailedError):
        return str(error.status.status_message)
    assert isinstance(error, LogCallError)
    return str(error)


# ---------------------------------------------------------------------- without a group


async def test_all_partitions_are_printed_each_in_order_and_what_comes_later(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a0", b"a1", b"a2"], [], [b"c0"])
    run = await start(plan_of())
    assert sorted(run.lines) == [b"a0", b"a1", b"a2", b"c0"]
    assert [line for line in run.lines if line.startswith(b"a")] == [b"a0", b"a1", b"a2"]
    log.append("rides", 1, b"b0")
    await wait_all_tasks_blocked()
    assert run.lines[4:] == [b"b0"]
    assert (await stopped(run)).error is None
    assert run.printer.printed == 5


@pytest.mark.parametrize(
    ("begin", "lines"),
    [
        (EARLIEST, [b"0", b"1", b"2", b"new"]),
        (Position(2), [b"2", b"new"]),
        (LATEST, [b"new"]),
        (Position(time_ms=ARRIVED_MS + 1), [b"1", b"2", b"new"]),
    ],
)
async def test_a_partition_is_printed_from_a_position(
    begin: Position, lines: list[bytes], start: Start, log: FakeLog
) -> None:
    log.add_topic("rides", [b"other"], [b"0", b"1", b"2"])
    run = await start(plan_of(1, begin=begin))
    log.append("rides", 1, b"new")
    await wait_all_tasks_blocked()
    assert run.lines == lines
    await stopped(run)


async def test_it_ends_when_enough_is_printed(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"x"] * 5, [b"x"] * 5)
    run = await start(plan_of(), 3)
    assert (run.ended, run.error, run.lines, run.printer.printed) == (True, None, [b"x"] * 3, 3)


async def test_it_ends_when_nobody_reads_any_more_though_nothing_is_printed(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [])
    run = await start(plan_of())
    assert not run.ended
    run.output.closed.set()
    await wait_all_tasks_blocked()
    assert (run.ended, run.error) == (True, None)


async def test_partitions_wait_for_each_other_while_output_is_full(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a"] * 4, [b"b"] * 4)
    run = await start(plan_of(), full=True)
    assert (run.lines, run.ended) == ([], False)
    run.output.room.set()
    await wait_all_tasks_blocked()
    assert sorted(run.lines) == [b"a"] * 4 + [b"b"] * 4
    await stopped(run)


async def test_stopped_while_output_is_full_it_waits_for_that_a_moment(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a"])
    run = await start(plan_of(), full=True)
    run.stop.set()
    await wait_all_tasks_blocked()
    assert not run.ended
    mock_clock.jump(LAST_WRITE_S)
    await wait_all_tasks_blocked()
    assert (run.ended, run.error, run.printer.printed) == (True, None, 0)


async def test_what_is_written_in_that_moment_counts_and_nothing_more_is(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a0", b"a1", b"a2"], [b"b"])
    run = await start(plan_of(), full=True)
    run.stop.set()
    await wait_all_tasks_blocked()
    run.output.room.set()
    await wait_all_tasks_blocked()
    assert (run.ended, run.error, run.printer.printed) == (True, None, len(run.lines))
    assert run.lines in ([b"a0", b"a1"], [b"b"])


async def test_a_topic_that_is_none_is_an_error(start: Start) -> None:
    assert reason(await start(plan_of())).startswith("UNKNOWN_TOPIC: no topic 'rides'")
    assert reason(await start(plan_of(0))).startswith("UNKNOWN_TOPIC: no topic 'rides'")


@pytest.mark.parametrize("group", ["", "g"])
async def test_a_server_that_ends_the_call_has_failed(group: str, start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a", b"a", b"a"])
    log.batches_at_most = 2
    run = await start(plan_of(group=group))
    assert (run.ended, reason(run)) == (True, "the server has ended the call")


async def test_a_failure_gets_through_although_another_partition_waits_for_output(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a"], [])
    run = await start(plan_of(), full=True)
    log.end_calls()
    await wait_all_tasks_blocked()
    mock_clock.jump(LAST_WRITE_S)
    await wait_all_tasks_blocked()
    assert (run.ended, reason(run)) == (True, "the server has ended the call")


async def test_more_partitions_than_calls_are_an_error_not_a_silence(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a"], [b"b"], [b"c"])
    run = await start(plan_of(), limits=Limits(max_concurrent_streams=2))
    assert (len(run.lines), run.ended) == (2, False)
    mock_clock.jump(BEGIN_S)
    await wait_all_tasks_blocked()
    assert reason(run).endswith("fewer calls than 3: --partition or --group needs one")


# ---------------------------------------------------------------------- as a member


async def test_a_member_commits_what_it_has_printed_every_second(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a", b"a", b"a"], [b"b"], [])
    run = await start(plan_of(group="g"))
    assert (sorted(run.lines), log.commits) == ([b"a", b"a", b"a", b"b"], [])
    await next_second(mock_clock)
    assert log.commits == [{("rides", 0): 3, ("rides", 1): 1}]
    await next_second(mock_clock)
    log.append("rides", 2, b"c")
    await next_second(mock_clock)
    assert log.commits[1:] == [{("rides", 2): 1}]
    assert (await stopped(run)).error is None
    assert (len(log.commits), log.members) == (2, {})


async def next_second(clock: MockClock) -> None:
    """What comes until then comes."""
    await wait_all_tasks_blocked()
    clock.jump(COMMIT_EVERY_S)
    await wait_all_tasks_blocked()


async def test_stopped_it_commits_before_it_leaves_and_the_next_one_goes_on_there(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a", b"b"])
    await stopped(await start(plan_of(group="g")))
    assert log.commits == [{("rides", 0): 2}]
    log.append("rides", 0, b"c")
    second = await stopped(await start(plan_of(group="g")))
    assert (second.lines, log.commits[1:]) == ([b"c"], [{("rides", 0): 3}])


async def test_with_enough_printed_it_commits_only_that(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"x"] * 9)
    run = await start(plan_of(group="g"), 3)
    assert (run.ended, run.lines, log.commits) == (True, [b"x"] * 3, [{("rides", 0): 3}])


async def test_what_is_not_printed_is_not_committed(start: Start, log: FakeLog, mock_clock: MockClock) -> None:
    log.add_topic("rides", [b"a", b"b"])
    run = await start(plan_of(group="g"), full=True)
    await next_second(mock_clock)
    run.stop.set()
    await wait_all_tasks_blocked()
    mock_clock.jump(LAST_WRITE_S)
    await wait_all_tasks_blocked()
    assert (run.ended, run.error, log.commits) == (True, None, [])


async def test_what_was_being_printed_as_it_was_stopped_is_committed(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a", b"b", b"c"])
    run = await start(plan_of(group="g"), full=True)
    run.stop.set()
    await wait_all_tasks_blocked()
    run.output.room.set()
    await wait_all_tasks_blocked()
    assert (run.ended, run.lines, log.commits) == (True, [b"a", b"b"], [{("rides", 0): 2}])


async def test_a_failure_gets_through_although_output_is_full(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a"])
    run = await start(plan_of(group="g"))
    log.refuses_commits = "NOT_OWNER: no"
    run.output.room = trio.Event()
    log.append("rides", 0, b"b")
    await next_second(mock_clock)
    assert not run.ended
    mock_clock.jump(LAST_WRITE_S)
    await wait_all_tasks_blocked()
    assert (run.ended, reason(run)) == (True, "NOT_OWNER: no")


async def test_when_nobody_reads_any_more_what_was_printed_before_is_committed(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a"])
    run = await start(plan_of(group="g"))
    run.output.broken = True
    log.append("rides", 0, b"b")
    await wait_all_tasks_blocked()
    assert (run.ended, run.error, log.commits) == (True, None, [{("rides", 0): 1}])


@pytest.mark.parametrize(
    ("begin", "lines"),
    [(EARLIEST, [b"0", b"1"]), (LATEST, []), (Position(time_ms=ARRIVED_MS + 1), [b"1"])],
)
async def test_where_nothing_is_committed_a_member_begins_at_the_position(
    begin: Position, lines: list[bytes], start: Start, log: FakeLog
) -> None:
    log.add_topic("rides", [b"0", b"1"], [b"old", b"done"])
    log.offsets["g"] = {("rides", 1): 2}
    run = await start(plan_of(group="g", begin=begin))
    log.append("rides", 0, b"new")
    await wait_all_tasks_blocked()
    assert run.lines == [*lines, b"new"]
    await stopped(run)


async def test_what_a_member_has_lost_it_commits_no_more(start: Start, log: FakeLog, mock_clock: MockClock) -> None:
    log.add_topic("rides", [b"a"], [b"b"])
    run = await start(plan_of(group="g"))
    log.rebalance("g", lost=[1])
    await next_second(mock_clock)
    assert (log.commits, log.stale_commits) == ([{("rides", 0): 1}], 0)
    await stopped(run)


async def test_a_commit_of_an_old_generation_waits_for_the_next_second(
    start: Start, log: FakeLog, mock_clock: MockClock
) -> None:
    log.add_topic("rides", [b"a"], [b"b"])
    run = await start(plan_of(group="g"))
    log.rebalance("g", lost=[1], tell=False)
    await next_second(mock_clock)
    assert (log.commits, log.stale_commits, run.ended) == ([], 1, False)
    log.tell()
    await next_second(mock_clock)
    assert log.commits == [{("rides", 0): 1}]
    await stopped(run)


async def test_the_last_commit_waits_for_the_news_of_the_group(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [b"a"], [b"b"])
    run = await start(plan_of(group="g"))
    log.rebalance("g", lost=[1], tell=False)
    run.stop.set()
    await wait_all_tasks_blocked()
    assert (run.ended, log.stale_commits) == (False, 1)
    log.append("rides", 0, b"not printed any more")
    log.tell()
    await wait_all_tasks_blocked()
    assert (run.ended, run.error, log.commits, run.lines) == (True, None, [{("rides", 0): 1}], [b"a", b"b"])


async def test_the_last_commit_has_a_bound(start: Start, log: FakeLog, mock_clock: MockClock) -> None:
    log.add_topic("rides", [b"a"])
    run = await start(plan_of(group="g"))
    log.rebalance("g", lost=[], tell=False)
    run.stop.set()
    await wait_all_tasks_blocked()
    mock_clock.jump(LAST_COMMIT_S)
    await wait_all_tasks_blocked()
    assert reason(run) == "g changes all the time: the last records may come once more"


async def test_a_refused_commit_ends_it(start: Start, log: FakeLog, mock_clock: MockClock) -> None:
    log.add_topic("rides", [b"a"])
    run = await start(plan_of(group="g"))
    log.refuses_commits = "NOT_OWNER: no"
    await next_second(mock_clock)
    assert (run.ended, reason(run)) == (True, "NOT_OWNER: no")


async def test_a_member_asks_as_one(start: Start, log: FakeLog) -> None:
    log.add_topic("rides", [])
    await stopped(await start(plan_of(group="g")))
    (request,) = log.asked
    assert (request.group_id, request.client_id, request.topic) == ("g", "ride-trio consume", "rides")
