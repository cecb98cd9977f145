"""Live sessions: a session, its outbound buffer, the sharded broker, and zones."""

from ride_trio.sessions.ack_timer import AckLatency, AckTimer
from ride_trio.sessions.broker import Broker, BrokerStatistics
from ride_trio.sessions.outbox import LOSSLESS_PLACES, Outbox, OutboxCounts, OutboxStatistics
from ride_trio.sessions.session import MAX_ID_CHARS, Session, is_valid_id
from ride_trio.sessions.zones import Zone, cell_of, on_globe, row_and_column, zone_name

__all__ = [
    "LOSSLESS_PLACES",
    "MAX_ID_CHARS",
    "AckLatency",
    "AckTimer",
    "Broker",
    "BrokerStatistics",
    "Outbox",
    "OutboxCounts",
    "OutboxStatistics",
    "Session",
    "Zone",
    "cell_of",
    "is_valid_id",
    "on_globe",
    "row_and_column",
    "zone_name",
]
