from __future__ import annotations

from dataclasses import dataclass, field

import purerpc
import pytest
import trio
import trio.lowlevel
import trio.testing
from trio.testing import MockClock

from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    BroadcastEvent,
    Disconnect,
    Error,
    Hello,
    MatchEvent,
    RideStatusUpdate,
    ServerEnvelope,
    Welcome,
)
from ride_trio_loadgen.geometry import Fix
from ride_trio_loadgen.session import BACKLOG_MAX, CLOSE_TIMEOUT_S, Session
from ride_trio_loadgen.tally import Tally
from tests.loadgen.fake_server import OK, FakeCall, FakeServer

FIX = Fix(52.09, 5.12, 90.0, 10.0)


@dataclass
class Owner:
    events: list[str] = field(default_factory=list)

    def opened(self, session: Session) -> None:
        self.events.append("opened")

    def welcomed(self, welcome: Welcome) -> None:
        self.events.append("welcomed")

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        self.events.append(f"acked {status} {ride_id}")
        return ack.success

    def answered(self, ride_id: str, ack: Ack, now_s: float) -> None:
        self.events.append(f"answered {ride_id}")

    def matched(self, event: MatchEvent, now_s: float) -> None:
        self.events.append(f"matched {event.ride_id}")

    def ended(self, now_s: float, failed: bool) -> None:
        self.events.append("failed" if failed else "ended")


@dataclass
class Stage:
    """A session on a call, its task running."""

    server: FakeServer
    session: Session
    tally: Tally
    owner: Owner

    @property
    def call(self) -> FakeCall:
        return self.server.calls["user"]

    def errors(self) -> dict[str, int]:
        return {kind: error.count for kind, error in self.tally.errors.items()}


@pytest.fixture
async def stage(nursery: trio.Nursery) -> Stage:
    server, tally, owner = FakeServer(), Tally(), Owner()
    stage = Stage(server, Session("user", server.open, tally, owner), tally, owner)
    nursery.start_soon(server.run)
    nursery.start_soon(stage.session.run)
    await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    return stage


async def test_a_session_from_opening_to_ok(autojump_clock: MockClock, stage: Stage) -> None:
    now_s = trio.current_time()
    stage.session.hello(Hello.ROLE_DRIVER, "XK-482-B")
    stage.session.location(now_s, FIX)
    stage.session.status(now_s, RideStatusUpdate.STATUS_AVAILABLE)
    stage.session.heartbeat(now_s)
    await trio.sleep(1)
    stage.session.leave()
    await trio.sleep(1)
    assert stage.owner.events == ["opened", "welcomed", "acked 2 ", "ended"]
    assert (stage.tally.sessions, stage.tally.live) == (1, 0)
    assert (stage.tally.sent, stage.tally.acked) == (3, 3)
    assert stage.tally.bytes_sent > 0
    assert stage.errors() == {}


async def test_latency_counts_from_when_a_message_was_due(autojump_clock: MockClock, stage: Stage) -> None:
    """The server takes 2 s for everything; what was due 3 s before it could be sent has waited 5 s."""
    stage.server.delay_s = 2.0
    stage.session.heartbeat(trio.current_time())
    stage.session.heartbeat(trio.current_time() - 3.0)
    await trio.sleep(10)
    assert stage.tally.ack.summary_ms()["max"] == pytest.approx(5000.0)
    assert stage.tally.ack.summary_ms()["p50"] == pytest.approx(2000.0, rel=1e-3)


async def test_a_message_that_leaves_early_counts_from_when_it_left(autojump_clock: MockClock, stage: Stage) -> None:
    stage.server.delay_s = 0.1
    stage.session.heartbeat(trio.current_time() + 0.001)
    await trio.sleep(1)
    assert stage.tally.ack.summary_ms()["max"] == pytest.approx(100.0)


async def test_a_shut_window_holds_up_nobody_and_its_time_counts(autojump_clock: MockClock, stage: Stage) -> None:
    stage.call.window = trio.Event()
    for _ in range(3):
        stage.session.heartbeat(trio.current_time())
    stage.session.status(trio.current_time(), RideStatusUpdate.STATUS_AVAILABLE)
    await trio.sleep(4)
    assert stage.tally.acked == 0
    stage.call.window.set()
    await trio.sleep(1)
    assert [message.WhichOneof("body") for message in stage.call.heard] == [
        "heartbeat", "heartbeat", "heartbeat", "ride_status_update",
    ]  # fmt: skip
    assert stage.tally.ack.summary_ms()["p50"] == pytest.approx(4010.0, rel=1e-3)
    assert stage.errors() == {}


