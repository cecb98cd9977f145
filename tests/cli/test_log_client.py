"""Calls of the log, and what goes wrong with them in words. What they ask for is seen in the commands' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import purerpc
import pytest
import trio
from purerpc import Status, StatusCode

from ride_trio.values import Address
from ride_trio_cli.log_client import ANSWER_TIMEOUT_S, LogCallError, LogClient, in_words, with_log
from ride_trio_cli.log_positions import EARLIEST, LATEST, Position
from ride_trio_cli.log_server import LogServer
from tests.cli.fake_log import ARRIVED_MS, FakeLog, connect, server_of


@pytest.fixture
async def client(nursery: trio.Nursery, log: FakeLog) -> AsyncIterator[LogClient]:
    channel = connect(nursery, log)
    await channel.__aenter__()
    yield LogClient(channel)
    await channel.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("message", "code", "shown"),
    [
        ("TOPIC_EXISTS: there is one", "TOPIC_EXISTS", "TOPIC_EXISTS: there is one"),
        ("cannot connect", "", "cannot connect"),
        ("the server: NO", "", "the server: NO"),
        ("BAD: a\nb\x1b", "BAD", "BAD: a\\x0ab\\x1b"),
    ],
)
def test_an_error_is_a_line_with_the_logs_code(message: str, code: str, shown: str) -> None:
    error = LogCallError(message)
    assert (error.code, str(error)) == (code, shown)


@pytest.mark.parametrize("code", ["UNKNOWN_TOPIC", "UNKNOWN_GROUP"])
def test_an_error_says_where_to_look(code: str) -> None:
    assert str(LogCallError(f"{code}: none")).startswith(f"{code}: none; `ride-trio ")


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        (StatusCode.NOT_FOUND, "UNKNOWN_TOPIC: no", "UNKNOWN_TOPIC: no"),
        (StatusCode.INTERNAL, "", "INTERNAL"),
        (StatusCode.DEADLINE_EXCEEDED, "passed", "the server has not answered within 30 s"),
        (StatusCode.UNAUTHENTICATED, "no token", "no token; --token TOKEN (or RIDE_TRIO_TOKEN) says who calls"),
        (StatusCode.UNIMPLEMENTED, "no service", "the server keeps no log: no service"),
    ],
)
def test_a_status_is_a_line(code: StatusCode, message: str, shown: str) -> None:
    assert in_words(Status(code, message)) == shown


async def test_positions_become_each_partitions_offset(client: LogClient, log: FakeLog) -> None:
    log.add_topic("rides", [b"0", b"1", b"2"], [b"0", b"1"]).begins = 1
    assert await client.offsets("rides", None, EARLIEST) == {0: 1, 1: 1}
    assert await client.offsets("rides", None, LATEST) == {0: 3, 1: 2}
    assert await client.offsets("rides", None, Position(time_ms=ARRIVED_MS + 2)) == {0: 2, 1: 2}
    assert await client.offsets("rides", 0, Position(3)) == {0: 3}
    for position in (Position(0), Position(4)):
        with pytest.raises(LogCallError, match=r"partition 0 of rides has no offset [04]: it has 1 to 3"):
            await client.offsets("rides", 0, position)
    with pytest.raises(LogCallError, match="rides has no partition 2: it has 0 to 1"):
        await client.offsets("rides", 2, EARLIEST)


async def test_a_server_that_never_answers_is_given_up(
    client: LogClient, log: FakeLog, autojump_clock: trio.testing.MockClock
) -> None:
    log.hangs = True
    began = trio.current_time()
    with pytest.raises((trio.TooSlowError, purerpc.DeadlineExceededError)):
        await client.topic_names()
    assert trio.current_time() - began == ANSWER_TIMEOUT_S


# ---------------------------------------------------------------------- what the engine raises


Asking = Callable[..., Awaitable[Any]]


@pytest.fixture
async def asking(nursery: trio.Nursery, log: FakeLog) -> Asking:
    """`with_log` of a server of this loop: `await asking(work)`."""
    port = await nursery.start(server_of(log).serve_async)
    return partial(with_log, LogServer(Address("127.0.0.1", port)))


async def fail(error: Exception, log: LogClient) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (purerpc.NotFoundError("none"), "none"),
        (ExceptionGroup("", [purerpc.NotFoundError("none"), LogCallError("later")]), "none"),
        (ExceptionGroup("", [ExceptionGroup("", [LogCallError("first")])]), "first"),
        (trio.TooSlowError(), "the server has not answered within 30 s"),
    ],
)
async def test_what_goes_wrong_is_a_line_also_in_a_group(error: Exception, shown: str, asking: Asking) -> None:
    with pytest.raises(LogCallError) as caught:
        await asking(partial(fail, error))
    assert str(caught.value) == shown


async def test_a_name_that_is_not_utf8_is_a_line(asking: Asking) -> None:
    with pytest.raises(LogCallError, match=r"'\\udcff' is not UTF-8"):
        await asking(lambda log: log.topic("\udcff"))


@pytest.mark.parametrize("error", [ValueError("a bug"), ExceptionGroup("", [LogCallError("x"), ValueError("a bug")])])
async def test_a_bug_stays_one(error: Exception, asking: Asking) -> None:
    with pytest.raises((ValueError, ExceptionGroup)) as caught:
        await asking(partial(fail, error))
    assert caught.value is error


async def test_a_call_has_the_token(nursery: trio.Nursery, log: FakeLog) -> None:
    seen = []

    async def watch(call: Any, proceed: Any) -> None:
        seen.append(call.header("authorization"))
        await proceed()

    port = await nursery.start(server_of(log, interceptors=[watch]).serve_async)
    for token in ("a-token", ""):
        assert await with_log(LogServer(Address("127.0.0.1", port), token), lambda client: client.topics()) == []
    assert seen == ["Bearer a-token", None]
