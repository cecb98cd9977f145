from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import purerpc
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from ride_trio.rpc import Backoff, Connectivity, Keepalive, Limits
from ride_trio.rpc.keepalive import TOO_MANY_PINGS
from ride_trio.rpc.subchannel import Subchannel
from ride_trio.rpc.transport import StreamTransport, Transport
from ride_trio.wire import ErrorCode
from ride_trio.wire.events import PingReceived
from ride_trio.wire.frames import goaway_frame
from ride_trio.wire.headers import RequestHead
from tests.rpc.peers import RawServer

EXACT = Backoff(jitter=0)


class Place:
    """A server that is there or not; notes when it was asked."""

    def __init__(self) -> None:
        self.there = False
        self.asked_s: list[float] = []
        self.servers: list[RawServer] = []

    async def connect(self) -> Transport:
        self.asked_s.append(trio.current_time())
        if not self.there:
            raise purerpc.UnavailableError("nobody is there")
        ours, theirs = memory_stream_pair()
        self.servers.append(RawServer(theirs))
        await self.servers[-1].send()
        return StreamTransport(ours, "memory")


class Caller:
    """The owner of a stream, as far as it matters here."""

    def on_lost(self, reason: str) -> None:
        self.reason = reason


def begin(
    nursery: trio.Nursery,
    place: Place,
    *,
    eager: bool = False,
    keepalive: Keepalive | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> Subchannel:
    subchannel = Subchannel(
        "test",
        place.connect,
        eager=eager,
        nursery=nursery,
        limits=Limits(),
        keepalive=keepalive,
        backoff=EXACT,
        on_change=on_change,
    )
    nursery.start_soon(subchannel.run)
    return subchannel


@pytest.fixture
def place() -> Place:
    return Place()


async def test_nothing_happens_before_it_is_wanted(
    nursery: trio.Nursery, place: Place, autojump_clock: MockClock
) -> None:
    place.there = True
    subchannel = begin(nursery, place)
    await trio.sleep(1_000)
    assert (subchannel.state, place.asked_s) == (Connectivity.IDLE, [])
    subchannel.want()
    await wait_all_tasks_blocked()
    assert subchannel.state is Connectivity.READY
    assert repr(subchannel) == "<Subchannel test, READY>"


async def test_pauses_grow_and_begin_anew_after_a_success(
    nursery: trio.Nursery, place: Place, autojump_clock: MockClock
) -> None:
    subchannel = begin(nursery, place, eager=True)
    began = trio.current_time()
    await trio.sleep(7)
    assert [at - began for at in place.asked_s] == pytest.approx([0, 1, 2.6, 5.16])
    assert (subchannel.state, subchannel.reason) == (Connectivity.TRANSIENT_FAILURE, "nobody is there")
    place.there = True
    await trio.sleep(10)
    assert subchannel.state is Connectivity.READY
    place.there = False
    await place.servers[0].stream.aclose()
    lost = trio.current_time()
    await trio.sleep(3)
    assert [at - lost for at in place.asked_s[5:]] == pytest.approx([0, 1, 2.6])


async def test_who_takes_connections_and_drops_them_is_not_asked_all_the_time(
    nursery: trio.Nursery, place: Place, autojump_clock: MockClock
) -> None:
    place.there = True

    def drop() -> None:
        if place.servers:
            nursery.start_soon(place.servers[-1].stream.aclose)

    begin(nursery, place, eager=True, on_change=drop)
    await trio.sleep(9.5)
    assert len(place.asked_s) == 10


async def test_a_lost_connection_is_not_made_again_unless_it_is_wanted(
    nursery: trio.Nursery, place: Place, autojump_clock: MockClock
) -> None:
    place.there = True
    states: list[Connectivity] = []
    subchannel = begin(nursery, place, on_change=lambda: states.append(subchannel.state))
    subchannel.want()
    await trio.sleep(5)
    await place.servers[0].stream.aclose()
    await trio.sleep(1_000)
    assert len(place.asked_s) == 1
    subchannel.want()
    await trio.sleep(1)
    assert [state for state, _ in groupby(states)] == [
        Connectivity.CONNECTING,
        Connectivity.READY,
        Connectivity.IDLE,
        Connectivity.CONNECTING,
        Connectivity.READY,
    ]


async def test_who_has_pinged_too_often_pings_half_as_often(
    nursery: trio.Nursery, place: Place, autojump_clock: MockClock
) -> None:
    place.there = True
    subchannel = begin(nursery, place, eager=True, keepalive=Keepalive(time_s=30))
    for time_s in (30, 60, 120):
        await trio.sleep(5)
        assert subchannel.link is not None
        subchannel.link.client.open(RequestHead("/test.Echo/hangs")).owner = Caller()
        began, server = trio.current_time(), place.servers[-1]
        await server.until_event(PingReceived)
        assert trio.current_time() - began == pytest.approx(time_s)
        await server.send(goaway_frame(1, ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_PINGS))


def test_pauses_are_jittered_and_bounded() -> None:
    pauses = [Backoff().pause_s(1) for _ in range(100)]
    assert 0.8 <= min(pauses) < 0.9 < 1.1 < max(pauses) <= 1.2
    assert EXACT.pause_s(10_000) == 120
