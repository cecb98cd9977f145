"""Outboxes for tests, with their counters."""

from ride_trio.metrics import RideMetrics
from ride_trio.sessions import Outbox, OutboxCounts


def outbox_counts(metrics: RideMetrics | None = None) -> OutboxCounts:
    metrics = metrics or RideMetrics()
    return OutboxCounts(
        broadcasts=metrics.egress("broadcast", "grpc"),
        conflated=metrics.dropped("conflated"),
        queue_full=metrics.dropped("queue_full"),
        session_ended=metrics.dropped("session_ended"),
        depth=metrics.queue_depth,
    )


def make_outbox(capacity: int = 4, metrics: RideMetrics | None = None) -> Outbox:
    return Outbox(capacity, outbox_counts(metrics))
