"""The counters of ride sessions of one transport, looked up once."""

from __future__ import annotations

from typing import Final

from ride_trio.metrics import RideMetrics
from ride_trio.sessions import OutboxCounts

# The label that dashboards know, by the envelope's field; None is an envelope without a body that we know.
INGRESS_LABELS: Final[dict[str | None, str]] = {
    "heartbeat": "heartbeat",
    "location_update": "location",
    "ride_status_update": "status",
    "hello": "hello",
    "observe": "observe",
    None: "unknown",
}


class RideCounts:
    """Cells of `RideMetrics`, with the transport's label filled in.

    Args:
        metrics: where they live.
        transport: the label's value.

    Attributes:
        ingress: by the envelope's field.
    """

    __slots__ = (
        "ack_time",
        "acks",
        "active",
        "city_views",
        "disconnects",
        "duration",
        "ended",
        "errors",
        "heartbeat_miss",
        "ingress",
        "matches",
        "outbox",
        "undelivered",
        "welcomes",
    )

    def __init__(self, metrics: RideMetrics, transport: str) -> None:
        self.active = metrics.active
        self.ended = metrics.ended
        self.duration = metrics.session_duration
        self.heartbeat_miss = metrics.heartbeat_miss
        self.ingress = {body: metrics.ingress(label, transport) for body, label in INGRESS_LABELS.items()}
        self.acks = metrics.egress("ack", transport)
        self.ack_time = metrics.ack_time(transport)
        self.matches = metrics.egress("match_event", transport)
        self.welcomes = metrics.egress("welcome", transport)
        self.errors = metrics.egress("error", transport)
        self.city_views = metrics.egress("city_view", transport)
        self.disconnects = metrics.egress("disconnect", transport)
        self.undelivered = metrics.dropped("slow_consumer")
        self.outbox = OutboxCounts(
            broadcasts=metrics.egress("broadcast", transport),
            conflated=metrics.dropped("conflated"),
            queue_full=metrics.dropped("queue_full"),
            session_ended=metrics.dropped("session_ended"),
            depth=metrics.queue_depth,
        )
