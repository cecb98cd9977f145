"""What the API tells, as values that become JSON. A list is bounded by its `limit`, and by LIMIT without one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from ride_trio import __version__
from ride_trio.city import Chronicle, City
from ride_trio.eventlog import EventLog
from ride_trio.gateway.messages import Request
from ride_trio.matching import Dispatcher, Phase, Ride, User
from ride_trio.metrics import Counts, Metrics
from ride_trio.sessions import AckTimer, Broker, Session, Zone

LIMIT: Final = 1_000
STORY_NOTES: Final = 20

# What a user's phase is called, and on which side it is.
_STATUS: Final = {
    Phase.IDLE: "",
    Phase.WAITING: "LOOKING",
    Phase.RIDING: "MATCHED",
    Phase.OFFLINE: "OFFLINE",
    Phase.FREE: "AVAILABLE",
    Phase.HAILED: "ON_TRIP",
    Phase.MATCHED: "MATCHED",
    Phase.EN_ROUTE: "EN_ROUTE_TO_PICKUP",
    Phase.AT_PICKUP: "AT_PICKUP",
    Phase.ON_TRIP: "ON_TRIP",
}
_RIDER: Final = (Phase.WAITING, Phase.RIDING)


class Reports:
    """See the module's text.

    Args:
        broker: whose sessions and zones.
        dispatcher: whose users and rides.
        city: who is where, as observers see it.
        chronicle: what has happened to a user.
        ack_timer: how long acks take.
        log: whose topics.
        metrics: where all of it has been counted.
        now: the clock of sessions and rides, s.
        tile_url: where the map's tiles are from; empty for none.
    """

    def __init__(
        self,
        broker: Broker,
        dispatcher: Dispatcher,
        city: City,
        chronicle: Chronicle,
        ack_timer: AckTimer,
        log: EventLog,
        metrics: Metrics,
        now: Callable[[], float],
        tile_url: str = "",
    ) -> None:
        self._broker = broker
        self._dispatcher = dispatcher
        self._city = city
        self._chronicle = chronicle
        self._ack_timer = ack_timer
        self._log = log
        self._metrics = metrics
        self._now = now
        self._tile_url = tile_url
        self._began = now()
        self._began_unix_s = time.time()

    def paths(self) -> dict[str, Callable[[Request], Any]]:
        """For `Api`."""
        return {
            "version": self.version,
            "summary": self.summary,
            "sessions": self.sessions,
            "zones": self.zones,
            "trips": self.trips,
            "topics": self.topics,
            "users/": self.user_by_name,
            "handles/": self.user_by_handle,
        }

    def version(self, request: Request) -> dict[str, Any]:
        """What runs here."""
        return {
            "version": __version__,
            "started_unix_millis": round(self._began_unix_s * 1000),
            "uptime_s": round(self._now() - self._began, 3),
            "tile_url": self._tile_url or None,
        }

    def summary(self, request: Request) -> dict[str, Any]:
        """The city in numbers; totals are since the start."""
        rides = self._metrics.rides
        phases = Counter(user.phase for user in self._dispatcher.users.values())
        drivers = {_STATUS[phase].lower(): n for phase, n in _by_status(phases) if phase not in _RIDER}
        return {
            "at_unix_millis": round(time.time() * 1000),
            "uptime_s": round(self._now() - self._began, 3),
            "sessions": {"grpc": 0, "websocket": 0} | Counter(s.transport for s in self._broker.sessions()),
            "drivers": drivers,
            "riders_waiting": phases[Phase.WAITING],
            "trips": phases[Phase.RIDING],
            "totals": {
                "messages_in": _sum(rides.ingress),
                "messages_out": _sum(rides.egress),
                "drops": _sum(rides.dropped),
                "matches": rides.match_outcome("matched").n,
                "no_driver": rides.match_outcome("no_driver").n,
                "log_records": _sum(self._metrics.log.produced),
            },
            "ack_latency_ms": self._ack_latency(),
        }

    def _ack_latency(self) -> dict[str, float] | None:
        """Of the last ten seconds; None if nobody has said anything."""
        lately = self._ack_timer.lately()
        if lately is None:
            return None
        return {"median": round(lately.median_s * 1e3, 3), "p99": round(lately.p99_s * 1e3, 3)}

    def sessions(self, request: Request) -> list[dict[str, Any]]:
        """Some live sessions."""
        return [self._session(session) for session in islice(self._broker.sessions(), _limit(request))]

    def zones(self, request: Request) -> list[dict[str, Any]]:
        """The zones with the most sessions.

        `messages` are the positions of the last second. Somebody has to observe for them to be known, else they are
        None: counting them always would cost every position of every session, for a figure that the map is there for.
        """
        zones = sorted(self._broker.zones(), key=lambda zone: len(zone.members), reverse=True)
        activity = self._city.activity
        return [
            {"zone": zone.name, "sessions": len(zone.members), "messages": _activity(activity, zone)}
            for zone in zones[: _limit(request)]
        ]

    def trips(self, request: Request) -> list[dict[str, Any]]:
        """Requests and rides, the newest first."""
        newest = islice(reversed(self._dispatcher.rides.values()), _limit(request))
        return [self._ride(ride) for ride in newest]

    def topics(self, request: Request) -> list[dict[str, Any]]:
        """The log's topics; offsets are summed over a topic's partitions."""
        found = []
        for topic in islice(sorted(self._log.topics.values(), key=lambda topic: topic.name), _limit(request)):
            begin = sum(partition.begin_offset for partition in topic.partitions)
            end = sum(partition.end_offset for partition in topic.partitions)
            sizes = {"partitions": len(topic.partitions), "records": end - begin, "bytes": topic.size_bytes}
            found.append({"name": topic.name, "begin": begin, "end": end, **sizes})
        return found

    def user_by_name(self, request: Request) -> dict[str, Any] | None:
        """The story of a user; None if there is nobody of that name."""
        user = self._dispatcher.users.get(request.path.partition("/users/")[2])
        return None if user is None else self._story(user)

    def user_by_handle(self, request: Request) -> dict[str, Any] | None:
        """The same, by the number that the map knows; None if it is nobody's, as always while nobody observes."""
        number = request.path.partition("/handles/")[2]
        user = self._city.user_of(int(number)) if _is_number(number) else None
        return None if user is None else self._story(user)

    def _story(self, user: User) -> dict[str, Any]:
        sight, session, known = (
            self._city.sights.get(user),
            self._broker.session_of(user.user_id),
            user.cell is not None,
        )
        return {
            "handle": sight.handle if sight is not None else None,
            "user_id": user.user_id,
            "role": _role(user),
            "status": _STATUS[user.phase],
            "vehicle_plate": user.plate,
            "latitude": user.lat if known else None,
            "longitude": user.lng if known else None,
            "bearing": sight.bearing if sight is not None else None,
            "speed_mps": sight.speed_mps if sight is not None else None,
            "session": self._session(session) if session is not None else None,
            "ride": self._ride(user.ride) if user.ride is not None else None,
            "events": [
                {"at_unix_millis": note.at_unix_millis, "text": note.text}
                for note in self._chronicle.of(user.user_id, STORY_NOTES)
            ],
        }

    def _session(self, session: Session) -> dict[str, Any]:
        user = self._dispatcher.users.get(session.user_id)
        return {
            "session_id": session.session_id,
            "user_id": session.user_id,
            "role": _role(user) if user is not None else "",
            "transport": session.transport,
            "zone": session.zone.name if session.zone is not None else None,
            "opened_unix_millis": self._unix_millis(session.opened_at),
            "queued": session.outbox.statistics().queued,
        }

    def _ride(self, ride: Ride) -> dict[str, Any]:
        driver = ride.driver
        return {
            "ride_id": ride.ride_id,
            "rider_id": ride.rider.user_id,
            "driver_id": driver.user_id if driver is not None else None,
            "status": _STATUS[(driver or ride.rider).phase],
            "since_unix_millis": self._unix_millis(ride.asked_at),
            "eta_seconds": ride.eta_s if driver is not None else None,
        }

    def _unix_millis(self, moment: float) -> int:
        return round((self._began_unix_s + moment - self._began) * 1000)


def _by_status(phases: Counter[Phase]) -> Iterable[tuple[Phase, int]]:
    """Every driver's phase once, those of the same name (a passenger from the street) added up."""
    on_trip = phases[Phase.ON_TRIP] + phases[Phase.HAILED]
    return ((p, on_trip if p is Phase.ON_TRIP else phases[p]) for p in Phase if p not in (Phase.IDLE, Phase.HAILED))


def _role(user: User) -> str:
    if user.phase in _RIDER:
        return "rider"
    if user.phase is not Phase.IDLE or user.plate:
        return "driver"
    return "rider" if user.cell is not None else ""


def _sum(counts: Counts) -> int:
    return sum(cell.n for cell in counts.cells.values())


def _activity(activity: dict[int, int] | None, zone: Zone) -> int | None:
    return None if activity is None else activity.get(zone.cell, 0)


def _limit(request: Request) -> int:
    asked = request.query.get("limit", "")
    return min(int(asked), LIMIT) if _is_number(asked) else LIMIT


def _is_number(text: str) -> bool:
    """One that is quick to read: of thousands of digits Python makes an error."""
    return text.isascii() and text.isdigit() and len(text) < 10
