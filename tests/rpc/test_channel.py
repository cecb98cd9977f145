from __future__ import annotations

from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from ride_trio.rpc import Channel, Connectivity, Limits, PickFirst, Server
from ride_trio.wire import ErrorCode, LocalError
from ride_trio.wire.frames import goaway_frame, settings_frame
from tests.rpc.desk import Desk
from tests.rpc.echo import ask, connect, echo_server, open_call, status_of
from tests.rpc.peers import RawServer
from tests.rpc.streams import HangingStream, OneWay


async def raw_server() -> tuple[Channel, RawServer]:
    """A channel, to be entered, to a server driven by hand; its SETTINGS are there already."""
    ours, theirs = memory_stream_pair()
    server = RawServer(theirs)
    await server.send()
    return Channel("memory", 0, stream=ours), server


# ---------------------------------------------------------------- connecting


async def test_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(purerpc.UnavailableError, match=f"cannot connect to 127.0.0.1:{port}"):
        async with Channel("127.0.0.1", port):
            pytest.fail("connected")


async def test_who_sends_no_settings_is_given_up(autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with pytest.raises(purerpc.UnavailableError, match="sent no HTTP/2 SETTINGS"):
        async with Channel("memory", 0, stream=HangingStream(swallows=True)):
            pytest.fail("connected")
    assert trio.current_time() - start == pytest.approx(10)


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"", "closed the connection"), (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 5, "broke HTTP/2")],
)
async def test_who_speaks_something_else_is_given_up(said: bytes, reason: str, nursery: trio.Nursery) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(said)
    await theirs.send_eof()
    with pytest.raises(purerpc.UnavailableError, match=reason):
        async with Channel("memory", 0, stream=ours):
            pytest.fail("connected")


async def test_a_channel_has_to_be_entered() -> None:
    channel = Channel("127.0.0.1", 1)
    assert channel.state is Connectivity.IDLE
    assert repr(channel) == "<Channel 127.0.0.1:1, IDLE>"
    with pytest.raises(RuntimeError, match="async with"):
        await open_call(channel).__aenter__()


async def test_the_blocks_exception_comes_out_as_it_is(nursery: trio.Nursery, server: Server) -> None:
    with pytest.raises(KeyError):
        async with connect(nursery, server) as channel, open_call(channel, "hangs"):
            raise KeyError


async def test_leaving_closes_the_connection(nursery: trio.Nursery, server: Server) -> None:
    async with connect(nursery, server) as channel:
        call = await open_call(channel, "hangs").__aenter__()
        await wait_all_tasks_blocked()
        assert server.statistics().calls == 1
    assert channel.state is Connectivity.SHUTDOWN
    assert call.status is not None
    assert call.status.status_code.name == "UNAVAILABLE"
    await wait_all_tasks_blocked()
    assert (server.statistics().connections, server.statistics().calls) == (0, 0)
    with pytest.raises(purerpc.UnavailableError):
        await ask(channel, "unary", b"x")


# ---------------------------------------------------------------- calls


async def test_calls_wait_until_the_server_has_room(nursery: trio.Nursery) -> None:
    server = echo_server(limits=Limits(max_concurrent_streams=2))
    done = []

    async def one(number: int) -> None:
        assert await ask(channel, "echo_call", b"x") == [b"x"]
        done.append(number)

    async with connect(nursery, server) as channel, trio.open_nursery() as calls:
        for number in range(20):
            calls.start_soon(one, number)
    assert len(done) == 20
    assert server.metrics.handled("bidi_stream", "test.Echo", "echo_call", "OK").n == 20


class CountingPicks(PickFirst):
    picks = 0

    def pick(self, *args: Any) -> Any:
        self.picks += 1
        return super().pick(*args)


async def test_room_for_one_call_wakes_one(nursery: trio.Nursery) -> None:
    """Each that woke the whole crowd would make a thousand waiting calls a million looks."""
    policy, server = CountingPicks(), echo_server(limits=Limits(max_concurrent_streams=2))
    async with connect(nursery, server, policy=policy) as channel, trio.open_nursery() as calls:
        for _ in range(50):
            calls.start_soon(ask, channel, "unary", b"x")
    assert server.metrics.handled("unary", "test.Echo", "unary", "OK").n == 50
    assert policy.picks <= 2 * 50


