from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from ride_trio.rpc import Channel, Connectivity, Keepalive
from ride_trio.wire import ErrorCode
from ride_trio.wire.events import GoAwayReceived, PingReceived, StreamReset
from ride_trio.wire.frames import HEADERS, PREFACE, frame, ping_frame
from tests.rpc.echo import connect, echo_server, open_call
from tests.rpc.peers import RawClient, RawServer


async def test_a_quiet_client_that_answers_is_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(time_s=30, timeout_s=10))
    async with connect(nursery, server) as channel, open_call(channel, "hangs") as call:
        await trio.sleep(1_000)
        assert call.status is None
        assert server.statistics().calls == 1


async def test_a_ping_goes_out_after_so_much_quiet(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Counted from the last that was read, also if that answered a ping."""
    client = await RawClient(nursery, echo_server(keepalive=Keepalive(time_s=30, timeout_s=10))).shake_hands()
    await trio.sleep(7)
    client.open("hangs")
    await client.send()
    began, pings = trio.current_time(), []
    while len(pings) < 3:
        await client.read()
        if any(isinstance(event, PingReceived) for event in client.events):
            client.events.clear()
            pings.append(trio.current_time() - began)
            await trio.sleep(1)
            await client.send()
    assert pings == pytest.approx([30, 61, 92])


async def test_a_client_that_has_gone_without_a_word_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = echo_server(keepalive=Keepalive(time_s=30, timeout_s=10))
    client = await RawClient(nursery, server).shake_hands()
    await trio.sleep(7)
    client.open("hangs")
    await client.send()
    start = trio.current_time()
    while not any(isinstance(event, PingReceived) for event in client.events):
        await client.read()  # and no answer
    assert trio.current_time() - start == pytest.approx(30)
    assert server.statistics().calls == 1
    while await client.stream.receive_some():
        pass
    assert trio.current_time() - start == pytest.approx(40)
    assert server.statistics().calls == 0
    assert server.metrics.connection_errors("KEEPALIVE_TIMEOUT").n == 1
    assert not any(isinstance(event, StreamReset) for event in client.events)


async def ended(client: RawClient) -> ErrorCode:
    """Read to the end; the code of the last GOAWAY."""
    await client.until_closed()
    return [ErrorCode(event.code) for event in client.events if isinstance(event, GoAwayReceived)][-1]


@pytest.mark.parametrize(("interval_s", "bears"), [(1.0, False), (14.0, False), (16.0, True)])
async def test_a_client_may_ping_so_often(
    interval_s: float, bears: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = echo_server(keepalive=Keepalive(time_s=1_000))
    client = await RawClient(nursery, server).shake_hands()
    with trio.move_on_after(100) as scope:
        nursery.start_soon(_ping_for_ever, client, interval_s)
        assert await ended(client) is ErrorCode.ENHANCE_YOUR_CALM
        assert any(getattr(event, "debug", b"") == b"too_many_pings" for event in client.events)
    assert scope.cancelled_caught is bears


async def _ping_for_ever(client: RawClient, interval_s: float) -> None:
    while True:
        await trio.sleep(interval_s)
        client.wire.outbound.control(ping_frame(bytes(8)))
        try:
            await client.send()
        except trio.BrokenResourceError:
            return


async def test_a_flood_of_pings_is_answered_by_one_goaway(nursery: trio.Nursery) -> None:
    client = await RawClient(nursery, echo_server()).shake_hands()
    client.wire.outbound.control(ping_frame(bytes(8)) * 30)
    await client.send()
    assert await ended(client) is ErrorCode.ENHANCE_YOUR_CALM
    assert sum(isinstance(event, GoAwayReceived) for event in client.events) == 1


async def test_pings_beside_messages_are_no_strikes(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Clients measure bandwidth with them."""
    client = await RawClient(nursery, echo_server()).shake_hands()
    stream = client.open("echo")
    for _ in range(50):
        client.wire.outbound.send_message(stream, b"\n\1x")
        client.wire.outbound.control(ping_frame(bytes(8)))
        await client.send()
        await client.until(lambda: bool(stream.inbox))
        client.wire.credit(stream, stream.takeable)
        stream.take()
    assert client.wire.fault is None
    assert not any(isinstance(event, GoAwayReceived) for event in client.events)


async def test_a_client_without_calls_is_sent_away(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(time_s=math.inf, max_idle_s=100))
    client = await RawClient(nursery, server).shake_hands()
    stream = client.open("hangs")
    await client.send()
    with trio.move_on_after(1_000) as while_it_has_a_call:
        await client.until_closed()
    assert while_it_has_a_call.cancelled_caught
    client.wire.reset(stream, ErrorCode.CANCEL)
    await client.send()
    began = trio.current_time()
    assert await ended(client) is ErrorCode.NO_ERROR
    assert 99 < trio.current_time() - began < 205
    await trio.sleep(1)
    assert server.statistics().connections == 0


async def test_pings_delay_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(time_s=30, timeout_s=60, max_idle_s=100))
    async with connect(nursery, server) as channel:
        began = trio.current_time()
        await channel.wait_for_state_change(Connectivity.READY)
        assert trio.current_time() - began == pytest.approx(100)


