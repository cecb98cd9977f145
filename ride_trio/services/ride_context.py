"""What all sessions of the ride service share, and what they need of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import purerpc

from ride_trio.city import Chronicle, City
from ride_trio.config import Settings
from ride_trio.matching import Dispatcher, Ride, User
from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, LocationUpdate
from ride_trio.services.ride_counts import RideCounts
from ride_trio.services.ride_envelopes import Envelopes
from ride_trio.services.ride_journal import RideJournal
from ride_trio.services.ride_notifier import RideNotifier
from ride_trio.sessions import AckTimer, Broker


class RideCall(Protocol):
    """What carries a session. `ride_trio.rpc.Call` is one, and what each method promises is written there.

    A sink that has said False is offered its message again after `resume()`, and after anything was pulled.
    """

    async def start(self) -> None: ...
    def set_sink(self, sink: Callable[[ClientEnvelope | None], bool], /) -> None: ...
    def resume(self) -> None: ...
    def set_source(self, pull: Callable[[], bytes | None], /) -> None: ...
    def wake_source(self) -> None: ...
    def drain_source(self) -> None: ...
    async def flush_source(self) -> None: ...


OnEvent = Callable[[str, Ride], None]


class GrpcRideCall(RideCall, Protocol):
    """What the servicer needs of a call besides."""

    subject: str | None
    undecodable: type[purerpc.RpcFailedError]

    def header(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class RideContext:
    """The parts behind the service, and its settings.

    Attributes:
        counts: by transport.
        city: what observers see; its task has to be run.
        chronicle: what has happened lately.
        ack_timer: how long acks take; its task has to be run.
        now: the clock of all times here, s.
        journal: writes what happens to the log, if there is one.
        log_position: of it, if positions are written, too.
    """

    broker: Broker
    dispatcher: Dispatcher
    city: City
    chronicle: Chronicle
    ack_timer: AckTimer
    envelopes: Envelopes
    counts: Mapping[str, RideCounts]
    now: Callable[[], float]
    outbound_buffer: int
    heartbeat_interval_s: float
    heartbeat_timeout_s: float
    journal: RideJournal | None = None
    log_position: Callable[[User, LocationUpdate], None] | None = None

    @classmethod
    def build(
        cls,
        settings: Settings,
        metrics: RideMetrics,
        now: Callable[[], float],
        journal: RideJournal | None = None,
    ) -> Self:
        """Make the parts and join them.

        Args:
            settings: the server's.
            metrics: where all of it counts.
            now: the clock; `trio.lowlevel.current_clock().current_time` is a third of `trio.current_time`'s cost.
            journal: writes what happens to the log.
        """
        broker = Broker(shard_count=settings.shard_count, max_sessions=settings.max_sessions)
        envelopes = Envelopes()
        counts = {transport: RideCounts(metrics, transport) for transport in ("grpc", "websocket")}
        dispatcher = Dispatcher(
            RideNotifier(broker, envelopes, counts),
            metrics,
            now,
            match_radius_m=settings.match_radius_m,
            match_timeout_s=settings.match_timeout_s,
        )
        city, chronicle = City(dispatcher, broker, metrics, now), Chronicle()
        hear: list[OnEvent] = [chronicle.ride, city.happened]
        if journal is not None:
            hear.append(journal.ride)
        dispatcher.on_event = _all(hear)
        return cls(
            broker,
            dispatcher,
            city,
            chronicle,
            AckTimer(now),
            envelopes,
            counts,
            now,
            settings.outbound_buffer,
            settings.heartbeat_interval_s,
            settings.heartbeat_timeout_s,
            journal,
            journal.position if journal is not None and journal.locations else None,
        )


def _all(hearers: list[OnEvent]) -> OnEvent:
    def on_event(event: str, ride: Ride) -> None:
        for hear in hearers:
            hear(event, ride)

    return on_event
