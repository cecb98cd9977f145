"""A ride server in memory, without gRPC: enough of the contract for the generator to live on, and to be misled by."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from types import TracebackType

import purerpc
import trio

from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    BroadcastEvent,
    ClientEnvelope,
    MatchEvent,
    RideStatusUpdate,
    ServerEnvelope,
    Welcome,
)

OK = purerpc.Status(purerpc.StatusCode.OK)


class FakeCall:
    """One Connect call; what the client says goes straight to the server."""

    def __init__(self, server: FakeServer, user_id: str) -> None:
        self.server = server
        self.user_id = user_id
        self.plate = ""
        self.status: purerpc.Status | None = None
        self.heard: list[ClientEnvelope] = []
        self.window = trio.Event()  # set: there is room to send
        self.window.set()
        self.half_closed = False
        self._sink: Callable[[ServerEnvelope | None], bool] | None = None
        self._ended = trio.Event()

    async def __aenter__(self) -> FakeCall:
        if self.server.refuses:
            raise purerpc.UnavailableError("nobody is here")
        if len(self.server.calls) >= self.server.opens_at_most:
            await trio.sleep_forever()
        self.server.calls[self.user_id] = self
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(purerpc.Status(purerpc.StatusCode.CANCELLED))

    def send_nowait(self, message: ClientEnvelope) -> bool:
        if not self.window.is_set():
            return False
        self.heard.append(message)
        self.server.hear(self, message)
        return True

    async def send(self, message: ClientEnvelope) -> None:
        await self.window.wait()
        assert self.send_nowait(message)

    async def done_sending(self) -> None:
        self.half_closed = True
        if self.server.ends_calls:
            self.server.later(lambda: self.finish(OK))

    def set_sink(self, sink: Callable[[ServerEnvelope | None], bool]) -> None:
        self._sink = sink

    async def wait_status(self) -> purerpc.Status:
        await self._ended.wait()
        assert self.status is not None
        return self.status

    def deliver(self, envelope: ServerEnvelope) -> None:
        if self.status is None and self._sink is not None:
            envelope.lamport_time = next(self.server.lamport)
            self._sink(envelope)

    def finish(self, status: purerpc.Status) -> None:
        if self.status is None:
            self.status = status
            self._ended.set()
            self.server.calls.pop(self.user_id, None)
            if self._sink is not None:
                self._sink(None)


class FakeServer:
    """Acks everything `delay_s` later and matches the longest-waiting rider with the longest-free driver at once.

    Args:
        delay_s: from an envelope's arrival to everything that it causes.
        match_timeout_s: from LOOKING to NO_DRIVER_FOUND.
    """

    def __init__(self, delay_s: float = 0.01, match_timeout_s: float = 5.0) -> None:
        self.delay_s = delay_s
        self.match_timeout_s = match_timeout_s
        self.calls: dict[str, FakeCall] = {}
        self.lamport = count(1)
        self.refuses = False
        self.opens_at_most = 1_000_000
        self.deaf = False  # hears nothing any more
        self.refuses_statuses = False
        self.ends_calls = True
        self.matches = True
        self.broadcasts = False
        self.forgets_matches = False  # a matched driver stays free for the next rider
        self.heard: list[ClientEnvelope] = []
        self.statuses: list[tuple[float, str, str]] = []  # (time, user, status) as they came
        self.places: list[tuple[float, str, float, float]] = []  # (time, user, latitude, longitude)
        self.waiting: dict[str, tuple[FakeCall, str]] = {}  # ride id -> who, correlation id
        self.free: dict[str, FakeCall] = {}
        self.rides: dict[str, tuple[str, FakeCall, str]] = {}  # driver -> ride id, rider, correlation id
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()
        self._more = trio.Event()

    def open(self, user_id: str) -> FakeCall:
        return FakeCall(self, user_id)

    def later(self, action: Callable[[], None]) -> None:
        self._queue.append((trio.current_time() + self.delay_s, action))
        self._more.set()

    async def run(self) -> None:
        while True:
            while self._queue:
                await trio.sleep_until(self._queue[0][0])
                self._queue.popleft()[1]()
            self._more = trio.Event()
            await self._more.wait()

    def hear(self, call: FakeCall, message: ClientEnvelope) -> None:
        now_s = trio.current_time()
        self.heard.append(message)
        body = message.WhichOneof("body")
        if body == "location_update":
            update = message.location_update
            self.places.append((now_s, call.user_id, update.latitude, update.longitude))
        if body == "ride_status_update":
            name = RideStatusUpdate.Status.Name(message.ride_status_update.status).removeprefix("STATUS_")
            self.statuses.append((now_s, call.user_id, name))
        if not self.deaf:
            self.later(lambda: self.answer(call, message))

    def answer(self, call: FakeCall, message: ClientEnvelope) -> None:
        """What an envelope brings about, `delay_s` after it came."""
        match message.WhichOneof("body"):
            case "hello":
                call.plate = message.hello.vehicle_plate
                call.deliver(ServerEnvelope(welcome=Welcome(heartbeat_interval_ms=2000)))
            case "heartbeat":
                call.deliver(ack(str(message.heartbeat.seq)))
            case "location_update":
                call.deliver(ack(str(message.location_update.sequence)))
                self.broadcast(call)
            case "ride_status_update":
                if self.refuses_statuses:
                    call.deliver(ack(message.message_id, success=False, detail="OVERLOADED: later"))
                    return
                call.deliver(ack(message.message_id))
                self.obey(call, message)

    def broadcast(self, call: FakeCall) -> None:
        if not self.broadcasts:
            return
        for other in list(self.calls.values()):
            if other is not call:
                event = BroadcastEvent(topic="zone", payload=bytes(32), user_id=call.user_id)
                other.deliver(ServerEnvelope(broadcast_event=event))

    def obey(self, call: FakeCall, message: ClientEnvelope) -> None:
        update = message.ride_status_update
        if update.status == RideStatusUpdate.STATUS_LOOKING:
            self.waiting[update.ride_id] = (call, message.message_id)
            self._queue_timeout(update.ride_id)
        elif update.status == RideStatusUpdate.STATUS_AVAILABLE:
            self.free[call.user_id] = call
            self.rides.pop(call.user_id, None)
        elif update.status == RideStatusUpdate.STATUS_OFFLINE:
            self.free.pop(call.user_id, None)
            self.lose_driver(call.user_id)
        elif update.status == RideStatusUpdate.STATUS_CANCELLED:
            self.waiting.pop(update.ride_id, None)
            self.rides = {who: ride for who, ride in self.rides.items() if ride[0] != update.ride_id}
        elif not self.forgets_matches:
            self.free.pop(call.user_id, None)
        while self.matches and self.waiting and self.free:
            self.match(next(iter(self.waiting)), next(iter(self.free.values())))

    def match(self, ride_id: str, driver: FakeCall) -> None:
        rider, correlation_id = self.waiting.pop(ride_id)
        self.rides[driver.user_id] = (ride_id, rider, correlation_id)
        if not self.forgets_matches:
            self.free.pop(driver.user_id, None)
        for side in (driver, rider):
            side.deliver(match_event(ride_id, driver.user_id, rider.user_id, driver.plate))

    def lose_driver(self, driver_id: str) -> None:
        if driver_id in self.rides:
            ride_id, rider, correlation_id = self.rides.pop(driver_id)
            rider.deliver(ack(correlation_id, detail=f"DRIVER_LOST: {driver_id} is gone"))
            self.waiting[ride_id] = (rider, correlation_id)
            self._queue_timeout(ride_id)

    def _queue_timeout(self, ride_id: str) -> None:
        trio.lowlevel.spawn_system_task(self._time_out, ride_id)

    async def _time_out(self, ride_id: str) -> None:
        await trio.sleep(self.match_timeout_s)
        if ride_id in self.waiting and self.matches:
            rider, correlation_id = self.waiting.pop(ride_id)
            rider.deliver(ack(correlation_id, success=False, detail="NO_DRIVER_FOUND: nobody near"))


def ack(correlation_id: str, success: bool = True, detail: str = "", lamport: int = 0) -> ServerEnvelope:
    body = Ack(correlation_id=correlation_id, success=success, detail=detail)
    return ServerEnvelope(correlation_id=correlation_id, lamport_time=lamport, ack=body)


def match_event(ride_id: str, driver_id: str, rider_id: str, plate: str = "") -> ServerEnvelope:
    event = MatchEvent(ride_id=ride_id, driver_id=driver_id, rider_id=rider_id, vehicle_plate=plate)
    return ServerEnvelope(match_event=event)
