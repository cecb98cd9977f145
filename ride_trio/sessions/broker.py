"""The broker: which session is whose, and which sessions share a zone.

SHARD_COUNT shards; a shard owns the users and the zones that hash to it. Two rules:

1. Whoever changes a shard holds its lock, or sees that it is free and changes it without awaiting in between: on one
   trio thread nobody can come between, so a synchronous section that finds the lock free is as good as one that takes
   it (70 ns against 1.4 us). The lock is held across awaits by what may not interleave with a change: `drain`.
   Hence the pairs: `try_x` is synchronous and says False where a lock is held just now, `x` awaits it.
2. Who leaves takes no lock, and publishing neither: both are synchronous, and `drain` works on a copy.

A session can always leave, so clean-up never waits. A change of two shards takes their locks in the order of their
numbers, so two of them never wait for each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from ride_trio.errors import ConnectionLimitError, SessionTakenOverError, ShutdownError
from ride_trio.sessions.session import Session
from ride_trio.sessions.zones import Zone

# Sessions that `drain` ends before it lets others run: at 4 us each, a pass of a millisecond.
DRAIN_SLICE: Final = 256


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """The broker at one moment."""

    sessions: int
    zones: int
    shards: int
    fullest_shard: int  # sessions
    draining: bool


class Shard:
    """The users and the zones that hash to one number."""

    __slots__ = ("lock", "number", "sessions", "zones")

    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = trio.Lock()
        self.sessions: dict[str, Session] = {}
        self.zones: dict[int, Zone] = {}

    def __repr__(self) -> str:
        return f"<Shard {self.number}: {len(self.sessions)} sessions, {len(self.zones)} zones>"


class Broker:
    """See the module's text.

    Args:
        shard_count: shards.
        max_sessions: live sessions; the next one is refused.
    """

    def __init__(self, *, shard_count: int, max_sessions: int) -> None:
        self._shards = [Shard(number) for number in range(shard_count)]
        self._max_sessions = max_sessions
        self._count = 0
        self._draining = False
        self._empty = trio.Event()

    def __repr__(self) -> str:
        return f"<Broker {self.statistics()}>"

    # ------------------------------------------------------------------ who is who

    def session_of(self, user_id: str) -> Session | None:
        """The user's live session."""
        return self._shard_of(user_id).sessions.get(user_id)

    async def register(self, session: Session, user_id: str) -> None:
        """Make a new session the user's. An older one of the same user ends, and this one takes over its zone.

        Raises:
            ConnectionLimitError: the house is full; a takeover needs no place.
            ShutdownError: the server is stopping.
        """
        async with self._shard_of(user_id).lock:
            if self._draining:
                raise ShutdownError("the server is stopping")
            if self._count >= self._max_sessions and self.session_of(user_id) is None:
                raise ConnectionLimitError(f"the server holds its {self._max_sessions} sessions already")
            self._enter(session, user_id)

    def try_rename(self, session: Session, user_id: str) -> bool:
        """Give a registered session its user's real name, taking over as `register` does.

        Returns:
            False, and nothing has changed, if a lock is held just now.
        """
        if self._any_held((self._shard_of(session.user_id), self._shard_of(user_id))):
            return False
        self._rename(session, user_id)
        return True

    async def rename(self, session: Session, user_id: str) -> None:
        """As `try_rename`, after waiting for the locks. Does nothing if the session has ended meanwhile."""
        async with self._locked([self._shard_of(session.user_id), self._shard_of(user_id)]):
            if session.registered:
                self._rename(session, user_id)

    def leave(self, session: Session) -> bool:
        """Forget a session that has ended.

        Returns:
            Whether it was its user's until now; False if a newer one has taken over.
        """
        self._leave_zone(session)
        if not session.registered:
            return False
        self._remove(session)
        if self._draining and not self._count:
            self._empty.set()
        return True

    def _enter(self, session: Session, user_id: str) -> None:
        sessions = self._shard_of(user_id).sessions
        older = sessions.get(user_id)
        if older is not None:
            self._take_over(older, session)
        session.user_id = user_id
        session.registered = True
        sessions[user_id] = session
        self._count += 1

    def _remove(self, session: Session) -> None:
        session.registered = False
        del self._shard_of(session.user_id).sessions[session.user_id]
        self._count -= 1

    def _take_over(self, older: Session, newer: Session) -> None:
        older.end(SessionTakenOverError("a newer session of the same user has begun"))
        zone = older.zone
        self._leave_zone(older)
        self._remove(older)
        if zone is not None and newer.zone is None:
            self._join_zone(newer, zone.cell)

    def _rename(self, session: Session, user_id: str) -> None:
        self._remove(session)
        self._enter(session, user_id)

    # ------------------------------------------------------------------ where they are

    def try_move(self, session: Session, cell: int) -> bool:
        """Move a session to the zone of a cell.

        Returns:
            False, and nothing has changed, if a lock is held just now.
        """
        if self._any_held(self._shards_of_move(session, cell)):
            return False
        self._move(session, cell)
        return True

    async def move(self, session: Session, cell: int) -> None:
        """As `try_move`, after waiting for the locks. Does nothing if the session has ended meanwhile."""
        async with self._locked(self._shards_of_move(session, cell)):
            if session.registered:
                self._move(session, cell)

    def publish(self, sender: Session, data: bytes) -> None:
        """Queue an encoded broadcast for the other sessions of the sender's zone.

        Never waits: what a slow session can't take is conflated or dropped, see `Outbox`. Order: as published, for
        each receiver.
        """
        zone = sender.zone
        if zone is not None:
            name = sender.user_id
            for member in zone.members:
                if member is not sender:
                    member.outbox.push_broadcast(name, data)

    def _move(self, session: Session, cell: int) -> None:
        self._leave_zone(session)
        self._join_zone(session, cell)

    def _join_zone(self, session: Session, cell: int) -> None:
        zones = self._shard_of_cell(cell).zones
        zone = zones.get(cell)
        if zone is None:
            zone = zones[cell] = Zone(cell)
        zone.members.add(session)
        session.zone = zone

    def _leave_zone(self, session: Session) -> None:
        zone, session.zone = session.zone, None
        if zone is not None:
            zone.members.discard(session)
            if not zone.members:
                del self._shard_of_cell(zone.cell).zones[zone.cell]

    # ------------------------------------------------------------------ the end

    async def drain(self) -> None:
        """End every session with SHUTDOWN, take no new one, and return when the last has left."""
        self._draining = True
        if not self._count:
            self._empty.set()
        for shard in self._shards:
            async with shard.lock:
                await self._drain_shard(shard)
        await self._empty.wait()

    async def _drain_shard(self, shard: Shard) -> None:
        for number, session in enumerate(list(shard.sessions.values()), 1):
            session.end(ShutdownError("the server is stopping"))
            if number % DRAIN_SLICE == 0:
                await trio.lowlevel.checkpoint()

    def sessions(self) -> Iterator[Session]:
        """All live sessions. Nobody may come or go meanwhile."""
        return (session for shard in self._shards for session in shard.sessions.values())

    def zones(self) -> Iterator[Zone]:
        """All zones that have sessions, likewise."""
        return (zone for shard in self._shards for zone in shard.zones.values())

    def statistics(self) -> BrokerStatistics:
        """How many sessions and zones there are."""
        return BrokerStatistics(
            self._count,
            sum(len(shard.zones) for shard in self._shards),
            len(self._shards),
            max(len(shard.sessions) for shard in self._shards),
            self._draining,
        )

    # ------------------------------------------------------------------ shards

    def _shard_of(self, user_id: str) -> Shard:
        return self._shards[hash(user_id) % len(self._shards)]

    def _shard_of_cell(self, cell: int) -> Shard:
        return self._shards[cell % len(self._shards)]

    def _shards_of_move(self, session: Session, cell: int) -> list[Shard]:
        shards = [self._shard_of_cell(cell)]
        if session.zone is not None:
            shards.append(self._shard_of_cell(session.zone.cell))
        return shards

    def _any_held(self, shards: Iterable[Shard]) -> bool:
        return any(shard.lock.locked() for shard in shards)

    @asynccontextmanager
    async def _locked(self, shards: Iterable[Shard]) -> AsyncIterator[None]:
        """Hold the locks of some shards, taken in the order of their numbers."""
        async with AsyncExitStack() as stack:
            for number in sorted({shard.number for shard in shards}):
                await stack.enter_async_context(self._shards[number].lock)
            yield
