"""What a session does with each envelope that comes in.

`take` is the engine's sink: it runs inside the connection's read pass, handles the envelope and queues its answer,
without waking a task. A position in the same zone is the hottest path of the server: it compares one int, stores two
floats and refills one ack.

Two things can't be done at once, and then `take` says False: the engine keeps the envelope and everything behind it,
and flow control stops the peer. No place for the answer: the engine offers the envelope again when it has pulled
something. A change in the broker whose lock is held just now: a task of the session's nursery makes the change, then
has the envelope offered again (`hold_for`). So each envelope has exactly one answer, in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from math import inf, isfinite
from typing import Final

from ride_trio.city import View
from ride_trio.errors import BadRequestError, NotAllowedError, RequestError, RideTrioError, SlowConsumerError
from ride_trio.matching import RIDER_STATUSES, Status, User
from ride_trio.metrics import Count
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, Hello, RideStatusUpdate
from ride_trio.services.ride_context import RideContext
from ride_trio.services.ride_envelopes import POSITION
from ride_trio.sessions import MAX_ID_CHARS, Session, cell_of, is_valid_id, on_globe

STATUSES: Final[dict[int, Status]] = {
    RideStatusUpdate.STATUS_LOOKING: Status.LOOKING,
    RideStatusUpdate.STATUS_CANCELLED: Status.CANCELLED,
    RideStatusUpdate.STATUS_AVAILABLE: Status.AVAILABLE,
    RideStatusUpdate.STATUS_OFFLINE: Status.OFFLINE,
    RideStatusUpdate.STATUS_EN_ROUTE_TO_PICKUP: Status.EN_ROUTE_TO_PICKUP,
    RideStatusUpdate.STATUS_AT_PICKUP: Status.AT_PICKUP,
    RideStatusUpdate.STATUS_ON_TRIP: Status.ON_TRIP,
}
# What a session whose Hello fixed its role may say.
STATUSES_OF_ROLE: Final[dict[int, frozenset[Status]]] = {
    Hello.ROLE_RIDER: RIDER_STATUSES,
    Hello.ROLE_DRIVER: frozenset(Status) - RIDER_STATUSES,
}


class RideInbox(ABC):
    """The inbound half of a session.

    Attributes:
        session: as the broker knows it.
        user: as the dispatcher knows it; another one when a session of unknown name gets its name.
        may_observe: it is an operator's.
        said_hello: knows what Error and Disconnect are.
        remind_of_ride: the user was in a ride when this session began, and has not been told of it here.
    """

    __slots__ = (
        "_begun",
        "_context",
        "_counts",
        "_named",
        "_role",
        "may_observe",
        "remind_of_ride",
        "said_hello",
        "session",
        "user",
    )

    user: User

    def __init__(self, context: RideContext, session: Session, named: bool) -> None:
        self.session = session
        self.may_observe = False
        self.said_hello = False
        self.remind_of_ride = False
        self._context = context
        self._counts = context.counts[session.transport]
        self._named = named  # the user is known by name; False: by a UUID of ours
        self._begun = False  # something has been taken
        self._role: int = Hello.ROLE_UNSPECIFIED

    @abstractmethod
    def hold_for(self, change: Callable[[], Awaitable[None]]) -> None:
        """Have `take` offered its envelope again after a change."""

    @abstractmethod
    def observe(self, view: View, rate_hz: float) -> None:
        """Have a view of the city sent instead of any other, so often at most; 0 is none.

        Raises:
            ObserverLimitError: very many do.
        """

    # ------------------------------------------------------------------ the sink

    def take(self, envelope: ClientEnvelope | None) -> bool:
        """Handle an envelope, or with None the peer's half-close. False: not yet, see the module's text."""
        session = self.session
        if envelope is None:
            self._half_close()
            return True
        if session.over:
            return True
        outbox = session.outbox
        if not outbox.free and not outbox.has_room():
            return False
        if self._context.ack_timer.is_due:
            self._context.ack_timer.begin(outbox, self._counts.ack_time)
        body = envelope.WhichOneof("body")
        try:
            if not _HANDLERS[body](self, envelope):
                return False
        except RequestError as error:
            self._refuse(envelope, error)
        session.last_seen = self._context.now()
        self._begun = True
        if self.remind_of_ride:  # after the answer: a Hello's Welcome comes first
            self.remind_of_ride = False
            self._context.dispatcher.remind(self.user)
        self._counts.ingress[body].n += 1
        return True

    def _half_close(self) -> None:
        session = self.session
        session.half_closed = True
        if not self.user.is_waiting:
            session.finish()

    # ------------------------------------------------------------------ bodies

    def _heartbeat(self, envelope: ClientEnvelope) -> bool:
        heartbeat = envelope.heartbeat
        user_id = heartbeat.user_id
        if user_id and user_id != self.session.user_id and not self._identify(user_id):
            return False
        self._ack(_checked(envelope.message_id) or str(heartbeat.seq))
        return True

    def _location(self, envelope: ClientEnvelope) -> bool:
        update = envelope.location_update
        session, user = self.session, self.user
        user_id = update.user_id
        if user_id and user_id != session.user_id:
            if not self._identify(user_id):
                return False
            user = self.user
        latitude, longitude = update.latitude, update.longitude
        bearing, speed_mps = update.bearing, update.speed_mps
        if not (on_globe(latitude, longitude) and isfinite(bearing) and isfinite(speed_mps)):
            raise BadRequestError(_off_the_globe(latitude, longitude, bearing, speed_mps))
        correlation_id = _checked(envelope.message_id) or str(update.sequence)
        cell = cell_of(latitude, longitude)
        zone = session.zone
        if zone is None or zone.cell != cell:
            if not self._move(cell):
                return False
            zone = session.zone
        user.lat, user.lng = latitude, longitude
        if user.cell != cell:
            self._context.dispatcher.moved(user, cell)
        if user.motion is not None:
            user.motion.bearing, user.motion.speed_mps = bearing, speed_mps
        if self._context.log_position is not None:
            self._context.log_position(user, update)
        if zone is not None and len(zone.members) > 1:
            payload = POSITION.pack(latitude, longitude, bearing, speed_mps)
            context = self._context
            context.broker.publish(session, context.envelopes.broadcast(zone.name, payload, session.user_id))
        self._ack(correlation_id)
        return True

    def _status(self, envelope: ClientEnvelope) -> bool:
        update = envelope.ride_status_update
        user_id = update.user_id
        if user_id and user_id != self.session.user_id and not self._identify(user_id):
            return False
        status = STATUSES.get(update.status)
        if status is None:
            raise BadRequestError(f"{update.status} is not a status that can be said")
        if status not in STATUSES_OF_ROLE.get(self._role, STATUSES.values()):
            raise BadRequestError(f"{status.name} is not for the role that Hello named")
        ride_id, message_id = _checked(update.ride_id), _checked(envelope.message_id)
        journal = self._context.journal
        if journal is not None and status is Status.LOOKING and self.user.ride is None:
            journal.check()
        correlation_id = self._context.dispatcher.report(self.user, status, ride_id, message_id)
        self._context.chronicle.note(self.session.user_id, f"said {status.name}")
        self._ack(correlation_id)
        return True

    def _hello(self, envelope: ClientEnvelope) -> bool:
        hello, context = envelope.hello, self._context
        if self._begun:
            self._error(envelope, BadRequestError("Hello may only be the first message"))
        elif len(hello.vehicle_plate) > MAX_ID_CHARS:
            self._error(envelope, BadRequestError(f"a vehicle_plate has up to {MAX_ID_CHARS} characters"))
        else:
            self.said_hello = True
            self._role = hello.role
            self.user.plate = hello.vehicle_plate or self.user.plate
            data = context.envelopes.welcome(
                _cut(envelope.message_id),
                self.session.session_id,
                context.heartbeat_interval_s,
                context.heartbeat_timeout_s,
            )
            self._send(data, self._counts.welcomes)
        return True

    def _observe(self, envelope: ClientEnvelope) -> bool:
        if not self.may_observe:
            raise NotAllowedError("only an operator may observe the city")
        message_id, observe = _checked(envelope.message_id), envelope.observe
        sides = observe.view
        view = View(sides.south, sides.west, sides.north, sides.east) if observe.HasField("view") else View()
        if not view.is_valid or not 0 <= observe.max_rate_hz < inf:
            raise BadRequestError("a view is on the globe, its south before its north and its west before its east")
        self.observe(view, observe.max_rate_hz)
        self._ack(message_id)
        return True

    def _nothing(self, envelope: ClientEnvelope) -> bool:
        raise BadRequestError("empty envelope: it has no body that this server knows")

    # ------------------------------------------------------------------ who and where

    def _identify(self, user_id: str) -> bool:
        """A body names another user than the session's: that is its name, if it has none yet.

        Returns:
            False: to be done again, the envelope is held.

        Raises:
            BadRequestError: it has a name, or this can't be one.
        """
        if self._named:
            raise BadRequestError("user_id is not the user of this session")
        if not is_valid_id(user_id):
            raise BadRequestError(NO_ID)
        if not self._context.broker.try_rename(self.session, user_id):
            self.hold_for(lambda: self._rename(user_id))
            return False
        self._renamed()
        return True

    async def _rename(self, user_id: str) -> None:
        await self._context.broker.rename(self.session, user_id)
        if self.session.user_id == user_id:  # else it ended before its turn came
            self._renamed()

    def _renamed(self) -> None:
        self._named = True
        was = self.user.user_id
        self.user = self._context.dispatcher.rename(self.user, self.session.user_id)
        self.remind_of_ride = self.user.is_matched
        if self._context.journal is not None:
            self._context.journal.session_named(self.session, was)

    def _move(self, cell: int) -> bool:
        broker, session = self._context.broker, self.session
        if broker.try_move(session, cell):
            return True
        self.hold_for(lambda: broker.move(session, cell))
        return False

    # ------------------------------------------------------------------ answers

    def _ack(self, correlation_id: str) -> None:
        self._send(self._context.envelopes.ack(correlation_id), self._counts.acks)

    def _refuse(self, envelope: ClientEnvelope, error: RequestError) -> None:
        data = self._context.envelopes.refusal(_correlation_id(envelope), error.detail)
        self._send(data, self._counts.acks)

    def _error(self, envelope: ClientEnvelope, error: RideTrioError) -> None:
        data = self._context.envelopes.error(_cut(envelope.message_id), error)
        self._send(data, self._counts.errors)

    def _send(self, data: bytes, count: Count) -> None:
        """Queue an answer. `take` has seen that there is a place, so a session without one is beyond help."""
        if self.session.outbox.push(data):
            count.n += 1
        else:
            self.session.end(SlowConsumerError("an answer found no place: the client does not read"))


NO_ID: Final = f"an id has up to {MAX_ID_CHARS} characters, and no control characters"

_HANDLERS: Final[dict[str | None, Callable[[RideInbox, ClientEnvelope], bool]]] = {
    "location_update": RideInbox._location,
    "heartbeat": RideInbox._heartbeat,
    "ride_status_update": RideInbox._status,
    "hello": RideInbox._hello,
    "observe": RideInbox._observe,
    None: RideInbox._nothing,
}


def _checked(text: str) -> str:
    """An id that the answer carries and the server keeps; nearly always there is none.

    Raises:
        BadRequestError: it can't be one.
    """
    if text and not is_valid_id(text):
        raise BadRequestError(NO_ID)
    return text


def _cut(text: str) -> str:
    """As much of an id as an answer carries."""
    return text[:MAX_ID_CHARS]


def _correlation_id(envelope: ClientEnvelope) -> str:
    """That of a refused envelope: the message's id, else the ride's, else the number of heartbeat or position."""
    if envelope.message_id:
        return _cut(envelope.message_id)
    match envelope.WhichOneof("body"):
        case "heartbeat":
            return str(envelope.heartbeat.seq)
        case "location_update":
            return str(envelope.location_update.sequence)
        case "ride_status_update":
            return _cut(envelope.ride_status_update.ride_id)
        case _:
            return ""


def _off_the_globe(latitude: float, longitude: float, bearing: float, speed_mps: float) -> str:
    return (
        f"latitude {latitude:g} (-90 to 90), longitude {longitude:g} (-180 to 180), bearing {bearing:g} and "
        f"speed_mps {speed_mps:g} must be finite and within their range"
    )
