"""Where everybody is, for whoever observes.

While nobody does, this costs nothing: users are as the dispatcher has them, and no position is looked at. With an
observer, a task looks around five times a second, notes whose place or phase is another, and has each observer told.
Looking is a pass over all users, 0.3 us each, and lets others run every thousand of them; so a position that comes in
has nothing to do but leave its bearing and speed, which the dispatcher does not keep (`User.motion`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

import trio

from ride_trio.city.observer import Change, Observer, zone_rows
from ride_trio.city.sight import Sight
from ride_trio.city.view import View
from ride_trio.errors import ObserverLimitError
from ride_trio.matching import Dispatcher, Ride, User
from ride_trio.metrics import RideMetrics
from ride_trio.sessions import Broker

T = TypeVar("T")

# Looks around a second, and so changes told at most: a car at 15 m/s moves 3 m in between.
MAX_RATE_HZ: Final = 5.0
LOOK_S: Final = 1 / MAX_RATE_HZ
LOOKS_A_SECOND: Final = round(MAX_RATE_HZ)
# Users looked at before others get their turn.
SLICE_USERS: Final = 1_000
# Observers at once. Each costs a part of a millisecond a look and 5,000 users, and keeps 200 bytes a user.
MAX_OBSERVERS: Final = 32


class City:
    """See the module's text.

    Args:
        dispatcher: whose users they are.
        broker: whose zones.
        metrics: where to count.
        now: the clock, s.

    Attributes:
        sights: of all users whose place is known, while somebody observes.
        activity: positions in the last second, by cell; None while nobody observes, and for the first second.
    """

    def __init__(self, dispatcher: Dispatcher, broker: Broker, metrics: RideMetrics, now: Callable[[], float]) -> None:
        self.sights: dict[User, Sight] = {}
        self.activity: dict[int, int] | None = None
        self._dispatcher = dispatcher
        self._broker = broker
        self._metrics = metrics
        self._now = now
        self._observers: set[Observer] = set()
        self._observed = trio.Event()
        self._users: dict[int, User] = {}  # by handle
        self._handles = 0
        self._looks = 0
        self._moves: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<City, {len(self.sights)} users in sight of {len(self._observers)} observers>"

    # ------------------------------------------------------------------ observers

    def observe(
        self, view: View, rate_hz: float, send: Callable[[Change], None], can_send: Callable[[], bool]
    ) -> Observer:
        """Begin to tell somebody of a view: all of it at the next look, then what changes.

        Args:
            view: a valid one.
            rate_hz: changes a second at most, above 0; more than MAX_RATE_HZ is that.
            send: takes a change. Must not call back.
            can_send: whether the one before it has left.

        Raises:
            ObserverLimitError: there are very many already.
        """
        if len(self._observers) >= MAX_OBSERVERS:
            raise ObserverLimitError(f"{MAX_OBSERVERS} observe already")
        observer = Observer(view, 1 / min(rate_hz, MAX_RATE_HZ), send, can_send)
        self._observers.add(observer)
        self._metrics.observers.n = len(self._observers)
        self._observed.set()
        return observer

    def leave(self, observer: Observer) -> None:
        """Tell it nothing more."""
        self._observers.discard(observer)
        self._metrics.observers.n = len(self._observers)

    def happened(self, event: str, ride: Ride) -> None:
        """As `Dispatcher.on_event`."""
        if event == "matched":
            for observer in self._observers:
                observer.matched(ride)

    def user_of(self, handle: int) -> User | None:
        """Whose handle it is, while somebody observes."""
        return self._users.get(handle)

    # ------------------------------------------------------------------ the task

    async def run(self) -> None:
        """Look around as long as somebody observes, until cancelled."""
        while True:
            await self._observed.wait()
            self._observed = trio.Event()
            while self._observers:
                began = trio.current_time()
                await self._look()
                await self._tell()
                await trio.sleep_until(began + LOOK_S)
            await self._forget()

    async def _look(self) -> None:
        """See everybody whose place is known, and who is gone."""
        self._looks += 1
        new = [observer for observer in self._observers if not observer.has_seen_all]
        seen = 0
        for users in _slices(self._dispatcher.users.values()):
            here = [user for user in users if user.cell is not None]
            changed = [sight for user in here if (sight := self._see(user)) is not None]
            for observer in self._observers:
                observer.saw(changed)
            for observer in new:
                observer.saw([self.sights[user] for user in here])
            seen += len(here)
            await trio.lowlevel.checkpoint()
        for observer in new:
            observer.has_seen_all = True
        if seen < len(self.sights):
            await self._lose_unseen()
        if self._looks % LOOKS_A_SECOND == 0:
            self.activity, self._moves = self._moves, Counter()

    async def _lose_unseen(self) -> None:
        for sights in _slices(self.sights.values()):
            for sight in sights:
                if sight.look != self._looks:
                    self._lose(sight)
            await trio.lowlevel.checkpoint()

    def _see(self, user: User) -> Sight | None:
        """A user's sight if it is another than at the last look."""
        sight = self.sights.get(user)
        if sight is None:
            self._handles += 1
            sight = user.motion = self.sights[user] = Sight(self._handles, user)
            self._users[sight.handle] = user
        elif sight.lat != user.lat or sight.lng != user.lng:
            sight.see()
            self._moves[user.cell or 0] += 1
        elif sight.phase is not user.phase:
            sight.see()
        else:
            sight.look = self._looks
            return None
        sight.look = self._looks
        return sight

    def _lose(self, sight: Sight) -> None:
        del self.sights[sight.user], self._users[sight.handle]
        sight.user.motion = None
        for observer in self._observers:
            observer.lost(sight)

    async def _tell(self) -> None:
        for observer in list(self._observers):
            if observer in self._observers:
                observer.tell(self._now(), self.sights, self._zone_rows)
            await trio.lowlevel.checkpoint()

    def _zone_rows(self, view: View) -> bytes:
        return zone_rows(self._broker.zones(), self.activity or {}, view)

    async def _forget(self) -> None:
        """Nobody looks any more."""
        self.activity = None
        self._moves.clear()
        for sights in _slices(self.sights.values()):
            for sight in sights:
                self._lose(sight)
            await trio.lowlevel.checkpoint()


def _slices(items: Iterable[T]) -> Iterator[list[T]]:
    """All there are now, so many at a time; who takes them lets others run in between."""
    rest = iter(list(items))
    while some := list(islice(rest, SLICE_USERS)):
        yield some
