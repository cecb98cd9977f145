"""Tells users what the dispatcher has decided, on whatever session they have now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ride_trio.errors import NoDriverFoundError, SlowConsumerError
from ride_trio.matching import Ride, User
from ride_trio.services.ride_counts import RideCounts
from ride_trio.services.ride_envelopes import Envelopes
from ride_trio.sessions import Broker

NOBODY_FOUND: Final = NoDriverFoundError("no free driver was near enough within the time a request waits")
DRIVER_LOST: Final = "DRIVER_LOST: the driver has gone before the pickup, the search goes on"


class RideNotifier:
    """A `matching.Notifier` over the broker's sessions.

    What it sends may not be lost: a session that has no place for it ends with SLOW_CONSUMER.
    """

    __slots__ = ("_broker", "_counts", "_envelopes")

    def __init__(self, broker: Broker, envelopes: Envelopes, counts: Mapping[str, RideCounts]) -> None:
        self._broker = broker
        self._envelopes = envelopes
        self._counts = counts

    def matched(self, user: User, ride: Ride) -> bool:
        """See `matching.Notifier`. The rider's carries the request's correlation id."""
        answers = ride.correlation_id if user is ride.rider else ""
        told = self._send(user, self._envelopes.match(answers, ride), "match_event")
        if told and user is ride.rider:
            self._answered(user)
        return told

    def no_driver(self, ride: Ride) -> None:
        """See `matching.Notifier`."""
        data = self._envelopes.refusal(ride.correlation_id, NOBODY_FOUND.detail)
        if self._send(ride.rider, data, "ack"):
            self._answered(ride.rider)

    def driver_lost(self, ride: Ride) -> None:
        """See `matching.Notifier`."""
        self._send(ride.rider, self._envelopes.news(ride.correlation_id, DRIVER_LOST), "ack")

    def _send(self, user: User, data: bytes, body: str) -> bool:
        session = self._broker.session_of(user.user_id)
        if session is None or session.over:
            return False
        counts = self._counts[session.transport]
        if not session.outbox.push(data):
            counts.undelivered.n += 1
            session.end(SlowConsumerError("what had to be sent found no place: the client does not read"))
            return False
        (counts.matches if body == "match_event" else counts.acks).n += 1
        return True

    def _answered(self, user: User) -> None:
        session = self._broker.session_of(user.user_id)
        if session is not None:
            session.answered()
