"""Runs a city, synthetic or replayed, against a server.

A run has three stretches, and the nurseries follow them:

1. Everybody appears and lives until the duration is over, or until the last trace has ended.
2. Nobody asks any more; open requests are waited for as long as the server may take to answer them.
3. The riders leave (the inner nursery ends with them), calling off rides that are under way, then the drivers
   (the outer one). In the other order a driver that goes OFFLINE would send its rider looking again.

A run that is stopped goes to the third stretch at once: open requests are called off, and count as nothing.

Error kinds of this file: not_opened, leave_timeout.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from random import Random

import trio

from ride_trio.rpc import Channel
from ride_trio_loadgen.actor import Actor, World
from ride_trio_loadgen.city import City, draw_plate
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.connections import Connections
from ride_trio_loadgen.driver import CityDriver, TraceDriver
from ride_trio_loadgen.ledger import Ledger
from ride_trio_loadgen.plan import RidesPlan, Snapshot
from ride_trio_loadgen.report import Report
from ride_trio_loadgen.rider import CityRider, TraceRider
from ride_trio_loadgen.session import RideCall, Session
from ride_trio_loadgen.tally import Tally
from ride_trio_loadgen.trace import Trace, read_trace, span_s

# Sessions opened, or closed, a second, so that the figures are not those of one burst: opening costs a server as much
# as dozens of messages. Many sessions open faster, all of them in RAMP_MAX_S.
RAMP_PER_S = 500.0
RAMP_MAX_S = 5.0
# Seconds beyond the match timeout until a request counts as unanswered: a matching window, and some more.
ANSWER_SLACK_S = 5.0
# Seconds between looks at how the run goes: progress is shown four times a second.
LOOK_S = 0.25
# Seconds that everybody may take to leave, beside the ramp.
LEAVE_TIMEOUT_S = 30.0

# Starts a session's task.
Host = Callable[[Session], None]
Progress = Callable[[Snapshot], None]


async def run_rides(plan: RidesPlan, progress: Progress | None = None, stop: trio.Event | None = None) -> Report:
    """Run the whole plan and report.

    Args:
        progress: called about four times a second; must not block.
        stop: set, everybody leaves in good order; the report is of the time until then.

    Raises:
        trace.TraceError: a trace that can't be read.
        purerpc.UnavailableError: nobody listens at the target. A server that goes away later is in the report.
    """
    traces = [read_trace(path) for path in plan.traces]
    wanted = plan.connections_for(_sessions(plan, traces))
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(Channel(plan.target_host, plan.target_port)) for _ in range(wanted)]
        return await perform(plan, traces, Connections(channels).open, wanted, progress, stop)


async def perform(
    plan: RidesPlan,
    traces: Sequence[Trace],
    open_call: Callable[[str], RideCall],
    connections: int,
    progress: Progress | None = None,
    stop: trio.Event | None = None,
) -> Report:
    """As `run_rides`, over calls that somebody else opens.

    Args:
        open_call: opens a Connect call for a user id.
        connections: how many there are, for the report.
    """
    run = _Run(plan, traces, open_call, progress or _ignore, trio.Event() if stop is None else stop)
    await run.perform()
    return Report.of(
        run.world.tally,
        lag_ms=run.world.timeline.lag.summary_ms(),
        wall_s=trio.current_time() - run.world.wall_start_s,
        connections=connections,
        scenario=plan.to_json(),
    )


class _Run:
    """One run: its world, its people, its three stretches."""

    def __init__(
        self,
        plan: RidesPlan,
        traces: Sequence[Trace],
        open_call: Callable[[str], RideCall],
        progress: Progress,
        stop: trio.Event,
    ) -> None:
        self.plan = plan
        self.traces = traces
        self.progress = progress
        self.stop = stop
        tally = Tally()
        first_s, last_s = span_s(traces) if traces else (0.0, plan.duration_s * plan.speedup)
        self.total_s = min(plan.duration_s, (last_s - first_s) / plan.speedup)
        self.world = World(
            run_id=f"{time.time_ns() // 1_000_000:x}",
            timeline=Timeline(),
            tally=tally,
            ledger=Ledger(tally),
            open_call=open_call,
            rate_hz=plan.rate_hz,
            heartbeat_s=plan.heartbeat_s,
            speedup=plan.speedup,
            city_start_s=first_s,
            wall_start_s=trio.current_time(),
            guests=plan.guests,
        )
        self.drivers: list[Actor] = []
        self.riders: list[Actor] = []

    async def perform(self) -> None:
        """Run the three stretches; every session has ended when this returns.

        What lives long is kept from the garbage collector meanwhile: a full collection would stop the generator for
        some 50 ms, and every message due in them would look that much slower.
        """
        gc.freeze()
        try:
            await self._perform()
        finally:
            gc.unfreeze()
        self.world.ledger.settle()

    async def _perform(self) -> None:
        async with trio.open_nursery() as background:
            background.start_soon(self.world.timeline.run)
            async with trio.open_nursery() as drivers:
                async with trio.open_nursery() as riders:
                    self._cast(drivers, riders)
                    await self._live()
                    await self._leave(self.riders, riders)
                await self._leave(self.drivers, drivers)
            background.cancel_scope.cancel()

    # -- who is there

    def _cast(self, drivers: trio.Nursery, riders: trio.Nursery) -> None:
        """Have everybody appear at their time.

        Args:
            drivers, riders: where their sessions' tasks run.
        """

        def host_driver(session: Session) -> None:
            drivers.start_soon(session.run)

        def host_rider(session: Session) -> None:
            riders.start_soon(session.run)

        if self.traces:
            self._cast_replay(host_driver, host_rider)
        else:
            self._cast_city(host_driver, host_rider)

    def _cast_city(self, host_driver: Host, host_rider: Host) -> None:
        plan, world = self.plan, self.world
        city = City(plan.seed, plan.drivers + plan.riders)
        for index in range(plan.drivers):
            self.drivers.append(CityDriver(world, f"driver-{plan.seed}-{index:05d}", host_driver, city))
        for index in range(plan.riders):
            self.riders.append(CityRider(world, f"rider-{plan.seed}-{index:05d}", host_rider, city))
        all_here_s = _on_a_ramp(world, [actor.appear for actor in (*self.drivers, *self.riders)])
        world.timeline.at(all_here_s, lambda due_s: gc.freeze())

    def _cast_replay(self, host_driver: Host, host_rider: Host) -> None:
        world = self.world
        draw = Random(self.plan.seed)
        riders = count()
        for index, trace in enumerate(self.traces):
            name = f"cab-{self.plan.seed}-{index:05d}"
            cab = TraceDriver(world, name, host_driver, trace, draw_plate(draw))
            self.drivers.append(cab)
            world.timeline.at(world.wall_s(trace.start_s), cab.appear)
            for request in trace.requests():
                rider = TraceRider(world, f"rider-{self.plan.seed}-{next(riders):05d}", host_rider, request)
                self.riders.append(rider)
                world.timeline.at(world.wall_s(request.time_s), rider.appear)

    # -- the stretches

    async def _live(self) -> None:
        """Until the time is over, or everybody is gone; then until every open request is answered. Or until stopped."""
        world = self.world
        end_s = world.wall_start_s + self.total_s
        await self._watch("running", end_s, self._over)
        world.stopping = True
        answers_s = trio.current_time() + self.plan.match_timeout_s + ANSWER_SLACK_S
        if not self.stop.is_set():
            await self._watch("waiting for answers", answers_s, self._answered)
        if self.stop.is_set():
            await trio.sleep(LOOK_S)  # for who was just about to appear: nobody is left half-way in
        else:
            world.ledger.count_unanswered()

    def _answered(self) -> bool:
        return self.stop.is_set() or not self.world.ledger.open_requests

    def _over(self) -> bool:
        return self.stop.is_set() or all(actor.done for actor in (*self.drivers, *self.riders))

    async def _leave(self, actors: Sequence[Actor], nursery: trio.Nursery) -> None:
        """Have `actors` leave, and wait until their sessions have ended.

        Args:
            nursery: where their sessions' tasks run; cancelled, so that none that never opened keeps the run.
        """
        present = [actor for actor in actors if actor.live]
        waiting = [actor for actor in actors if actor.waits_to_open]
        end_s = _on_a_ramp(self.world, [actor.retire for actor in present]) + LEAVE_TIMEOUT_S
        await self._watch("leaving", end_s, lambda: not any(actor.live for actor in present))
        for actor in waiting:
            self.world.tally.error("not_opened", f"{actor.user_id}: the server allows no more streams")
        for actor in present:
            if actor.live:
                self.world.tally.error("leave_timeout", f"{actor.user_id}: {LEAVE_TIMEOUT_S:g} s were too short")
                actor.give_up()
        nursery.cancel_scope.deadline = trio.current_time() + LOOK_S

    async def _watch(self, stage: str, end_s: float, over: Callable[[], bool]) -> None:
        """Show progress until `end_s` (trio clock) or until `over()`."""
        while not over():
            self.progress(self._snapshot(stage))
            now_s = trio.current_time()
            if now_s >= end_s:
                break
            await trio.sleep_until(min(end_s, now_s + LOOK_S))
        self.progress(self._snapshot(stage))

    def _snapshot(self, stage: str) -> Snapshot:
        tally = self.world.tally
        return Snapshot(
            stage=stage,
            elapsed_s=trio.current_time() - self.world.wall_start_s,
            total_s=self.total_s,
            live=tally.live,
            sent=tally.sent,
            acked=tally.acked,
            broadcasts=tally.broadcasts,
            requests=tally.requests,
            open_requests=self.world.ledger.open_requests,
            matches=tally.matches,
            no_driver=tally.no_driver,
            errors=tally.error_count,
        )


def _sessions(plan: RidesPlan, traces: Sequence[Trace]) -> int:
    """Sessions that may be open at once; a replayed cab and about as many riders."""
    return 2 * len(traces) if traces else plan.drivers + plan.riders


def _on_a_ramp(world: World, actions: Sequence[Callable[[float], None]]) -> float:
    """Spread `actions` over time, from now on. Returns when the last is due, trio clock."""
    now_s = trio.current_time()
    ramp_s = min(RAMP_MAX_S, len(actions) / RAMP_PER_S)
    for index, action in enumerate(actions):
        world.timeline.at(now_s + ramp_s * index / len(actions), action)
    return now_s + ramp_s


def _ignore(snapshot: Snapshot) -> None:
    """Progress that nobody looks at."""
