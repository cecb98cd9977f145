from __future__ import annotations

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Channel, ClientCall, Server
from ride_trio.wire import ErrorCode
from ride_trio.wire.events import StreamReset
from ride_trio.wire.frames import DATA, END_STREAM, frame
from ride_trio.wire.headers import http_block, response_block, trailers_block
from tests.rpc.desk import KB, Desk, Giver, Taker
from tests.rpc.echo import open_call, value
from tests.rpc.peers import RawServer, framed
from tests.rpc.test_channel import raw_server

A, B = (value(letter).SerializeToString() for letter in (b"a", b"b"))


# ---------------------------------------------------------------- leaving and cancelling


async def test_a_call_left_early_is_reset(channel: Channel, server: Server) -> None:
    async with open_call(channel, "hangs"):
        await wait_all_tasks_blocked()
        assert server.statistics().calls == 1
    await wait_all_tasks_blocked()
    assert (server.statistics().calls, server.statistics().streams) == (0, 0)


async def test_cancel_says_so_and_tells_whoever_waits(desk: Desk) -> None:
    client = await desk.client()
    client.cancel()
    client.cancel()
    assert (await client.wait_status()).status_code.name == "CANCELLED"
    with pytest.raises(purerpc.CancelledError):
        await client.receive()
    with pytest.raises(purerpc.CancelledError):
        await client.send(KB)
    await wait_all_tasks_blocked()
    assert desk.error is not None


async def test_waits_can_be_cancelled_and_that_cancels_no_more_than_them(desk: Desk, autojump_clock: MockClock) -> None:
    client = await desk.client()
    for wait in (client.receive, client.wait_status):
        with trio.move_on_after(1) as scope:
            await wait()
        assert scope.cancelled_caught
    assert client.status is None
    desk.leave.set()
    assert (await client.wait_status()).int_value == 0


async def test_a_call_says_what_it_is(desk: Desk) -> None:
    client = await desk.client()
    assert repr(client) == "<ClientCall /test.Echo/Bidi, open>"
    desk.leave.set()
    await client.wait_status()
    assert repr(client).startswith("<ClientCall /test.Echo/Bidi, ")
    assert "open" not in repr(client)


async def test_a_call_can_be_started_without_a_block(channel: Channel, server: Server) -> None:
    call = open_call(channel, "echo")
    await call.start()
    await call.send(KB)
    assert await call.receive() == KB
    call.abandon()
    await wait_all_tasks_blocked()
    assert call.status is not None
    assert server.statistics().calls == 0


# ---------------------------------------------------------------- what servers answer


async def begin() -> tuple[Channel, RawServer]:
    return await raw_server()


async def test_messages_then_a_status_then_always_the_status() -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        await server.answer(await server.request(), A, B, code=10, message="TAKEN_OVER: by a newer one")
        assert [(await call.receive()), (await call.receive())] == [value(b"a"), value(b"b")]
        for _ in range(2):
            with pytest.raises(purerpc.AbortedError, match="TAKEN_OVER"):
                await call.receive()
        assert call.status is not None
        assert call.status.status_message == "TAKEN_OVER: by a newer one"


async def test_an_end_before_ours_stops_us() -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        await server.answer(stream, code=0)
        assert (await call.wait_status()).int_value == 0
        with pytest.raises(trio.ClosedResourceError):
            await call.send(KB)
        reset = await server.until_event(StreamReset)
        assert isinstance(reset, StreamReset)
        assert (reset.stream, reset.code) == (stream, ErrorCode.NO_ERROR)


@pytest.mark.parametrize(
    ("http", "code"), [(404, "UNIMPLEMENTED"), (503, "UNAVAILABLE"), (401, "UNAUTHENTICATED"), (200, "UNKNOWN")]
)
async def test_an_answer_that_is_not_grpc(http: int, code: str) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        server.wire.outbound.send_headers(stream, http_block(http, "text/html"))
        await server.send()
        status = await call.wait_status()
        assert status.status_code.name == code
        assert status.status_message == f"no gRPC answer: HTTP {http}, content-type 'text/html'"


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCode.REFUSED_STREAM, "UNAVAILABLE"),
        (ErrorCode.CANCEL, "CANCELLED"),
        (ErrorCode.ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (ErrorCode.INTERNAL_ERROR, "INTERNAL"),
    ],
)
async def test_a_reset_is_a_status(reset: ErrorCode, code: str) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        await server.reset(await server.request(), reset)
        status = await call.wait_status()
        assert status.status_code.name == code
        assert status.status_message == f"the stream was reset by the server with {reset.name}"


async def test_a_reset_behind_the_status_changes_nothing() -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        server.wire.outbound.send_headers(stream, response_block())
        server.wire.outbound.end(stream, trailers_block(5, "none"))
        server.wire.reset(stream, ErrorCode.NO_ERROR)
        await server.send()
        assert (await call.wait_status()).status_code.name == "NOT_FOUND"


async def test_trailers_only() -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        server.wire.outbound.end(stream, response_block() + trailers_block(8, "full", (("why", "x"),)))
        await server.send()
        assert (await call.wait_status()).status_message == "full"
        assert call.trailing_metadata == (("why", "x"),)


