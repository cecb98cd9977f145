"""Unary handlers that are plain functions: called in the read pass, answered at once, later, or by a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality
from trio.testing import wait_all_tasks_blocked

from ride_trio.rpc import Channel, Server
from ride_trio.rpc.prompt import Later
from tests.rpc.desk import KB
from tests.rpc.echo import NAME, ask, connect, service_of, status_of


class Desk:
    """A server with one such method, whose handler a test gives."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.asked: list[bytes] = []
        self.tasks: list[str] = []

        def wrapped(message: Any, request: Any) -> Any:
            self.asked.append(message.value)
            self.tasks.append(trio.lowlevel.current_task().name)
            return handler(message)

        service = service_of({"M": (Cardinality.UNARY_UNARY, wrapped)})
        service.prompt_methods = {"M"}
        self.server = Server(0)
        self.server.add_service(service)

    @property
    def in_tasks(self) -> list[bool]:
        """Whether each call had a task of its own."""
        return [name == f"/{NAME}/M" for name in self.tasks]

    def counts(self) -> dict[str, int]:
        """Calls that have ended, by status; and those that have not."""
        metrics = self.server.metrics
        ended = {labels[-1]: cell.n for labels, cell in metrics.handled.cells.items() if cell.n}
        begun = sum(cell.n for cell in metrics.started.cells.values())
        return ended | {"open": begun - sum(ended.values())}


@pytest.mark.parametrize("answer", [KB, KB.SerializeToString()], ids=["message", "bytes"])
async def test_an_answer_at_once(nursery: trio.Nursery, answer: Any) -> None:
    desk = Desk(lambda message: answer)
    async with connect(nursery, desk.server) as channel:
        assert await ask(channel, "M", b"x") == [KB.value]
    assert (desk.asked, desk.in_tasks) == ([b"x"], [False])
    assert desk.counts() == {"OK": 1, "open": 0}


async def test_an_answer_that_comes_later(nursery: trio.Nursery) -> None:
    laters: list[Later] = []
    desk = Desk(lambda message: laters.append(Later()) or laters[-1])  # type: ignore[func-returns-value]
    got: list[list[bytes]] = []

    async def client(channel: Channel) -> None:
        got.append(await ask(channel, "M", b"x"))

    async with connect(nursery, desk.server) as channel:
        async with trio.open_nursery() as clients:
            for _ in range(3):
                clients.start_soon(client, channel)
            await wait_all_tasks_blocked()
            assert (got, desk.counts()) == ([], {"open": 3})
            for later in reversed(laters):
                later.set(KB)
                later.set(BytesValue(value=b"once only"))
        assert got == [[KB.value]] * 3
    assert desk.in_tasks == [False] * 3


async def test_an_awaitable_gets_a_task(nursery: trio.Nursery) -> None:
    async def slow() -> BytesValue:
        await trio.lowlevel.checkpoint()
        return KB

    desk = Desk(lambda message: slow())
    async with connect(nursery, desk.server) as channel:
        assert await ask(channel, "M", b"x") == [KB.value]
    assert desk.counts() == {"OK": 1, "open": 0}


@pytest.mark.parametrize("result", [None, 7, object()])
async def test_what_is_no_answer(nursery: trio.Nursery, result: Any) -> None:
    async with connect(nursery, Desk(lambda message: result).server) as channel:
        assert (await status_of(channel, "M", b"x"))[0] == "UNKNOWN"


@pytest.mark.parametrize("error", [purerpc.NotFoundError("none"), ValueError("oh")])
async def test_an_error_is_the_status(nursery: trio.Nursery, error: Exception) -> None:
    def fail(message: Any) -> None:
        raise error

    desk = Desk(fail)
    async with connect(nursery, desk.server) as channel:
        status = (await status_of(channel, "M", b"x"))[0]
    assert status == ("NOT_FOUND" if isinstance(error, purerpc.NotFoundError) else "UNKNOWN")
    assert desk.counts() == {status: 1, "open": 0}


async def test_a_deadline_takes_a_task_and_ends_the_wait(nursery: trio.Nursery) -> None:
    desk = Desk(lambda message: Later())
    async with connect(nursery, desk.server) as channel:
        assert (await status_of(channel, "M", b"x", timeout_s=0.05))[0] == "DEADLINE_EXCEEDED"
        await wait_all_tasks_blocked()
    assert desk.in_tasks == [True]
    assert desk.counts()["open"] == 0


async def test_a_request_may_come_in_pieces(nursery: trio.Nursery) -> None:
    desk = Desk(lambda message: KB)
    async with (
        connect(nursery, desk.server) as channel,
        channel.open(f"/{NAME}/M", BytesValue, BytesValue) as call,
    ):
        await wait_all_tasks_blocked()  # the headers are there, alone
        await call.send(BytesValue(value=bytes(200_000)))
        await wait_all_tasks_blocked()
        assert desk.asked == []
        await call.done_sending()
        assert await call.receive() == KB
    assert desk.in_tasks == [False]


@pytest.mark.parametrize("requests", [[], [b"a", b"b"]])
async def test_another_number_of_requests_is_refused(nursery: trio.Nursery, requests: list[bytes]) -> None:
    desk = Desk(lambda message: KB)
    async with connect(nursery, desk.server) as channel:
        assert (await status_of(channel, "M", *requests))[0] == "UNIMPLEMENTED"
    assert (desk.asked, desk.counts()) == ([], {"UNIMPLEMENTED": 1, "open": 0})


async def test_a_client_that_leaves_is_not_waited_for(nursery: trio.Nursery) -> None:
    later = Later()
    desk = Desk(lambda message: later)
    async with connect(nursery, desk.server) as channel:
        async with channel.open(f"/{NAME}/M", BytesValue, BytesValue) as call:
            await call.send(KB)
            await call.done_sending()
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert desk.counts() == {"CANCELLED": 1, "open": 0}
        later.set(KB)
        assert desk.counts() == {"CANCELLED": 1, "open": 0}


async def test_a_connection_that_is_lost_ends_what_waits(nursery: trio.Nursery) -> None:
    later = Later()
    desk = Desk(lambda message: later)
    async with connect(nursery, desk.server) as channel:
        call = channel.open(f"/{NAME}/M", BytesValue, BytesValue)
        await call.start()
        await call.send(KB)
        await call.done_sending()
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert desk.counts() == {"CANCELLED": 1, "open": 0}
    later.set(KB)


async def test_an_answer_larger_than_the_windows_goes_out_by_a_task(nursery: trio.Nursery) -> None:
    large = BytesValue(value=bytes(1_000_000))
    desk = Desk(lambda message: large)
    async with connect(nursery, desk.server) as channel:
        assert await ask(channel, "M", b"x") == [large.value]
    assert desk.counts() == {"OK": 1, "open": 0}
