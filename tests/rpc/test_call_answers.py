"""What a handler may return, for a single response and for a stream of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality

from ride_trio.rpc.call import HANDLER_FAILED
from tests.rpc.desk import KB
from tests.rpc.echo import (
    NAME,
    ask,
    connect,
    join,
    server_of,
    status_of,
)

FAILED = ("UNKNOWN", HANDLER_FAILED.status_message)


async def _nothing(call: Any, request: Any = None) -> None:
    return None


async def _returns(call: Any) -> BytesValue:
    return KB


async def _yields(message: Any) -> AsyncIterator[BytesValue]:
    yield KB


async def _sends(message: Any, request: Any) -> None:
    await request.send(KB)


async def _starts_only(message: Any, request: Any) -> None:
    await request.start()


@pytest.mark.parametrize(
    ("cardinality", "handler", "complaint"),
    [
        (Cardinality.UNARY_UNARY, _nothing, "without having sent one"),
        (Cardinality.STREAM_UNARY, _nothing, "without having sent one"),
        (Cardinality.UNARY_UNARY, _starts_only, "without having sent one"),
        (Cardinality.UNARY_STREAM, _returns, "streaming answers"),
        (Cardinality.STREAM_STREAM, _returns, "streaming answers"),
        (Cardinality.UNARY_UNARY, _yields, "single response"),
        (Cardinality.STREAM_UNARY, _yields, "single response"),
    ],
)
async def test_an_answer_of_the_wrong_kind_is_an_error_of_the_service(
    nursery: trio.Nursery, cardinality: Cardinality, handler: Any, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(nursery, server_of("Bad", cardinality, handler)) as channel:
        assert await status_of(channel, "Bad", b"x") == FAILED
    assert "TypeError" in caplog.text
    assert complaint in caplog.text


async def _sends_the_join(call: Any) -> None:
    await call.send(await join(call))


@pytest.mark.parametrize(
    ("cardinality", "handler", "answers"),
    [
        (Cardinality.UNARY_UNARY, _sends, [KB.value]),
        (Cardinality.STREAM_UNARY, _sends_the_join, [b"x"]),
        (Cardinality.UNARY_STREAM, _nothing, []),
        (Cardinality.STREAM_STREAM, _nothing, []),
    ],
)
async def test_a_coroutine_may_send_its_answers_and_return_nothing(
    nursery: trio.Nursery, cardinality: Cardinality, handler: Any, answers: list[bytes]
) -> None:
    async with connect(nursery, server_of("Good", cardinality, handler)) as channel:
        assert await ask(channel, "Good", b"x") == answers


async def _serialized(message: Any) -> bytes:
    return KB.SerializeToString()


async def _serialized_after_its_headers(message: Any, request: Any) -> bytes:
    await request.start()
    return KB.SerializeToString()


@pytest.mark.parametrize("handler", [_serialized, _serialized_after_its_headers])
async def test_a_single_response_may_be_returned_serialized(nursery: trio.Nursery, handler: Any) -> None:
    async with connect(nursery, server_of("Bytes", Cardinality.UNARY_UNARY, handler)) as channel:
        assert await ask(channel, "Bytes", b"x") == [KB.value]


async def test_rich_errors_and_traces_pass_through(nursery: trio.Nursery) -> None:
    got: list[Any] = []

    async def fail(message: Any, request: Any) -> None:
        got.append(request.metadata)
        request.trailing_metadata = [("grpc-status-details-bin", b"\x08\x05")]
        raise purerpc.NotFoundError("no such zone")

    async with connect(nursery, server_of("fail", Cardinality.UNARY_UNARY, fail)) as channel:
        trace = [("grpc-trace-bin", b"\0\1")]
        async with channel.open(f"/{NAME}/fail", BytesValue, BytesValue, metadata=trace) as call:
            await call.send(KB)
            await call.done_sending()
            assert (await call.wait_status()).status_code.name == "NOT_FOUND"
            assert call.trailing_metadata == (("grpc-status-details-bin", b"\x08\x05"),)
    assert got == [(("grpc-trace-bin", b"\0\1"),)]
