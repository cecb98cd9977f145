"""How rides write to the log, as its first producer. What they write is in `ride_events`.

Whoever tells never waits: an event is appended at once, or queued. When the log can't keep up:

- A position that finds no room is dropped and counted, and so is one whose commit fails.
- Other events are kept until their commit is on disk. If it fails because the disk is full, they are appended again, in
  their order; what comes meanwhile waits behind them.
- From SLOW_EVENTS kept on nobody is matched and new sessions wait, from MAX_EVENTS on new requests are refused. So all
  that comes beyond is about what was under way by then: an end a session, two events a ride.
- A disk that has failed otherwise than by being full may never come back, and rides must not stop with it: events are
  then dropped and counted, with a line in the server's log. They are the record of the rides, not the rides.

So a record is there once, or, if the server or its disk dies first, not at all: as much as one commit may be lost.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Final

import trio

from ride_trio.errors import LogError, LogFullError, TopicExistsError
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.log import EventLog
from ride_trio.matching import Phase, Ride, User
from ride_trio.pb.ride.v1.ride_pb2 import LocationUpdate
from ride_trio.pb.takhin.v1.takhin_pb2 import Record
from ride_trio.services.ride_events import LOCATIONS, MATCHES, SESSIONS, Event, of_position, of_ride, of_session
from ride_trio.sessions import Session

log = logging.getLogger(__name__)

# As many consumers of a group can share a topic. More would cost little: a topic's partitions share its files.
PARTITIONS: Final = 8
# Events that are not on disk: some 500 bytes each, and 1,000 of them in a sync of 100 ms at 10,000 a second.
SLOW_EVENTS: Final = 9_000
MAX_EVENTS: Final = 10_000
# A new session waits so long for room, s; by then its client has given up, or had better come back later.
ADMIT_S: Final = 10.0
# Between two tries on a full disk, s.
RETRY_S: Final = 1.0
# At the end, time for what is queued to get to the disk, s.
SETTLE_S: Final = 3.0
# Events appended before others may run: at 5 us each a pass of a millisecond.
SLICE_EVENTS: Final = 256
# Whose positions are written: drivers' who can be matched, or have a passenger.
AT_WORK: Final = (Phase.FREE, Phase.HAILED, Phase.MATCHED, Phase.EN_ROUTE, Phase.AT_PICKUP, Phase.ON_TRIP)
_NO_ROOM: Final = "what happens here can't be written down as fast; nothing new begins, try again later"


class _Sent:
    """What of ours is in one commit."""

    __slots__ = ("events", "positions")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.positions = 0


class RideJournal:
    """See the module's text.

    Args:
        log: The log; it runs for as long as this does.
        locations: Positions are written, too.
    """

    def __init__(self, log: EventLog, *, locations: bool) -> None:
        self.locations = locations
        self._log = log
        self._topics = (MATCHES, SESSIONS, LOCATIONS) if locations else (MATCHES, SESSIONS)
        self._dropped = {name: log.metrics.journal_dropped(name) for name in self._topics}
        self._kept = log.metrics.journal_queue
        self._waiting: deque[Event] = deque()
        self._sent: dict[Commit, _Sent] = {}  # in the order of commits
        self._held = False
        self._due = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._told = False
        self._hold()  # until there are topics

    def __repr__(self) -> str:
        return f"<RideJournal {self._kept.n} events not on disk, {len(self._waiting)} of them wait>"

    # ------------------------------------------------------------------ what happens

    def ride(self, event: str, ride: Ride) -> None:
        """See `Dispatcher.on_event`."""
        self._keep(of_ride(event, ride, self._log.now_ms()))

    def session_opened(self, session: Session) -> None:
        self._keep(of_session("opened", session, self._log.now_ms()))

    def session_named(self, session: Session, was: str) -> None:
        """It has its user's name now, and had one that was made up."""
        self._keep(of_session("named", session, self._log.now_ms(), was=was))

    def session_ended(self, session: Session, reason: str, lasted_s: float) -> None:
        event = of_session("ended", session, self._log.now_ms(), reason=reason, seconds=round(lasted_s, 3))
        self._keep(event)

    def position(self, user: User, update: LocationUpdate) -> None:
        """Where somebody is; that has been checked."""
        if user.phase not in AT_WORK:
            return
        if not self._held:
            sent = self._append(of_position(user.user_id, update, self._log.now_ms()))
            if sent is not None:
                sent.positions += 1
                return
            self._hold()
        self._dropped[LOCATIONS].n += 1

    def _keep(self, event: Event) -> None:
        self._kept.n += 1
        if self._held or not self._send(event):
            self._waiting.append(event)
            self._hold()

    # ------------------------------------------------------------------ backpressure

    @property
    def is_slow(self) -> bool:
        """The log can't keep up: nothing new should begin."""
        return self._kept.n >= SLOW_EVENTS

    async def admit(self) -> None:
        """Wait until a session may begin.

        Raises:
            LogFullError: That takes too long.
        """
        if not self.is_slow:
            return
        with trio.move_on_after(ADMIT_S):
            while self.is_slow:
                await self._room.park()
        if self.is_slow:
            raise LogFullError(_NO_ROOM)
        self._room.unpark()  # one after the other, so that what one of them tells counts for the next

    def check(self) -> None:
        """Raises:
        LogFullError: A new request can't be taken.
        """
        if self._kept.n >= MAX_EVENTS:
            raise LogFullError(_NO_ROOM)

    # ------------------------------------------------------------------ to the log

    def _append(self, event: Event) -> _Sent | None:
        """Append a record.

        Returns:
            What is in the same commit; None if it can't be done now: `_drain` finds out why.
        """
        commits, topic = self._log.commits, self._log.topics.get(event.topic)
        if topic is None or commits.is_full or commits.failed is not None or commits.stopped:
            return None
        _, key, value, timestamp = event
        partition = topic.partitions[topic.partitioner.choose(key, len(value))]
        offset, number = partition.next_offset, partition.number
        record = Record(key=key, value=value, timestamp=timestamp, offset=offset, partition=number)
        partition.append(record.SerializeToString(), timestamp)
        sent = self._sent.get(commits.gathering)
        if sent is None:
            sent = self._sent[commits.gathering] = _Sent()
            commits.gathering.listeners.append(self._progressed)
        return sent

    def _send(self, event: Event) -> bool:
        """Append an event that is kept; False if it can't be done now."""
        sent = self._append(event)
        if sent is None:
            return False
        sent.events.append(event)
        return True

    def _progressed(self) -> None:
        """A commit has got further, or has failed."""
        while self._sent:
            commit, sent = next(iter(self._sent.items()))
            if commit.level is not Level.SYNCED:
                break
            del self._sent[commit]
            self._told = False
            self._forget(len(sent.events))
        if any(commit.level is Level.FAILED for commit in self._sent):
            self._hold()

    def _forget(self, count: int) -> None:
        """So many events are not kept any more."""
        self._kept.n -= count
        self._room.unpark()

    def _hold(self) -> None:
        """What comes from now on waits, until `_drain` is through with what came before."""
        if not self._held:
            self._held = True
            self._due.set()

    # ------------------------------------------------------------------ the task

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make the topics, then see to what has to wait, until cancelled. Call `settle` before that."""
        for name in self._missing_topics():
            await self._make_topic(name)
        task_status.started()
        while True:
            await self._due.wait()
            self._due = trio.Event()
            await self._drain()

    async def settle(self) -> None:
        """Nothing more will happen: wait until all is on disk, but not for long."""
        with trio.move_on_after(SETTLE_S):
            while self._kept.n:
                await self._room.park()
        if self._kept.n:
            log.error("%d events of rides did not get to the disk", self._kept.n)

    async def _drain(self) -> None:
        """Append what waits, in order, as there is room; what has failed goes first.

        After each wait all is looked at anew, so nothing overtakes what has failed meanwhile.
        """
        commits = self._log.commits
        while True:
            if self._take_back():
                await trio.sleep(RETRY_S)
            elif commits.failed is not None or commits.stopped:
                self._lose_waiting(commits.failed or "the server is stopping")
                break
            elif missing := self._missing_topics():
                await self._make_topic(missing[0])
            elif commits.is_full:
                await commits.wait_room()
            elif self._send_some():
                break
            else:
                await trio.lowlevel.checkpoint()
        self._held = False

    def _take_back(self) -> bool:
        """What was in commits that have failed waits again, or is lost.

        Returns:
            Whether one has failed because the disk is full.
        """
        back: list[Event] = []
        is_full = False
        for commit in [commit for commit in self._sent if commit.level is Level.FAILED]:
            sent = self._sent.pop(commit)
            if sent.positions:
                self._dropped[LOCATIONS].n += sent.positions
            if isinstance(commit.error, LogFullError):
                is_full = True
                back += sent.events
            else:
                self._lose(sent.events, commit.error)
        self._waiting.extendleft(reversed(back))
        return is_full

    def _send_some(self) -> bool:
        """Append some of what waits. True: nothing is left."""
        for _ in range(SLICE_EVENTS):
            if not self._waiting:
                return True
            if not self._send(self._waiting[0]):
                return False
            self._waiting.popleft()
        return False

    def _lose_waiting(self, why: object) -> None:
        events, self._waiting = self._waiting, deque()
        self._lose(events, why)

    def _lose(self, events: Iterable[Event], why: object) -> None:
        count = 0
        for event in events:
            self._dropped[event.topic].n += 1
            count += 1
        self._forget(count)
        if count and not self._told:
            self._told = True
            log.error("rides go on, but are not written to the log: %s", why)

    # ------------------------------------------------------------------ topics

    def _missing_topics(self) -> list[str]:
        """Those to be made; one may also have been deleted."""
        return [name for name in self._topics if name not in self._log.topics]

    async def _make_topic(self, name: str) -> None:
        """Make a topic. If that fails, it is still missing, and some time has passed."""
        try:
            await self._log.create_topic(name, PARTITIONS)
        except TopicExistsError:
            pass  # somebody was quicker
        except LogFullError:
            await trio.sleep(RETRY_S)
        except (LogError, OSError) as error:
            self._lose_waiting(f"topic '{name}' can't be made: {error}")
            await trio.sleep(RETRY_S)
