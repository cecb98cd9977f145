"""The life of a connection, seen from a server's and from a client's end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import purerpc
import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from ride_trio.rpc import Channel, Connectivity, Limits, Server
from ride_trio.rpc.link import ALONE_TURNS, FIRST_FRAMES
from ride_trio.rpc.server_link import CANCELLED_AT_ONCE
from ride_trio.rpc.transport import LINGER_S, SocketTransport
from ride_trio.wire import ClientConnection, ErrorCode
from ride_trio.wire.events import GoAwayReceived
from ride_trio.wire.headers import RequestHead
from tests.rpc.echo import HANDLERS, NAME, ask, bidi, echo_server, open_call, service_of, value
from tests.rpc.peers import RawClient, RawServer, framed
from tests.rpc.streams import HangingStream, OneWay


def opening(method: str = "Bidi", *messages: bytes) -> bytes:
    """What a client sends first: preface, SETTINGS, a call."""
    wire = ClientConnection(Limits())
    stream = wire.open(RequestHead(f"/{NAME}/{method}", authority="memory"))
    for message in messages:
        wire.outbound.send_message(stream, message)
    return wire.outbound.take_output()


# ---------------------------------------------------------------- cancelling always gets through


@pytest.mark.parametrize("swallows", [True, False], ids=["read hangs", "write hangs, too"])
@pytest.mark.parametrize("method", [None, "hangs", "echo", "echo_call"])
async def test_a_server_connection_that_hangs_can_be_cancelled(
    swallows: bool, method: str | None, autojump_clock: MockClock
) -> None:
    server = echo_server()
    stream = HangingStream(opening(method, b"\n\0" * 10) if method else b"", swallows=swallows)
    with trio.move_on_after(1) as scope:
        await server.serve_stream(stream)
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(scope.deadline)
    assert stream.closed
    assert server.statistics() == type(server.statistics())(0, 0, 0)


async def test_a_stream_that_does_not_close_holds_nobody_up(autojump_clock: MockClock) -> None:
    stream = HangingStream(swallows=True, close_hangs=True)
    start = trio.current_time()
    with trio.move_on_after(1):
        await echo_server().serve_stream(stream)
    assert stream.closed
    assert trio.current_time() - start <= 2


@pytest.mark.parametrize("swallows", [True, False], ids=["read hangs", "write hangs, too"])
async def test_a_client_that_gets_no_answer_can_be_cancelled(swallows: bool, autojump_clock: MockClock) -> None:
    stream = HangingStream(swallows=swallows)
    start = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with Channel("memory", 0, stream=stream):
            pytest.fail("there were no SETTINGS")
    assert scope.cancelled_caught
    assert trio.current_time() - start == pytest.approx(1)
    assert stream.closed


async def test_a_channel_whose_writes_hang_can_be_left(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    nursery.start_soon(echo_server().serve_stream, theirs)
    start = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with Channel("memory", 0, stream=ours) as channel, open_call(channel, "hangs") as call:
            while True:
                await call.send(value(bytes(10_000)))
    assert scope.cancelled_caught
    assert trio.current_time() - start == pytest.approx(1)


# ---------------------------------------------------------------- ends


async def test_a_lost_connection_cancels_all_its_handlers(nursery: trio.Nursery) -> None:
    ended: list[str] = []

    async def handler(call: Any) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            ended.append(call.head.path)
            raise

    server = bidi(handler)
    client = await RawClient(nursery, server).shake_hands()
    for _ in range(3):
        client.open()
    await client.send()
    await trio.testing.wait_all_tasks_blocked()
    assert (server.statistics().calls, server.statistics().streams) == (3, 3)
    await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == ["/test.Echo/Bidi"] * 3
    assert (server.statistics().connections, server.statistics().calls) == (0, 0)
    assert server.metrics.handled("bidi_stream", NAME, "Bidi", "CANCELLED").n == 3


async def test_a_broken_rule_is_answered_by_goaway_and_the_end(nursery: trio.Nursery) -> None:
    server = echo_server()
    client = await RawClient(nursery, server).shake_hands()
    client.open("hangs")
    await client.send(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0")  # WINDOW_UPDATE of 0
    goaway = await client.until_event(GoAwayReceived)
    assert isinstance(goaway, GoAwayReceived)
    assert goaway.code == ErrorCode.PROTOCOL_ERROR
    assert b"WINDOW_UPDATE" in goaway.debug
    await client.until_closed()
    await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert server.statistics().connections == 0
    assert server.metrics.connection_errors("PROTOCOL_ERROR").n == 1


async def test_something_else_than_http2_is_told_so(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(echo_server().serve_stream, theirs)
    await ours.send_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
    said = b""
    while data := await ours.receive_some():
        said += data
    assert b"preface" in said


async def test_our_own_fault_costs_one_connection_and_is_logged(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = echo_server()
    good = await RawClient(nursery, server).shake_hands()
    bad = await RawClient(nursery, server).shake_hands()
    broken = next(link for link in server._links if link.wire.streams == {} and link.reads)
    with monkeypatch.context() as patch:
        patch.setattr(type(broken), "on_event", lambda self, event: 1 / 0)
        bad.open("echo")
        await bad.send()
        await bad.until_closed()
        await trio.testing.wait_all_tasks_blocked()
    assert "ZeroDivisionError" in caplog.text
    stream = good.open("unary", b"\n\1x", end=True)
    assert (await good.status(stream)).code == 0


async def test_what_is_sent_after_a_lost_connection_reaches_nobody_else(nursery: trio.Nursery) -> None:
    """The socket's number is given to the next socket; nothing of ours may be written there."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    accepted, peers = trio.open_memory_channel[RawServer](0)
    nursery.start_soon(accept, listener, accepted)
    async with Channel("127.0.0.1", listener.socket.getsockname()[1]) as channel, open_call(channel) as call:
        peer = await peers.receive()
        await peer.request()
        link = await channel.ready_link((), wait_for_ready=False)
        assert isinstance(link.transport, SocketTransport)
        number = link.transport._stream.socket.fileno()
        await peer.stream.aclose()
        assert (await call.wait_status()).status_code.name == "UNAVAILABLE"
        await channel.wait_for_state_change(Connectivity.READY)
        await trio.testing.wait_all_tasks_blocked()
        ends = [trio.SocketStream(end) for _ in range(4) for end in trio.socket.socketpair()]
        assert number in [end.socket.fileno() for end in ends]
        assert not call.send_nowait(value(b"x"))
        with pytest.raises(purerpc.UnavailableError):
            await call.send(value(b"x"))
        call.wake_source()
        call.cancel()
        await trio.testing.wait_all_tasks_blocked()
        for end in ends:
            await end.send_eof()
        assert [await end.receive_some() for end in ends] == [b""] * len(ends)
        for end in ends:
            await end.aclose()
    await listener.aclose()


