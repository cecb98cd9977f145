"""What runs around handlers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import purerpc
import pytest
import trio

from ride_trio.rpc.call import HANDLER_FAILED
from tests.rpc.echo import ask, connect, echo_server, open_call, status_of, value


async def test_interceptors_run_around_the_handler_in_order(nursery: trio.Nursery) -> None:
    seen = []

    def named(name: str) -> Any:
        async def interceptor(call: Any, proceed: Any) -> None:
            seen.append(f"{name} in {call.method_name}")
            await proceed()
            seen.append(f"{name} out")

        return interceptor

    async with connect(nursery, echo_server(interceptors=[named("a"), named("b")])) as channel:
        assert await ask(channel, "unary", b"x") == [b"x"]
    assert seen == ["a in unary", "b in unary", "b out", "a out"]


async def test_an_interceptor_refuses_a_call(nursery: trio.Nursery) -> None:
    async def guard(call: Any, proceed: Any) -> None:
        if call.header("key") != "right":
            raise purerpc.UnauthenticatedError("bring the key")
        await proceed()

    async with connect(nursery, echo_server(interceptors=[guard])) as channel:
        assert await status_of(channel, "unary", b"x") == ("UNAUTHENTICATED", "bring the key")


async def test_what_the_handler_raises_passes_through(nursery: trio.Nursery) -> None:
    seen = []

    async def watch(call: Any, proceed: Any) -> None:
        try:
            await proceed()
        except Exception as error:
            seen.append(type(error))
            raise

    async with connect(nursery, echo_server(interceptors=[watch])) as channel:
        code, _ = await status_of(channel, "fails", b"x")
    assert code == "UNKNOWN"
    assert seen == [ValueError]


async def test_a_single_response_that_an_interceptor_has_swallowed_is_no_success(nursery: trio.Nursery) -> None:
    async def kind(call: Any, proceed: Any) -> None:
        with suppress(ValueError):
            await proceed()

    async with connect(nursery, echo_server(interceptors=[kind])) as channel:
        code, message = await status_of(channel, "fails", b"x")
        assert (code, "an interceptor" in message) == ("INTERNAL", True)
        assert (await status_of(channel, "unary", b"x"))[0] == "OK"


@pytest.mark.parametrize("before", [True, False])
async def test_an_interceptor_that_fails_costs_its_call(nursery: trio.Nursery, before: bool) -> None:
    async def broken(call: Any, proceed: Any) -> None:
        if not before:
            await proceed()
        raise ValueError("a secret")

    async with connect(nursery, echo_server(interceptors=[broken])) as channel:
        for method in ("unary", "echo", "split"):
            assert await status_of(channel, method, b"x") == ("UNKNOWN", HANDLER_FAILED.status_message)


async def test_an_interceptor_that_does_nothing_is_named(nursery: trio.Nursery) -> None:
    async def forgetful(call: Any, proceed: Any) -> None:
        pass

    async with connect(nursery, echo_server(interceptors=[forgetful])) as channel:
        code, message = await status_of(channel, "unary", b"x")
    assert (code, "forgetful" in message) == ("INTERNAL", True)


async def test_an_interceptor_goes_on_once(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    async def eager(call: Any, proceed: Any) -> None:
        await proceed()
        await proceed()

    async with connect(nursery, echo_server(interceptors=[eager])) as channel:
        code, _ = await status_of(channel, "echo", b"x")
    assert code == "UNKNOWN"
    assert "eager" in caplog.text
    assert "proceed() twice" in caplog.text


async def test_an_interceptor_may_answer_with_trailers(nursery: trio.Nursery) -> None:
    async def tag(call: Any, proceed: Any) -> None:
        await proceed()
        call.trailing_metadata = [("tag", "seen")]

    async with connect(nursery, echo_server(interceptors=[tag])) as channel, open_call(channel, "unary") as call:
        await call.send(value(b"x"))
        await call.done_sending()
        assert await call.receive() == value(b"x")
        await call.wait_status()
        assert call.trailing_metadata == (("tag", "seen"),)