async def test_an_old_client_is_sent_away_and_may_finish(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(time_s=math.inf, max_age_s=1_000, max_age_grace_s=60))
    client = await RawClient(nursery, server).shake_hands()
    hangs, echo = client.open("hangs"), client.open("echo")
    await client.send()
    began = trio.current_time()
    await client.until_event(GoAwayReceived)
    assert 900 <= trio.current_time() - began <= 1_100
    client.wire.outbound.end(echo)
    await client.send()
    assert (await client.status(echo)).code == 0
    status = await client.status(hangs)
    assert (status.code, "max_age" in status.message) == (14, True)
    assert 960 <= trio.current_time() - began <= 1_165
    await client.until_closed()


async def test_a_client_that_never_shakes_hands_is_sent_away(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(handshake_timeout_s=7))
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    await ours.send_all(PREFACE[:5])
    began = trio.current_time()
    with trio.fail_after(20):
        while await ours.receive_some():
            pass
    assert trio.current_time() - began == pytest.approx(7, abs=1)


async def test_headers_that_are_never_finished_end_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await RawClient(nursery, echo_server(keepalive=Keepalive(handshake_timeout_s=7))).shake_hands()
    await client.stream.send_all(frame(HEADERS, 0, 1, b"\x83"))
    with trio.fail_after(20):
        assert await ended(client) is ErrorCode.ENHANCE_YOUR_CALM


# ---------------------------------------------------------------- a client's


class Listening:
    """A server that notes when its client pings, and answers."""

    def __init__(self, nursery: trio.Nursery, **keepalive: float) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        self.channel = Channel("memory", 0, stream=ours, keepalive=Keepalive(**keepalive))
        self.peer = RawServer(theirs)
        self.pings: list[float] = []
        nursery.start_soon(self._listen)

    async def _listen(self) -> None:
        await self.peer.send()
        while await self.peer.read():
            await self.peer.send()
            if any(isinstance(event, PingReceived) for event in self.peer.events):
                self.pings.append(trio.current_time())
            self.peer.events.clear()


async def test_a_client_pings_while_it_has_calls(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Servers send away who pings without."""
    listening = Listening(nursery, time_s=30)
    async with listening.channel as channel:
        await trio.sleep(1_000)
        assert listening.pings == []
        async with open_call(channel):
            began = trio.current_time()
            await trio.sleep(95)
        await trio.sleep(1_000)
    assert [ping - began for ping in listening.pings] == pytest.approx([20, 50, 80])  # it looks every 30 s


async def test_a_client_does_not_ping_more_often_than_servers_bear(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    listening = Listening(nursery, time_s=1)
    async with listening.channel as channel, open_call(channel):
        await trio.sleep(50)
    assert len(listening.pings) == 3