async def test_the_backlog_is_bounded(autojump_clock: MockClock, stage: Stage) -> None:
    stage.call.window = trio.Event()
    for _ in range(BACKLOG_MAX + 2):
        stage.session.heartbeat(trio.current_time())
    assert stage.errors() == {"backlog_full": 2}
    assert stage.tally.sent == BACKLOG_MAX


async def test_what_waits_is_sent_before_the_half_close(autojump_clock: MockClock, stage: Stage) -> None:
    call = stage.call
    call.window = trio.Event()
    stage.session.heartbeat(trio.current_time())
    stage.session.leave()
    await trio.sleep(1)
    assert not call.half_closed
    call.window.set()
    await trio.sleep(1)
    assert call.half_closed
    assert (stage.owner.events[-1], stage.errors()) == ("ended", {})


async def test_nothing_is_said_after_leaving(autojump_clock: MockClock, stage: Stage) -> None:
    call = stage.call
    stage.session.leave()
    stage.session.heartbeat(trio.current_time())
    await trio.sleep(1)
    assert call.heard == []


async def test_a_server_that_never_ends_the_call(autojump_clock: MockClock, stage: Stage) -> None:
    stage.server.ends_calls = False
    stage.session.leave()
    await trio.sleep(CLOSE_TIMEOUT_S + 1)
    assert stage.errors() == {"close_timeout": 1}
    assert stage.owner.events == ["opened", "failed"]
    assert stage.tally.live == 0


async def test_a_status_other_than_ok_is_an_error(autojump_clock: MockClock, stage: Stage) -> None:
    stage.session.heartbeat(trio.current_time())
    stage.call.finish(purerpc.Status(purerpc.StatusCode.UNAVAILABLE, "SHUTDOWN: bye"))
    assert stage.errors() == {"status:UNAVAILABLE": 1}
    assert stage.tally.errors["status:UNAVAILABLE"].example == "user: SHUTDOWN: bye"
    assert stage.owner.events == ["opened", "failed"]
    stage.session.heartbeat(trio.current_time())
    assert stage.tally.sent == 1


async def test_ok_before_we_left_is_an_error(autojump_clock: MockClock, stage: Stage) -> None:
    stage.call.finish(OK)
    assert stage.errors() == {"ended_early": 1}


async def test_missing_answers_are_errors_when_the_call_ends(autojump_clock: MockClock, stage: Stage) -> None:
    stage.session.hello(Hello.ROLE_DRIVER, "")
    stage.session.heartbeat(trio.current_time())
    call = stage.call
    stage.session.leave()
    call.finish(OK)
    assert stage.errors() == {"ack_missing": 1, "welcome_missing": 1}


async def test_a_call_that_cannot_be_opened(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    server, tally, owner = FakeServer(), Tally(), Owner()
    server.refuses = True
    await Session("user", server.open, tally, owner).run()
    assert {kind: error.example for kind, error in tally.errors.items()} == {
        "status:UNAVAILABLE": "user: nobody is here"
    }
    assert owner.events == ["failed"]


async def test_broadcasts_are_counted_and_looked_at(autojump_clock: MockClock, stage: Stage) -> None:
    call = stage.call
    call.deliver(ServerEnvelope(broadcast_event=BroadcastEvent(payload=bytes(32), user_id="other")))
    assert stage.errors() == {}
    call.deliver(ServerEnvelope(broadcast_event=BroadcastEvent(payload=bytes(32), user_id="user")))
    call.deliver(ServerEnvelope(broadcast_event=BroadcastEvent(payload=bytes(31), user_id="other")))
    assert stage.errors() == {"own_broadcast": 1, "bad_broadcast": 1}
    assert stage.tally.broadcasts == 3


async def test_what_nobody_asked_for_is_an_error(autojump_clock: MockClock, stage: Stage) -> None:
    stage.call.deliver(ServerEnvelope(error=Error(code="RATE_LIMITED", message="slow down")))
    stage.call.deliver(ServerEnvelope(disconnect=Disconnect(code="SLOW_CONSUMER")))
    stage.call.deliver(ServerEnvelope())
    assert stage.errors() == {"error:RATE_LIMITED": 1, "disconnect:SLOW_CONSUMER": 1, "unknown_body": 1}