@pytest.mark.parametrize(
    ("code", "expected"), [(0, ("INTERNAL", "before the end of a message")), (4, ("DEADLINE_EXCEEDED", "late"))]
)
async def test_half_a_message_before_the_status(code: int, expected: tuple[str, str]) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        server.wire.outbound.send_headers(stream, response_block())
        server.wire.outbound.control(frame(DATA, 0, stream.id, framed(A) + framed(b"12", length=100)))
        server.wire.outbound.end(stream, trailers_block(code, "late" if code else ""))
        await server.send()
        assert await call.receive() == value(b"a")
        with pytest.raises(purerpc.RpcFailedError):
            await call.receive()
        status = await call.wait_status()
        assert status.status_code.name == expected[0]
        assert expected[1] in status.status_message


async def test_a_stream_that_ends_without_a_status_is_no_success() -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        server.wire.outbound.send_headers(stream, response_block())
        await server.send(frame(DATA, END_STREAM, stream.id, framed(A)))
        assert await call.receive() == value(b"a")
        with pytest.raises(purerpc.RpcFailedError), trio.fail_after(1):
            await call.receive()
        with trio.fail_after(1):
            assert (await call.wait_status()).int_value != 0


@pytest.mark.parametrize("with_sink", [False, True])
@pytest.mark.parametrize(("bad", "code"), [(framed(b"\xff\xff"), "INTERNAL"), (b"\1" + framed(b"x")[1:], "INTERNAL")])
async def test_a_message_that_cannot_be_read_ends_the_call(with_sink: bool, bad: bytes, code: str) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        stream = await server.request()
        sink = Taker()
        if with_sink:
            call.set_sink(sink)
        await server.answer(stream, A, code=None)
        await server.send(frame(DATA, 0, stream.id, bad))
        if with_sink:
            assert (await call.wait_status()).status_code.name == code
            assert sink.taken == [b"a", None]
            reset = await server.until_event(StreamReset)
            assert isinstance(reset, StreamReset)
        else:
            assert await call.receive() == value(b"a")
            with pytest.raises(purerpc.RpcFailedError) as caught:
                await call.receive()
            assert caught.value.status.status_code.name == code


# ---------------------------------------------------------------- sinks and sources


@pytest.mark.parametrize("code", [0, 14])
async def test_a_sink_hears_the_end_once_after_all_messages_and_with_the_status(code: int) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        seen: list[tuple[bytes | None, int | None]] = []

        def sink(message: BytesValue | None) -> bool:
            status = call.status
            seen.append((message and message.value, status and status.int_value))
            return True

        call.set_sink(sink)
        await server.answer(await server.request(), A, B, code=code)
        assert (await call.wait_status()).int_value == code
        await wait_all_tasks_blocked()
    assert [message for message, _ in seen] == [b"a", b"b", None]
    assert seen[-1][1] == code


@pytest.mark.parametrize("how", ["cancelled", "lost", "reset"])
async def test_a_sink_hears_of_a_bad_end(how: str) -> None:
    connecting, server = await begin()
    async with connecting as channel, open_call(channel) as call:
        sink = Taker()
        call.set_sink(sink)
        stream = await server.request()
        if how == "cancelled":
            call.cancel()
        elif how == "lost":
            await server.stream.aclose()
        else:
            await server.reset(stream, ErrorCode.CANCEL)
        await call.wait_status()
        assert sink.taken == [None]


async def test_a_sink_that_fails_ends_its_own_call_only(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def sink(message: BytesValue | None) -> bool:
        heard.append(message)
        raise ValueError("mine")

    heard: list[BytesValue | None] = []
    client: ClientCall[BytesValue, BytesValue] = await desk.client()
    client.set_sink(sink)
    call = desk.call
    async with open_call(client._channel) as other:
        await wait_all_tasks_blocked()
        await call.send(KB)
        assert "mine" in (await client.wait_status()).status_message
        await wait_all_tasks_blocked()
        assert heard == [KB, None]
        assert other.status is None
    assert "mine" in caplog.text


async def test_a_client_has_sources_too(channel: Channel) -> None:
    async with open_call(channel, "join") as call:
        call.set_source(Giver(*[KB.value] * 200))
        call.wake_source()
        await call.flush_source()
        await call.done_sending()
        assert await call.receive() == value(KB.value * 200)


@pytest.mark.parametrize("with_sink", [False, True])
async def test_an_encoding_that_was_not_offered_is_named(with_sink: bool) -> None:
    """Of a message that is compressed with it; others are as good as any."""
    connecting, server = await raw_server()
    async with connecting as channel, open_call(channel) as call:
        taker = Taker()
        if with_sink:
            call.set_sink(taker)
        stream = await server.request()
        server.wire.outbound.send_headers(stream, response_block(encoding="deflate"))
        server.wire.outbound.send_message(stream, value(b"plain").SerializeToString())
        server.wire.outbound.send_message(stream, b"packed", 1)
        await server.send()
        if with_sink:
            status = await call.wait_status()
            assert taker.taken == [b"plain", None]
        else:
            assert await call.receive() == value(b"plain")
            with pytest.raises(purerpc.InternalError) as caught:
                await call.receive()
            status = caught.value.status
        assert (status.status_code.name, "'deflate'" in status.status_message) == ("INTERNAL", True)
