"""What rides write to the log, as records.

A value is compact JSON, a key is a user id, so all of a user's are in one partition, in order; the time is the event's.

    ride.matches     key: the rider
        {"event":"matched","ride_id":"r7","rider_id":"ann","driver_id":"dan","eta_s":180}
        {"event":"no_driver","ride_id":"r8","rider_id":"bob","driver_id":null}
    `event`: "matched", which alone has `eta_s`; "driver_lost", before the pickup, and the rider looks again; "ended";
    "cancelled", a request or a ride that has a driver; "no_driver", nobody was found in time.

    ride.sessions    key: the user
        {"event":"opened","session_id":"1f3c09aa-7","user_id":"ann"}
        {"event":"named","session_id":"1f3c09aa-7","user_id":"ann","was":"0b7e..."}
        {"event":"ended","session_id":"1f3c09aa-7","user_id":"ann","reason":"completed","seconds":61.25}
    "named": it had a made-up name until now. `reason`: as in the metric ride_stream_sessions_ended_total. When a newer
    session takes over, its "opened" comes before the older one's "ended".

    ride.locations   key: the driver; degrees and metres a second
        {"event":"position","user_id":"dan","latitude":37.77,"longitude":-122.41,"bearing":90.0,"speed_mps":8.5}
"""

from __future__ import annotations

from json import JSONEncoder
from typing import Any, Final, NamedTuple

from ride_trio.matching import Ride
from ride_trio.pb.ride.v1.ride_pb2 import LocationUpdate
from ride_trio.sessions import Session

MATCHES: Final = "ride.matches"
SESSIONS: Final = "ride.sessions"
LOCATIONS: Final = "ride.locations"

_encode: Final = JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Event(NamedTuple):
    """A record that has no offset yet.

    Attributes:
        timestamp: Unix ms.
    """

    topic: str
    key: bytes
    value: bytes
    timestamp: int


def of_ride(event: str, ride: Ride, timestamp: int) -> Event:
    """What the dispatcher tells (see `Dispatcher.on_event`)."""
    driver = ride.driver
    fields: dict[str, Any] = {"event": event, "ride_id": ride.ride_id, "rider_id": ride.rider.user_id}
    fields["driver_id"] = None if driver is None else driver.user_id
    if event == "matched":
        fields["eta_s"] = ride.eta_s
    return Event(MATCHES, ride.rider.user_id.encode(), _encode(fields).encode(), timestamp)


def of_session(event: str, session: Session, timestamp: int, **more: Any) -> Event:
    """What happens to a session; `more` are the fields of this event alone."""
    user_id = session.user_id
    fields = {"event": event, "session_id": session.session_id, "user_id": user_id, **more}
    return Event(SESSIONS, user_id.encode(), _encode(fields).encode(), timestamp)


def of_position(user_id: str, update: LocationUpdate, timestamp: int) -> Event:
    """Where a driver is. Its numbers are finite, that is checked before.

    Put together by hand: the encoder takes three times as long, and there are very many of these.
    """
    value = (
        f'{{"event":"position","user_id":{_encode(user_id)},"latitude":{update.latitude!r},'
        f'"longitude":{update.longitude!r},"bearing":{update.bearing!r},"speed_mps":{update.speed_mps!r}}}'
    )
    return Event(LOCATIONS, user_id.encode(), value.encode(), timestamp)