async def accept(listener: trio.SocketListener, accepted: trio.MemorySendChannel[RawServer]) -> None:
    peer = RawServer(await listener.accept())
    await peer.send()
    await accepted.send(peer)


# ---------------------------------------------------------------- fairness and bounds


async def test_a_pass_over_the_input_leaves_others_their_turn(nursery: trio.Nursery) -> None:
    passes = 0
    seen: list[int] = []

    async def count() -> None:
        nonlocal passes
        while True:
            passes += 1
            await trio.lowlevel.checkpoint()

    async def handler(call: Any) -> None:
        call.set_sink(lambda message: seen.append(passes) or True)
        await trio.sleep_forever()

    client = await RawClient(nursery, bidi(handler)).shake_hands()
    client.open()
    await client.send()
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(count)
    await client.send(b"\0\0\5\0\0\0\0\0\1".join([b"", *[framed(b"")] * 4_000]))  # less than one read
    while len(seen) < 4_000:
        await trio.lowlevel.checkpoint()
    assert seen[-1] - seen[0] >= 4_000 // Limits().pass_frames - 1


async def test_a_peer_that_asks_and_does_not_read_has_to_stop_asking(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = echo_server()
    ours, theirs = lockstep_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    wire = ClientConnection(Limits())
    with trio.move_on_after(5) as stopped:
        for _ in range(100):
            for _ in range(1_000):
                stream = wire.open(RequestHead(f"/{NAME}/no_such_method", authority="m"))
                wire.outbound.end(stream)
            await ours.send_all(wire.outbound.take_output())
    assert stopped.cancelled_caught
    (link,) = server._links
    assert link.outbound.size < 4 * Limits().max_control_backlog
    with trio.fail_after(5):  # reading lets it go on
        while link.outbound.size > Limits().max_control_backlog:
            await ours.receive_some(1_000_000)


async def test_metrics_count_bytes_and_stalls(nursery: trio.Nursery) -> None:
    server = echo_server(limits=Limits(stream_window=1_000_000))
    port = await nursery.start(server.serve_async)
    async with Channel("127.0.0.1", port) as channel:
        assert await ask(channel, "echo", bytes(200_000)) == [bytes(200_000)]
    assert server.metrics.bytes_in.n > 200_000
    assert server.metrics.bytes_out.n > 200_000
    assert server.metrics.stalls.n > 0


def test_a_link_says_who_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = Server(0)
            server.add_service(service_of(HANDLERS))
            client = await RawClient(nursery, server).shake_hands()
            client.open("hangs")
            await client.send()
            await trio.testing.wait_all_tasks_blocked()
            (link,) = server._links
            assert repr(link) == "<ServerLink memory, 1 streams>"
            nursery.cancel_scope.cancel()

    trio.run(main)


class Passes(trio.abc.Instrument):
    """What is noted between one look at the sockets and the next."""

    def __init__(self) -> None:
        self.noted: list[int] = [0]

    def before_io_wait(self, timeout: float) -> None:
        self.noted.append(0)


@pytest.mark.parametrize("connections", [1, 5, 20])
async def test_however_many_have_much_to_do_few_do_so_in_a_pass(nursery: trio.Nursery, connections: int) -> None:
    passes = Passes()

    async def handler(call: Any) -> None:
        def take(message: Any) -> bool:
            passes.noted[-1] += 1
            return True

        call.set_sink(take)
        await trio.sleep_forever()

    server = bidi(handler)
    clients = [await RawClient(nursery, server).shake_hands() for _ in range(connections)]
    much = b"\0\0\5\0\0\0\0\0\1".join([b"", *[framed(b"")] * 2_000])
    for client in clients:
        client.open()
        await client.send()
    await trio.testing.wait_all_tasks_blocked()
    trio.lowlevel.add_instrument(passes)
    for client in clients:
        await client.send(much)
    await trio.lowlevel.checkpoint()
    all_have_begun = len(passes.noted)
    with trio.fail_after(20):
        while sum(passes.noted) < connections * 2_000:
            await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(passes)
    # The first part of a connection's input is done at once, the others in turns, with two passes between; or with one,
    # when for long there has been nobody to be left a pass to.
    assert max(passes.noted) <= connections * FIRST_FRAMES + Limits().pass_frames
    turns = [number for number, messages in enumerate(passes.noted) if messages and number > all_have_begun]
    assert len(turns) > connections
    gaps = [later - earlier for earlier, later in pairwise(turns)]
    assert min(gaps[: ALONE_TURNS - connections]) >= 3
    assert min(gaps) >= 2
    assert connections == 1 or gaps[-1] == 2


async def test_a_part_that_was_slow_once_does_not_make_parts_small_for_ever(nursery: trio.Nursery) -> None:
    server = echo_server()
    await RawClient(nursery, server).shake_hands()
    (link,) = server._links
    for _ in range(20):
        link._adapt(1.0, 1.0)
    assert link._frames == 1
    for _ in range(20):
        link._adapt(0.0, 1.0)  # others' handlers are slow, and stay so
    assert link._frames == FIRST_FRAMES
    for _ in range(20):
        link._adapt(0.0, 0.0)
    assert link._frames == Limits().pass_frames


@pytest.mark.parametrize("how", ["the client leaves", "a write fails"])
async def test_the_calls_of_a_lost_connection_end_in_turns(
    nursery: trio.Nursery, autojump_clock: MockClock, how: str
) -> None:
    passes = Passes()

    async def handler(call: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            passes.noted[-1] += 1

    server = bidi(handler)
    client = await RawClient(nursery, server).shake_hands()
    for _ in range(200):
        client.open()
    await client.send()
    await trio.testing.wait_all_tasks_blocked()
    (link,) = server._links
    trio.lowlevel.add_instrument(passes)
    if how == "a write fails":
        link.broken(BrokenPipeError("the pipe is gone"))
    else:
        await client.stream.aclose()
    await trio.sleep(LINGER_S)
    await trio.testing.wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(passes)
    assert (sum(passes.noted), server.statistics().connections) == (200, 0)
    assert max(passes.noted) <= CANCELLED_AT_ONCE


@pytest.mark.parametrize("speaks", [True, False])
async def test_what_a_server_says_is_heard_though_writing_to_it_fails(
    nursery: trio.Nursery, autojump_clock: MockClock, speaks: bool
) -> None:
    async def handler(call: Any) -> None:
        await call.receive()
        await trio.sleep(LINGER_S / 2 if speaks else 1_000)
        raise purerpc.UnavailableError("enough")

    ours, theirs = memory_stream_pair()
    stream = OneWay(ours)
    nursery.start_soon(bidi(handler).serve_stream, theirs)
    async with Channel("memory", 1, stream=stream) as channel, open_call(channel) as call:
        await call.send(value(b"x"))
        await trio.testing.wait_all_tasks_blocked()
        stream.broken.set()
        await call.send(value(b"y"))
        with trio.fail_after(1), pytest.raises(purerpc.UnavailableError, match="enough" if speaks else "lost"):
            await call.receive()
