"""One user's Connect stream: what it says, each thing with the time at which it was due, and what it hears.

Sending never waits. `send_nowait` hands an envelope to the connection; when a flow-control window is shut the
envelope joins a backlog that the session's own task drains, and its latency goes on counting from when it was
due. Everything that arrives is handled by a synchronous sink inside the connection's read pass: no task is
woken for it.

Error kinds of this file: status:NAME, error:CODE, disconnect:CODE, ended_early, close_timeout, backlog_full,
welcome_missing, own_broadcast, bad_broadcast, unknown_body; those of acks are in `acks`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import purerpc
import trio

from ride_trio.pb.ride.v1.ride_pb2 import (
    ClientEnvelope,
    Heartbeat,
    Hello,
    LocationUpdate,
    MatchEvent,
    RideStatusUpdate,
    ServerEnvelope,
    Welcome,
)
from ride_trio_loadgen.acks import AckCheck, AckListener, Pending
from ride_trio_loadgen.geometry import Fix
from ride_trio_loadgen.tally import Tally

# Envelopes. At 10 a second this is more than a minute of a server that doesn't read; it would have ended us
# by then.
BACKLOG_MAX = 1_000
# Seconds from our half-close to the server's status. All that was asked for is answered by then.
CLOSE_TIMEOUT_S = 10.0
# Bytes of a broadcast: latitude, longitude, bearing, speed as float64.
BROADCAST_BYTES = 32


class RideCall(Protocol):
    """What a session needs of a client call; `ride_trio.rpc.ClientCall` is one."""

    @property
    def status(self) -> purerpc.Status | None: ...
    def send_nowait(self, message: ClientEnvelope, /) -> bool: ...
    async def send(self, message: ClientEnvelope, /) -> None: ...
    async def done_sending(self) -> None: ...
    def set_sink(self, sink: Callable[[ServerEnvelope | None], bool], /) -> None: ...
    async def wait_status(self) -> purerpc.Status: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Listener(AckListener, Protocol):
    """Who lives on a session. Every method is called synchronously, in the order of the stream."""

    def opened(self, session: Session) -> None:
        """The call is open: time for the first things to say."""

    def welcomed(self, welcome: Welcome) -> None:
        """The answer to our Hello."""

    def matched(self, event: MatchEvent, now_s: float) -> None:
        """A MatchEvent."""

    def ended(self, now_s: float, failed: bool) -> None:
        """The stream is over; `failed`: not as we asked for."""


class Session:
    """A user's stream, from its opening to the server's status.

    Args:
        user_id: who this is, as in the call's metadata.
        open_call: makes a call of `Connect` for a user id, not yet entered.
        tally: counts go here.
        listener: hears what arrives.
    """

    __slots__ = (
        "_acks",
        "_backlog",
        "_call",
        "_leaving",
        "_listener",
        "_number",
        "_tally",
        "_wake",
        "_welcome_due",
        "live",
        "user_id",
    )

    def __init__(self, user_id: str, open_call: Callable[[str], RideCall], tally: Tally, listener: Listener) -> None:
        self.user_id = user_id
        self.live = False  # between the call's opening and its end
        self._call = open_call(user_id)
        self._tally = tally
        self._listener = listener
        self._acks = AckCheck(user_id, tally, listener)
        self._number = 0  # of the newest envelope
        self._welcome_due = False
        self._backlog: deque[ClientEnvelope] = deque()
        self._leaving = False
        self._wake = trio.Event()

    def __repr__(self) -> str:
        waiting = f"unacked={len(self._acks)} backlog={len(self._backlog)}"
        return f"<Session {self.user_id} live={self.live} {waiting}>"

    # -- what we say

    def hello(self, role: Hello.Role, plate: str) -> None:
        """Say who is there; only as the first message. It is answered by Welcome, so it doesn't count as sent."""
        self._welcome_due = True
        self._put(ClientEnvelope(hello=Hello(role=role, vehicle_plate=plate)))

    def heartbeat(self, due_s: float) -> None:
        """Say "I am here"."""
        number = self._next()
        body = Heartbeat(user_id=self.user_id, seq=number, sent_at_unix_millis=_unix_millis())
        self._send(ClientEnvelope(heartbeat=body), Pending(str(number), due_s))

    def location(self, due_s: float, fix: Fix) -> None:
        """Say where the user is."""
        number = self._next()
        latitude, longitude, bearing, speed_mps = fix
        body = LocationUpdate(
            user_id=self.user_id,
            latitude=latitude,
            longitude=longitude,
            bearing=bearing,
            speed_mps=speed_mps,
            sequence=number,
            sent_at_unix_millis=_unix_millis(),
        )
        self._send(ClientEnvelope(location_update=body), Pending(str(number), due_s))

    def status(self, due_s: float, status: RideStatusUpdate.Status, ride_id: str = "") -> None:
        """Say what the user is doing."""
        message_id = f"s{self._next()}"
        body = RideStatusUpdate(
            ride_id=ride_id, user_id=self.user_id, status=status, sent_at_unix_millis=_unix_millis()
        )
        envelope = ClientEnvelope(message_id=message_id, ride_status_update=body)
        self._send(envelope, Pending(message_id, due_s, status, ride_id))

    def leave(self) -> None:
        """Half-close once all is sent, and say no more; `run` returns when the server has ended the call."""
        self._leaving = True
        self._wake.set()

    def give_up(self) -> None:
        """Cancel the call and don't wait for anything."""
        if self.live:
            self._end(failed=True)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, envelope: ClientEnvelope, pending: Pending) -> None:
        if not self.live or self._leaving:
            return
        now_s = trio.current_time()
        if pending.from_s > now_s:  # up to a tick early
            pending = pending._replace(from_s=now_s)
        if self._put(envelope):
            self._tally.sent += 1
            self._acks.expect(pending)

    def _put(self, envelope: ClientEnvelope) -> bool:
        """Hand over an envelope, or keep it for later. False: neither, the backlog is full."""
        if self._backlog or not self._call.send_nowait(envelope):
            if len(self._backlog) >= BACKLOG_MAX:
                self._error("backlog_full", f"{BACKLOG_MAX} envelopes wait to be sent")
                return False
            self._backlog.append(envelope)
            self._wake.set()
        self._tally.bytes_sent += envelope.ByteSize()
        return True

    # -- the session's task

    async def run(self) -> None:
        """Open the call and keep it until it has ended; half-close when we leave."""
        try:
            async with self._call:
                self._open()
                await self._drain_until_left()
                if self.live:
                    await self._half_close()
        except purerpc.RpcFailedError as error:  # from opening only: later the call's status says what failed
            self._fail(error.status)
            self._listener.ended(trio.current_time(), failed=True)

    def _open(self) -> None:
        self.live = True
        self._tally.sessions += 1
        self._tally.live += 1
        self._call.set_sink(self._received)
        self._listener.opened(self)

    async def _drain_until_left(self) -> None:
        """Send what couldn't be sent at once, whenever there is such, until we leave or the call ends."""
        while self.live and not self._leaving:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._drain()

    async def _drain(self) -> None:
        with suppress(purerpc.RpcFailedError, trio.ClosedResourceError):  # the call's status says why
            while self._backlog and self.live:
                await self._call.send(self._backlog[0])
                self._backlog.popleft()

    async def _half_close(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT_S) as patience:
            await self._drain()
            with suppress(purerpc.RpcFailedError, trio.ClosedResourceError):  # the call's status says why
                await self._call.done_sending()
            await self._call.wait_status()
        if patience.cancelled_caught:
            self._error("close_timeout", f"no status after {CLOSE_TIMEOUT_S:g} s, {len(self._acks)} acks open")
            self.give_up()

    # -- what arrives

    def _received(self, envelope: ServerEnvelope | None) -> bool:
        """The call's sink. Takes everything: a client that doesn't read would measure itself."""
        if envelope is None:
            self._ended()
            return True
        self._tally.bytes_received += envelope.ByteSize()
        match envelope.WhichOneof("body"):
            case "broadcast_event":
                self._broadcast(envelope)
            case "ack":
                self._acks.acked(envelope, trio.current_time())
            case "match_event":
                self._acks.check_lamport(envelope)
                self._listener.matched(envelope.match_event, trio.current_time())
            case "welcome":
                self._welcome_due = False
                self._listener.welcomed(envelope.welcome)
            case "error":
                self._error(f"error:{envelope.error.code}", envelope.error.message)
            case "disconnect":
                self._error(f"disconnect:{envelope.disconnect.code}", "the server sent Disconnect")
            case body:
                self._error("unknown_body", f"an envelope with {body}")
        return True

    def _broadcast(self, envelope: ServerEnvelope) -> None:
        event = envelope.broadcast_event
        self._tally.broadcasts += 1
        if event.user_id == self.user_id:
            self._error("own_broadcast", "got its own position back")
        if len(event.payload) != BROADCAST_BYTES:
            self._error("bad_broadcast", f"a payload of {len(event.payload)} bytes")

    # -- the end

    def _ended(self) -> None:
        """The server has ended the call, or the connection is lost."""
        if not self.live:
            return  # we gave up on it before
        status = self._call.status
        ok = status is not None and status.int_value == purerpc.StatusCode.OK.value
        if status is not None and not ok:
            self._fail(status)
        elif not self._leaving:
            self._error("ended_early", "OK before our half-close")
        else:
            self._finish()
        self._end(failed=not (ok and self._leaving))

    def _finish(self) -> None:
        """The call has ended with OK, after our half-close: everything must have been answered."""
        self._acks.finish()
        if self._welcome_due:
            self._error("welcome_missing", "Hello was not answered")

    def _fail(self, status: purerpc.Status) -> None:
        self._error(f"status:{status.status_code.name}", status.status_message)

    def _end(self, failed: bool) -> None:
        self.live = False
        self._tally.live -= 1
        self._wake.set()
        self._listener.ended(trio.current_time(), failed)

    def _error(self, kind: str, words: str) -> None:
        self._tally.error(kind, f"{self.user_id}: {words}")


def _unix_millis() -> int:
    return time.time_ns() // 1_000_000