async def test_room_that_a_cancelled_call_would_have_had_is_anothers(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = echo_server(limits=Limits(max_concurrent_streams=1))

    async def waits(scope: trio.CancelScope) -> None:
        with scope:
            assert await ask(channel, "unary", b"x") == [b"x"]

    async with connect(nursery, server) as channel, trio.open_nursery() as calls:
        scopes = [trio.CancelScope() for _ in range(4)]
        async with open_call(channel, "hangs"):
            for scope in scopes:
                calls.start_soon(waits, scope)
                await wait_all_tasks_blocked()
        scopes[0].cancel()  # it is awake already
        scopes[2].cancel()
    assert [scope.cancelled_caught for scope in scopes] == [True, False, True, False]


async def test_waiting_for_room_can_be_cancelled(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(limits=Limits(max_concurrent_streams=1))
    async with connect(nursery, server) as channel, open_call(channel, "hangs"):
        with trio.move_on_after(1) as scope:
            await ask(channel, "unary", b"x")
        assert scope.cancelled_caught


async def test_metadata_that_grpc_forbids_is_refused_before_anything_is_sent(channel: Channel) -> None:
    for metadata in ([("Upper", "x")], [("grpc-status", "0")], [("name", "line\n")], [("name", "\u20ac")]):
        with pytest.raises(LocalError, match="metadata"):
            open_call(channel, metadata=metadata)
    assert await ask(channel, "unary", b"x") == [b"x"]


@pytest.mark.parametrize(
    ("given_s", "around_s", "expected_s"), [(None, 5, 5), (2, 5, 2), (None, None, None), (7, None, 7)]
)
async def test_the_deadline_around_a_call_is_sent_with_it(
    desk: Desk, given_s: float | None, around_s: float | None, expected_s: float | None, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(float("inf") if around_s is None else around_s):
        async with connect(desk.nursery, desk.server) as channel, open_call(channel, timeout_s=given_s):
            await wait_all_tasks_blocked()
            timeout = desk.call.timeout
            assert (timeout and timeout.total_seconds()) == (expected_s and pytest.approx(expected_s, abs=1e-3))


async def test_a_timeout_of_0_has_passed(channel: Channel) -> None:
    assert (await status_of(channel, "hangs", timeout_s=0))[0] == "DEADLINE_EXCEEDED"


# ---------------------------------------------------------------- the server goes


async def test_goaway_ends_what_the_server_has_not_begun_and_nothing_else(nursery: trio.Nursery) -> None:
    connecting, server = await raw_server()
    async with connecting as channel, open_call(channel) as first, open_call(channel) as second:
        stream = await server.request()
        await server.send(goaway_frame(stream.id, ErrorCode.NO_ERROR, b"bye"))
        status = await second.wait_status()
        assert (status.status_code.name, status.status_message) == ("UNAVAILABLE", "the server is going away (bye)")
        assert first.status is None
        assert channel.state is not Connectivity.READY
        await server.answer(stream, b"", code=0)
        assert await first.receive() == BytesValue()
        assert (await first.wait_status()).int_value == 0


async def test_who_is_cut_off_after_a_goaway_hears_why_that_came(nursery: trio.Nursery) -> None:
    ours, theirs = memory_stream_pair()
    stream, server = OneWay(ours), RawServer(theirs)
    await server.send()
    async with Channel("memory", 1, stream=stream) as channel, open_call(channel) as call:
        request = await server.request()
        await server.send(goaway_frame(request.id, ErrorCode.NO_ERROR, b"max_age"))
        await wait_all_tasks_blocked()
        stream.broken.set()
        await call.send(BytesValue(value=b"x"))
        await wait_all_tasks_blocked()
        await server.stream.aclose()
        status = await call.wait_status()
    assert status.status_code.name == "UNAVAILABLE"
    assert "is going away (max_age), and the connection is lost: nobody hears this" in status.status_message


async def test_who_is_sent_away_before_the_first_call_hears_why() -> None:
    ours, theirs = memory_stream_pair()
    server = RawServer(theirs)
    await server.send()
    await server.send(goaway_frame(0, ErrorCode.NO_ERROR, b"max_idle"))
    with pytest.raises(purerpc.UnavailableError, match=r"going away \(max_idle\)"):  # noqa: PT012
        async with Channel("memory", 1, stream=ours) as channel:
            await wait_all_tasks_blocked()
            async with open_call(channel):
                pytest.fail("opened")


async def test_a_lost_connection_ends_all_calls_and_whoever_waits(nursery: trio.Nursery) -> None:
    connecting, server = await raw_server()
    ended: list[Any] = []

    async def note(wait: Any) -> None:
        with pytest.raises(purerpc.UnavailableError):
            await wait()
        ended.append(wait)

    async def send_for_ever() -> None:
        while True:
            await call.send(BytesValue(value=bytes(1_000)))

    async with connecting as channel, open_call(channel) as call:
        for wait in (call.receive, send_for_ever):
            nursery.start_soon(note, wait)
        await wait_all_tasks_blocked()
        assert not ended
        await server.stream.aclose()
        with trio.fail_after(1):
            await channel.wait_for_state_change(Connectivity.READY)
            assert (await call.wait_status()).status_code.name == "UNAVAILABLE"
            await call.done_sending()
        await wait_all_tasks_blocked()
        assert len(ended) == 2


async def test_a_server_that_breaks_the_rules_is_named_as_the_reason(nursery: trio.Nursery) -> None:
    connecting, server = await raw_server()
    async with connecting as channel, open_call(channel) as call:
        await server.request()
        await server.send(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0")  # WINDOW_UPDATE of 0
        status = await call.wait_status()
        assert "broke HTTP/2: PROTOCOL_ERROR" in status.status_message


async def test_a_call_that_waits_for_room_starts_when_the_server_gives_some(nursery: trio.Nursery) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(settings_frame({3: 0}))
    async with Channel("memory", 0, stream=ours) as channel:
        opened = trio.Event()

        async def open_one() -> None:
            async with open_call(channel):
                opened.set()

        nursery.start_soon(open_one)
        await wait_all_tasks_blocked()
        assert not opened.is_set()
        await theirs.send_all(settings_frame({3: 1}))
        with trio.fail_after(1):
            await opened.wait()
