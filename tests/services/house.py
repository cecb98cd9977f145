"""The ride service with its clients, on a mock clock, without a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import purerpc
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.config import Settings
from ride_trio.matching import match_window
from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    ClientEnvelope,
    Heartbeat,
    Hello,
    LocationUpdate,
    RideStatusUpdate,
    ServerEnvelope,
)
from ride_trio.services import RideContext, RideJournal, RideStreamService
from tests.services.fake_call import FakeCall


class House:
    """A service whose calls run in a test's nursery.

    Args:
        nursery: holds the calls; cancelled calls are cancelled with it.
        journal: writes what happens to a log.
        settings: fields of `Settings` that differ from the defaults.
    """

    def __init__(self, nursery: trio.Nursery, journal: RideJournal | None = None, **settings: Any) -> None:
        self.metrics = RideMetrics()
        self.context = RideContext.build(replace(Settings(), **settings), self.metrics, trio.current_time, journal)
        self.service = RideStreamService(self.context)
        self.scopes: dict[FakeCall, trio.CancelScope] = {}
        self._nursery = nursery
        nursery.start_soon(self.context.city.run)

    async def connect(self, user_id: str | None = None, *first: ClientEnvelope) -> FakeCall:
        """Open a call and say the first things."""
        call = FakeCall(user_id)
        self._nursery.start_soon(self._run, call)
        await wait_all_tasks_blocked()
        call.say(*first)
        return call

    async def _run(self, call: FakeCall) -> None:
        status = purerpc.Status(purerpc.StatusCode.OK)
        with trio.CancelScope() as self.scopes[call]:
            try:
                await self.service.Connect(call)
            except purerpc.RpcFailedError as error:
                status = error.status
        if self.scopes[call].cancelled_caught:
            status = purerpc.Status(purerpc.StatusCode.CANCELLED)
        call.status = status
        call.over.set()

    async def vanish(self, call: FakeCall) -> None:
        """The client resets the stream, or its connection is lost."""
        self.scopes[call].cancel()
        await wait_all_tasks_blocked()

    async def window(self) -> None:
        """One matching window."""
        await match_window(self.context.dispatcher)
        await wait_all_tasks_blocked()

    @property
    def active(self) -> int:
        return self.metrics.active.n


def heartbeat(seq: int = 1, user_id: str = "", **common: str) -> ClientEnvelope:
    return ClientEnvelope(heartbeat=Heartbeat(seq=seq, user_id=user_id), **common)


def at(latitude: float = 37.77, longitude: float = -122.41, sequence: int = 1, **fields: Any) -> ClientEnvelope:
    update = LocationUpdate(latitude=latitude, longitude=longitude, sequence=sequence, **fields)
    return ClientEnvelope(location_update=update)


def status(name: str, ride_id: str = "", message_id: str = "", user_id: str = "") -> ClientEnvelope:
    value = RideStatusUpdate.Status.Value(f"STATUS_{name}")
    update = RideStatusUpdate(status=value, ride_id=ride_id, user_id=user_id)
    return ClientEnvelope(message_id=message_id, ride_status_update=update)


def hello(role: Hello.Role = Hello.ROLE_UNSPECIFIED, plate: str = "", message_id: str = "") -> ClientEnvelope:
    return ClientEnvelope(message_id=message_id, hello=Hello(role=role, vehicle_plate=plate))


def acks(envelopes: list[ServerEnvelope]) -> list[Ack]:
    return [envelope.ack for envelope in envelopes if envelope.WhichOneof("body") == "ack"]


def bodies(envelopes: list[ServerEnvelope]) -> list[str | None]:
    return [envelope.WhichOneof("body") for envelope in envelopes]


def code(call: FakeCall) -> str:
    """`STATUS CODE` of a call that has ended."""
    assert call.status is not None
    return f"{call.status.status_code.name} {call.status.status_message.partition(':')[0]}".strip()
