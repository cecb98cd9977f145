"""A call on the server: how handlers are run, and how their calls end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality
from trio.testing import wait_all_tasks_blocked

from ride_trio.rpc import Call, Channel, Server
from ride_trio.rpc.call import HANDLER_FAILED
from ride_trio.wire import LocalError
from tests.rpc.desk import KB, Desk
from tests.rpc.echo import (
    NAME,
    ask,
    bidi,
    connect,
    open_call,
    server_of,
    status_of,
    value,
)

FAILED = ("UNKNOWN", HANDLER_FAILED.status_message)


async def run_one(nursery: trio.Nursery, server: Server, method: str = "Bidi", **options: Any) -> tuple[str, str]:
    """The status of one call without messages."""
    async with connect(nursery, server) as channel:
        return await status_of(channel, method, **options)


# ---------------------------------------------------------------- both styles, all cardinalities


@pytest.mark.parametrize("method", ["unary", "unary_request"])
async def test_one_message_for_one(channel: Channel, method: str) -> None:
    assert await ask(channel, method, b"hello") == [b"hello"]


@pytest.mark.parametrize("method", ["split", "split_call"])
async def test_many_for_one(channel: Channel, method: str) -> None:
    assert await ask(channel, method, b"abc") == [b"a", b"b", b"c"]
    assert await ask(channel, method, b"") == []


@pytest.mark.parametrize("method", ["join", "join_call"])
async def test_one_for_many(channel: Channel, method: str) -> None:
    assert await ask(channel, method, b"a", b"b", b"c") == [b"abc"]
    assert await ask(channel, method) == [b""]


@pytest.mark.parametrize("method", ["echo", "echo_call"])
async def test_many_for_many_as_they_come(channel: Channel, method: str) -> None:
    async with open_call(channel, method) as call:
        for number in range(10):
            await call.send(value(b"%d" % number))
            assert await call.receive() == value(b"%d" % number)
        await call.done_sending()
        assert await call.receive() is None
        assert (await call.wait_status()).status_code.name == "OK"


@pytest.mark.parametrize("method", ["unary", "split", "join", "echo", "echo_call"])
async def test_large_messages_both_ways(channel: Channel, method: str) -> None:
    large = bytes(range(256)) * 12_000  # 3 MB
    if method == "split":
        large = large[:70_000]  # comes back as so many messages
    async with trio.open_nursery() as nursery, open_call(channel, method) as call:
        nursery.start_soon(_send_and_end, call, large)
        assert b"".join([message.value async for message in call]) == large


async def _send_and_end(call: Any, data: bytes) -> None:
    await call.send(value(data))
    await call.done_sending()


async def test_a_generator_is_closed_when_its_call_is_cut_short(nursery: trio.Nursery) -> None:
    closed = trio.Event()

    async def handler(messages: Any) -> AsyncIterator[BytesValue]:
        try:
            async for message in messages:
                yield message
        finally:
            closed.set()

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as call:
        await call.send(KB)
        await call.receive()
    with trio.fail_after(1):
        await closed.wait()


async def test_a_handler_that_is_not_async_is_an_error_of_the_service(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    assert await run_one(nursery, bidi(lambda call: 5)) == FAILED
    assert "has to be an async function" in caplog.text


# ---------------------------------------------------------------- what the handler knows


async def test_a_call_has_what_purerpc_calls_request_received(desk: Desk) -> None:
    metadata = (("user-id", "rider 7"), ("trace-bin", b"\0\xff"), ("user-id", "second"))
    async with connect(desk.nursery, desk.server) as channel, open_call(channel, metadata=metadata, timeout_s=60):
        await wait_all_tasks_blocked()
        call = desk.call
        assert call.metadata == call.custom_metadata == metadata
        assert (call.header("user-id"), call.header("trace-bin"), call.header("no")) == ("rider 7", None, None)
        assert (call.service_name, call.method_name, call.stream_id) == (NAME, "Bidi", 1)
        assert (call.scheme, call.authority, call.peer) == ("http", "memory:0", "memory")
        assert (call.content_type, call.user_agent, call.message_type) == ("application/grpc", "ride-trio", None)
        assert (call.message_encoding, call.message_accept_encoding) == ("identity", ["identity", "gzip"])
        assert call.timeout == timedelta(seconds=60)
        assert call.deadline == pytest.approx(trio.current_time() + 60, abs=1)
        assert repr(call) == "<Call /test.Echo/Bidi from memory, stream 1>"


async def test_accepted_encodings_are_names(desk: Desk) -> None:
    await desk.client()
    desk.call.head.accept_encoding = "identity, deflate , gzip"  # as gRPC's C core writes them
    assert desk.call.message_accept_encoding == ["identity", "deflate", "gzip"]


async def test_without_grpc_timeout_there_is_no_deadline(desk: Desk) -> None:
    await desk.client()
    assert (desk.call.timeout, desk.call.deadline) == (None, float("inf"))


# ---------------------------------------------------------------- metadata


async def test_initial_and_trailing_metadata(nursery: trio.Nursery) -> None:
    async def handler(call: Call[BytesValue, BytesValue]) -> None:
        await call.start((("first", "1"), ("blob-bin", b"\xff\0")))
        call.trailing_metadata = (("last", "9"),)
        await call.send(KB)
        raise purerpc.DataLossError("so what")

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as call:
        assert await call.receive() == KB
        assert call.initial_metadata == (("first", "1"), ("blob-bin", b"\xff\0"))
        assert (await call.wait_status()).status_code.name == "DATA_LOSS"
        assert call.trailing_metadata == (("last", "9"),)


async def test_headers_can_be_sent_before_any_message_and_only_once(desk: Desk) -> None:
    client = await desk.client()
    assert client.initial_metadata == ()
    await desk.call.start((("early", "yes"),))
    await wait_all_tasks_blocked()
    assert client.initial_metadata == (("early", "yes"),)
    with pytest.raises(LocalError, match="already"):
        await desk.call.start()
    await desk.call.send(KB)
    assert await client.receive() == KB


async def test_metadata_that_grpc_forbids_is_the_handlers_error(nursery: trio.Nursery) -> None:
    async def handler(call: Call[BytesValue, BytesValue]) -> None:
        await call.start((("Bad Name", "1"),))

    assert await run_one(nursery, bidi(handler)) == FAILED


@pytest.mark.parametrize("trailing", [(("Bad Name", "1"),), (("name", "line\nbreak"),), "nonsense"])
async def test_bad_trailing_metadata_costs_its_own_call_only(
    nursery: trio.Nursery, trailing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(call: Call[BytesValue, BytesValue]) -> None:
        async for _ in call:
            call.trailing_metadata = trailing
            return

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as other:
        await wait_all_tasks_blocked()
        assert await status_of(channel, "Bidi", b"x") == FAILED
        assert "cannot be sent" in caplog.text
        await other.done_sending()
        assert (await other.wait_status()).status_code.name == "OK"


# ---------------------------------------------------------------- statuses


ERRORS = [
    getattr(purerpc, name)
    for name in dir(purerpc)
    if name.endswith("Error") and issubclass(getattr(purerpc, name), purerpc.RpcFailedError)
    and name not in {"RpcFailedError"}
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
async def test_every_status_reaches_the_client_with_its_message(nursery: trio.Nursery, error: Any) -> None:
    async def handler(message: BytesValue) -> BytesValue:
        raise error("W\u00f6rter: 100 %\n\U0001f695")

    server = server_of("Unary", Cardinality.UNARY_UNARY, handler)
    async with connect(nursery, server) as channel:
        with pytest.raises(error) as caught:
            await ask(channel, "Unary", b"x")
    assert caught.value.status.status_message == "W\u00f6rter: 100 %\n\U0001f695"


async def test_a_status_out_of_a_nursery_is_a_status(nursery: trio.Nursery) -> None:
    async def fail() -> None:
        raise purerpc.UnavailableError("NO_HEARTBEAT: 15 s")

    async def handler(call: Any) -> None:
        async with trio.open_nursery() as inner, trio.open_nursery() as innermost:
            inner.start_soon(trio.sleep_forever)
            innermost.start_soon(fail)
            await trio.sleep_forever()

    assert await run_one(nursery, bidi(handler)) == ("UNAVAILABLE", "NO_HEARTBEAT: 15 s")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        ExceptionGroup("secret", [ValueError("secret")]),
        ExceptionGroup("secret", [purerpc.AbortedError("secret"), ValueError("secret")]),
        purerpc.RpcFailedError("secret"),
    ],
)
async def test_other_exceptions_are_unknown_without_their_text_and_logged_with_it(
    nursery: trio.Nursery, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(call: Any) -> None:
        raise error

    server = bidi(handler)
    assert await run_one(nursery, server) == FAILED
    assert "secret" not in FAILED[1]
    assert "secret" in caplog.text
    assert "/test.Echo/Bidi" in caplog.text
    assert server.metrics.handled("bidi_stream", NAME, "Bidi", "UNKNOWN").n == 1


async def test_a_message_that_is_no_text_costs_its_own_call_only(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        raise purerpc.InvalidArgumentError(["not", "a", "string"])

    assert await run_one(nursery, bidi(handler)) == FAILED


async def test_messages_before_a_bad_end_arrive(nursery: trio.Nursery) -> None:
    async def handler(messages: Any) -> AsyncIterator[BytesValue]:
        yield KB
        raise purerpc.OutOfRangeError("no more")

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as call:
        assert await call.receive() == KB
        with pytest.raises(purerpc.OutOfRangeError):
            await call.receive()


@pytest.mark.parametrize("method", ["unary", "split"])
@pytest.mark.parametrize("requests", [[], [b"1", b"2"]])
async def test_one_request_is_expected_and_another_number_comes(
    channel: Channel, method: str, requests: list[bytes]
) -> None:
    code, message = await status_of(channel, method, *requests)
    assert code == "UNIMPLEMENTED"
    assert message == f"one request message was expected, {'more' if requests else 'none'} came"


async def test_who_reads_thousands_of_messages_lets_others_have_their_turn(nursery: trio.Nursery) -> None:
    """They have arrived together, and nothing has to be waited for."""
    arrived = trio.Event()
    seen: list[int] = []

    async def read(call: Any) -> None:
        passes = count = 0

        async def count_passes() -> None:
            nonlocal passes
            while True:
                passes += 1
                await trio.lowlevel.checkpoint()

        await arrived.wait()
        async with trio.open_nursery() as others:
            others.start_soon(count_passes)
            async for _ in call:
                count += 1
            others.cancel_scope.cancel()
        seen.extend((count, passes))

    with trio.fail_after(10):
        async with connect(nursery, bidi(read)) as channel, open_call(channel, "Bidi") as call:
            for _ in range(4_000):
                await call.send(BytesValue())
            await call.done_sending()
            await wait_all_tasks_blocked()
            arrived.set()
            await call.wait_status()
    assert seen[0] == 4_000
    assert seen[1] >= 10
