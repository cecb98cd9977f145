"""Server envelopes, encoded: the only place that builds them.

Every envelope takes the next lamport time, so the clock rises over all that one server says; an envelope that goes to
many sessions is encoded once and they share its bytes and its time.

The ack is most of the traffic. Refilling one message object and serializing it takes 0.6 us, a new one of keywords
2.6 us, and packing varints by hand in Python 1.2 us; so one is kept and refilled.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from ride_trio.city import Change
from ride_trio.errors import RideTrioError
from ride_trio.matching import Ride
from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    BroadcastEvent,
    CityView,
    Disconnect,
    Error,
    MatchEvent,
    ServerEnvelope,
    Welcome,
)

# Latitude, longitude, bearing, speed: what clients unpack.
POSITION: Final = Struct("<4d")
# The fare's factor, until there is a rule for it.
PLAIN_FARE: Final = 1.0
# Milliseconds a client told to come back shall wait, plus a random share of as much again: a server that restarts is
# up after a second, and a city that comes back within two seconds of that is 50,000 handshakes at 25,000 a second.
RECONNECT_BACKOFF_MS: Final = 1_000
RECONNECT_JITTER_MS: Final = 2_000


class Envelopes:
    """Encodes with one clock. One a server."""

    __slots__ = ("_ack_body", "_ack_envelope", "_lamport_time")

    def __init__(self) -> None:
        self._lamport_time = 0
        self._ack_envelope = ServerEnvelope(ack=Ack(success=True))
        self._ack_body = self._ack_envelope.ack

    def ack(self, correlation_id: str) -> bytes:
        """Plain success."""
        self._lamport_time += 1
        envelope = self._ack_envelope
        envelope.lamport_time = self._lamport_time
        envelope.correlation_id = self._ack_body.correlation_id = correlation_id
        return envelope.SerializeToString()

    def refusal(self, correlation_id: str, detail: str) -> bytes:
        """Success false, and why: `CODE: words`."""
        return self._detailed(correlation_id, success=False, detail=detail)

    def news(self, correlation_id: str, detail: str) -> bytes:
        """A further ack of a request that is still on: `CODE: words`."""
        return self._detailed(correlation_id, success=True, detail=detail)

    def match(self, correlation_id: str, ride: Ride) -> bytes:
        """The ride's pair."""
        driver = ride.driver
        assert driver is not None
        event = MatchEvent(
            ride_id=ride.ride_id,
            driver_id=driver.user_id,
            rider_id=ride.rider.user_id,
            vehicle_plate=driver.plate,
            eta_seconds=ride.eta_s,
            surge_multiplier=PLAIN_FARE,
            pickup_latitude=ride.rider.lat,
            pickup_longitude=ride.rider.lng,
        )
        return self._encode(ServerEnvelope(correlation_id=correlation_id, match_event=event))

    def broadcast(self, topic: str, payload: bytes, user_id: str) -> bytes:
        """A position, for the zone's other sessions.

        Args:
            topic: the zone.
            payload: as `POSITION.pack` makes it.
            user_id: whose it is.
        """
        event = BroadcastEvent(topic=topic, payload=payload, user_id=user_id)
        return self._encode(ServerEnvelope(broadcast_event=event))

    def city_view(self, change: Change) -> bytes:
        """What an observer does not know yet."""
        matched = [
            CityView.Matched(ride_id=m.ride_id, rider_handle=m.rider, driver_handle=m.driver) for m in change.matched
        ]
        view = CityView(
            sequence=change.sequence,
            snapshot=change.snapshot,
            changed=change.changed,
            removed=change.removed,
            matched=matched,
            zones=change.zones,
            total=change.total,
            sampled=change.sampled,
        )
        return self._encode(ServerEnvelope(city_view=view))

    def welcome(self, correlation_id: str, session_id: str, interval_s: float, timeout_s: float) -> bytes:
        """The answer to Hello; both times are the heartbeat's, in seconds."""
        welcome = Welcome(
            session_id=session_id,
            heartbeat_interval_ms=round(interval_s * 1000),
            heartbeat_timeout_ms=round(timeout_s * 1000),
        )
        return self._encode(ServerEnvelope(correlation_id=correlation_id, welcome=welcome))

    def error(self, correlation_id: str, error: RideTrioError) -> bytes:
        """Something that no ack answers."""
        body = Error(code=error.code, message=error.message, temporary=error.retryable)
        return self._encode(ServerEnvelope(correlation_id=correlation_id, error=body))

    def disconnect(self, error: RideTrioError) -> bytes:
        """The last envelope of a stream that the server ends."""
        body = Disconnect(
            code=error.code,
            reconnect=error.retryable,
            backoff_ms=RECONNECT_BACKOFF_MS if error.retryable else 0,
            jitter_ms=RECONNECT_JITTER_MS if error.retryable else 0,
        )
        return self._encode(ServerEnvelope(disconnect=body))

    def _detailed(self, correlation_id: str, *, success: bool, detail: str) -> bytes:
        ack = Ack(correlation_id=correlation_id, success=success, detail=detail)
        return self._encode(ServerEnvelope(correlation_id=correlation_id, ack=ack))

    def _encode(self, envelope: ServerEnvelope) -> bytes:
        self._lamport_time += 1
        envelope.lamport_time = self._lamport_time
        return envelope.SerializeToString()
