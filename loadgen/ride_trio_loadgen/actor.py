"""What every inhabitant of the city does: appear, keep its session alive, report where it is, leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import trio

from ride_trio.pb.ride.v1.ride_pb2 import Ack, MatchEvent, RideStatusUpdate, Welcome
from ride_trio_loadgen.clock import Timeline
from ride_trio_loadgen.geometry import Fix
from ride_trio_loadgen.ledger import Ledger
from ride_trio_loadgen.session import RideCall, Session
from ride_trio_loadgen.tally import Tally


@dataclass(slots=True)
class World:
    """What the actors of one run share.

    Args:
        run_id: begins every ride id, so that a second run on the same server asks for rides of its own.
        open_call: makes a Connect call for a user id, to be entered.
        rate_hz: positions a second and session, by the wall clock.
        heartbeat_s: seconds between heartbeats until the server's Welcome says otherwise.
        speedup: seconds of city time in a second of the trio clock.
        city_start_s: city time (unix time of a trace; 0 for the synthetic city) at `wall_start_s`.
        wall_start_s: trio clock when the city's time begins to run.
        guests: whether drivers serve riders who are not of this run.
    """

    run_id: str
    timeline: Timeline
    tally: Tally
    ledger: Ledger
    open_call: Callable[[str], RideCall]
    rate_hz: float
    heartbeat_s: float
    speedup: float
    city_start_s: float
    wall_start_s: float
    guests: bool = False
    stopping: bool = False  # no new requests

    def wall_s(self, city_s: float) -> float:
        """When it is `city_s` in the city, trio clock."""
        return self.wall_start_s + (city_s - self.city_start_s) / self.speedup

    def city_s(self, wall_s: float) -> float:
        """What time it is in the city at `wall_s` of the trio clock."""
        return self.city_start_s + (wall_s - self.wall_start_s) * self.speedup


class Actor(ABC):
    """A user over the life of its session.

    Args:
        host: starts the session's task; the nursery behind it decides how long the run waits for this actor.
    """

    def __init__(self, world: World, user_id: str, host: Callable[[Session], None]) -> None:
        self.world = world
        self.user_id = user_id
        self.session: Session | None = None
        self.done = False  # its session has ended, or never will begin
        self._host = host
        self._heartbeat_s = world.heartbeat_s
        self._beaten_s = 0.0  # when the newest heartbeat was due; before the first: when the user appeared
        self._beat_due_s = 0.0  # the next one
        self._reporting = False
        self._appeared_s = 0.0

    # -- life

    def appear(self, due_s: float) -> None:
        """Open the session. Runs as a timeline action."""
        if self.world.stopping:
            self.done = True
            return
        self._appeared_s = due_s
        self.session = Session(self.user_id, self.world.open_call, self.world.tally, self)
        self._host(self.session)

    @abstractmethod
    def begin(self, due_s: float, session: Session) -> None:
        """Say the first things on a fresh session."""

    @abstractmethod
    def retire(self, due_s: float) -> None:
        """Wind up and leave; the run is over for this actor. Runs as a timeline action."""

    @abstractmethod
    def fix(self, now_s: float) -> Fix:
        """Where it is, trio clock."""

    @property
    def live(self) -> bool:
        return self.session is not None and self.session.live

    @property
    def waits_to_open(self) -> bool:
        """It has appeared, and its call isn't open yet."""
        return self.session is not None and not self.session.live and not self.done

    def leave(self) -> None:
        """Half-close, all being said."""
        if self.session is not None:
            self.session.leave()

    def give_up(self) -> None:
        """Cancel the call: leaving took too long."""
        if self.session is not None:
            self.session.give_up()

    # -- things to say

    def say(self, due_s: float, status: RideStatusUpdate.Status, ride_id: str = "") -> None:
        """Send a status, if there still is a session."""
        if self.session is not None:
            self.session.status(due_s, status, ride_id)

    def report_place(self, due_s: float) -> None:
        """Send one position."""
        if self.session is not None:
            self.session.location(due_s, self.fix(due_s))

    def report_steadily(self, due_s: float) -> None:
        """Send a position now and `rate_hz` times a second from now on, for as long as `wants_reports`."""
        if self._reporting:
            return
        self._reporting = True
        self._report(due_s)

    def wants_reports(self) -> bool:
        """Whether the steady positions go on."""
        return True

    def _report(self, due_s: float) -> None:
        if not self.live or not self.wants_reports():
            self._reporting = False
            return
        self.report_place(due_s)
        self.world.timeline.at(due_s + 1.0 / self.world.rate_hz, self._report)

    def _beat_after(self, due_s: float) -> None:
        self._beaten_s = due_s
        self._beat_at(due_s + self._heartbeat_s)

    def _beat_at(self, due_s: float) -> None:
        if due_s != self._beat_due_s:
            self._beat_due_s = due_s
            self.world.timeline.at(due_s, self._beat)

    def _beat(self, due_s: float) -> None:
        """Say a heartbeat; stale if the next one was put off or brought forward meanwhile."""
        if self.session is not None and self.session.live and due_s == self._beat_due_s:
            self.session.heartbeat(due_s)
            self._beat_after(due_s)

    # -- what the session tells (session.Listener)

    def opened(self, session: Session) -> None:
        """See `session.Listener`. The first words were due when the user appeared, however long opening took."""
        self.begin(self._appeared_s, session)
        self._beat_after(self._appeared_s)

    def welcomed(self, welcome: Welcome) -> None:
        """Take over the server's heartbeat interval; the next heartbeat moves to where it would have been with it."""
        if welcome.heartbeat_interval_ms > 0:
            self._heartbeat_s = welcome.heartbeat_interval_ms / 1e3
            self._beat_at(max(trio.current_time(), self._beaten_s + self._heartbeat_s))

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        """See `session.Listener`."""
        return ack.success

    def answered(self, ride_id: str, ack: Ack, now_s: float) -> None:
        """See `session.Listener`: only riders ask."""
        self.world.tally.error("answer_unexpected", f"{self.user_id}, who didn't ask: {ack.detail}")

    @abstractmethod
    def matched(self, event: MatchEvent, now_s: float) -> None:
        """See `session.Listener`."""

    def ended(self, now_s: float, failed: bool) -> None:
        """See `session.Listener`."""
        self.done = True
