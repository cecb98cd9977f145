from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import purerpc
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.rpc import ClientCall, Server
from ride_trio.wire import LocalError
from tests.rpc.echo import ask, connect, open_call, server_of, value
from tests.rpc.test_stub_stream import stub

Call = ClientCall[Any, Any]
Proceed = Callable[[], Awaitable[None]]


async def test_it_sees_the_call_from_beginning_to_end(nursery: trio.Nursery, server: Server) -> None:
    seen: list[Any] = []

    async def outer(call: Call, proceed: Proceed) -> None:
        seen.append(f"outer {call.path}")
        await proceed()
        seen.append(call.status and call.status.status_code.name)

    async def inner(call: Call, proceed: Proceed) -> None:
        seen.append("inner")
        await proceed()
        seen.append("inner again")

    async with connect(nursery, server, interceptors=[outer, inner]) as channel:
        assert await ask(channel, "echo", b"x") == [b"x"]
        await wait_all_tasks_blocked()
        assert seen == ["outer /test.Echo/echo", "inner", "inner again", "OK"]
        seen.clear()
        assert (await stub(channel, "unary")(value(b"y"))).value == b"y"
        await wait_all_tasks_blocked()
        assert seen == ["outer /test.Echo/unary", "inner", "inner again", "OK"]
        seen.clear()
        async with open_call(channel, "hangs"):
            pass
        await wait_all_tasks_blocked()
        assert seen[-1] == "CANCELLED"


async def test_it_adds_metadata(nursery: trio.Nursery) -> None:
    got: list[Any] = []

    async def who(message: Any, request: Any) -> Any:
        got.append(request.metadata)
        return message

    async def sign(call: Call, proceed: Proceed) -> None:
        call.metadata = (*call.metadata, ("authorization", "Bearer x"))
        with pytest.raises(LocalError):
            call.metadata = [("Upper", "x")]
        await proceed()

    server = server_of("who", purerpc.Cardinality.UNARY_UNARY, who)
    channel = connect(nursery, server, interceptors=[sign])
    async with channel, open_call(channel, "who", metadata=[("user-id", "ann")]) as call:
        await call.send(value(b"x"))
        await call.done_sending()
        await call.wait_status()
    assert got == [(("user-id", "ann"), ("authorization", "Bearer x"))]


async def test_it_refuses(nursery: trio.Nursery, server: Server) -> None:
    async def refuse(call: Call, proceed: Proceed) -> None:
        raise purerpc.PermissionDeniedError("not today")

    async def forget(call: Call, proceed: Proceed) -> None:
        pass

    for interceptor, kind in ((refuse, purerpc.PermissionDeniedError), (forget, purerpc.InternalError)):
        async with connect(nursery, server, interceptors=[interceptor]) as channel:
            with pytest.raises(kind):
                async with open_call(channel, "echo"):
                    pytest.fail("begun")
            assert server.statistics().calls == 0


async def test_one_that_fails_after_the_call_costs_nothing(
    nursery: trio.Nursery, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def late(call: Call, proceed: Proceed) -> None:
        await proceed()
        raise ValueError("a bug")

    async with connect(nursery, server, interceptors=[late]) as channel:
        assert await ask(channel, "echo", b"x") == [b"x"]
        await wait_all_tasks_blocked()
        assert await ask(channel, "echo", b"x") == [b"x"]
    assert "an interceptor around <ClientCall /test.Echo/echo" in caplog.text


async def test_starting_can_be_cancelled(nursery: trio.Nursery, server: Server) -> None:
    async def slow(call: Call, proceed: Proceed) -> None:
        await trio.sleep_forever()

    async with connect(nursery, server, interceptors=[slow]) as channel:
        with trio.move_on_after(0.01) as scope:
            async with open_call(channel, "echo"):
                pytest.fail("begun")
        assert scope.cancelled_caught


async def test_a_deadline_around_the_call_is_sent(nursery: trio.Nursery) -> None:
    got: list[float] = []

    async def who(message: Any, request: Any) -> Any:
        got.append(request.timeout.total_seconds())
        return message

    async def plain(call: Call, proceed: Proceed) -> None:
        await proceed()

    server = server_of("who", purerpc.Cardinality.UNARY_UNARY, who)
    async with connect(nursery, server, interceptors=[plain]) as channel:
        with trio.fail_after(50):
            await ask(channel, "who", b"x")
    assert got == [pytest.approx(50, abs=1)]
