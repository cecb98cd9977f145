"""Reading and writing of messages, by a server's handler; a client's end is the same code."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import purerpc
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Channel, Limits
from ride_trio.wire import ErrorCode
from tests.rpc.desk import KB, WINDOW, Desk, Giver, letters
from tests.rpc.echo import bidi, echo_server, open_call, value
from tests.rpc.peers import RawClient

# ---------------------------------------------------------------- receiving


async def test_messages_come_in_order_and_then_none(desk: Desk) -> None:
    client = await desk.client(*letters("abc"))
    await client.done_sending()
    assert [message.value async for message in desk.call] == [b"a", b"b", b"c"]
    assert await desk.call.receive() is None
    assert await desk.call.receive() is None


async def test_a_handler_that_does_not_read_stops_its_peer_and_no_other(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    sent = 0

    async def send_for_ever() -> None:
        nonlocal sent
        while True:
            await client.send(KB)
            sent += 1

    nursery.start_soon(send_for_ever)
    await wait_all_tasks_blocked()
    assert WINDOW // 1_100 < sent <= WINDOW // 1_000 + 1
    assert desk.call.stream.held <= WINDOW + 1_008  # a message that has begun may come whole
    async with open_call(client._channel) as other:  # the same connection
        await other.send(KB)
        await wait_all_tasks_blocked()
        assert await desk.call.receive() == KB
    before = sent
    assert desk.call.statistics()["inbox"] == 0
    await wait_all_tasks_blocked()
    assert sent == before


async def test_reading_lets_the_peer_go_on(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    total = 5 * WINDOW // 1_000

    async def send_all() -> None:
        for _ in range(total):
            await client.send(KB)
        await client.done_sending()

    nursery.start_soon(send_all)
    assert [message.value async for message in desk.call] == [KB.value] * total


async def test_a_message_of_many_windows(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    large = value(bytes(range(250)) * 12_000)  # 3 MB
    nursery.start_soon(client.send, large)
    assert await desk.call.receive() == large
    nursery.start_soon(desk.call.send, large)
    assert await client.receive() == large


async def test_a_hung_receive_can_be_cancelled_and_taken_up_again(desk: Desk, autojump_clock: MockClock) -> None:
    client = await desk.client()
    for end in (desk.call, client):
        with trio.move_on_after(1) as scope:
            await end.receive()
        assert scope.cancelled_caught
    await client.send(KB)
    assert await desk.call.receive() == KB
    await desk.call.send(KB)
    assert await client.receive() == KB


async def test_only_one_task_may_receive(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    nursery.start_soon(client.receive)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await client.receive()


async def test_undecodable_bytes_end_the_call(nursery: trio.Nursery) -> None:
    client = await RawClient(nursery, echo_server()).shake_hands()
    for method in ("unary", "join", "echo", "echo_call"):
        stream = client.open(method, b"\xff\xff", end=True)
        trailers = await client.status(stream)
        assert (trailers.code, trailers.message) == (
            13,
            "a message of 2 bytes is not a valid google.protobuf.BytesValue",
        )


# ---------------------------------------------------------------- sending


async def test_a_peer_that_does_not_read_stops_the_handler_and_no_other(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    sent = 0

    async def send_for_ever() -> None:
        nonlocal sent
        while True:
            await call.send(KB)
            sent += 1

    call = desk.call
    nursery.start_soon(send_for_ever)
    await wait_all_tasks_blocked()
    assert WINDOW // 1_100 < sent <= WINDOW // 1_000 + 1
    assert len(call.stream.pending or b"") < 1_100
    before = sent
    async with open_call(client._channel) as other:
        await wait_all_tasks_blocked()
        await desk.call.send(KB)
        assert await other.receive() == KB
    assert call.statistics()["pending_bytes"] > 0
    for _ in range(before):
        await client.receive()
    await wait_all_tasks_blocked()
    assert sent > before


async def test_a_hung_send_can_be_cancelled(desk: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = await desk.client()
    for end in (desk.call, client):
        start = trio.current_time()
        with trio.move_on_after(1) as scope:
            while True:
                await end.send(KB)
        assert scope.cancelled_caught
        assert trio.current_time() - start == pytest.approx(1)
    with trio.move_on_after(1) as scope:
        await client.done_sending()
    assert scope.cancelled_caught
    client.cancel()
    await wait_all_tasks_blocked()
    assert desk.error is not None


async def test_send_nowait_says_when_it_would_have_to_wait(desk: Desk) -> None:
    client = await desk.client()
    accepted = 0
    while client.send_nowait(KB):
        accepted += 1
    assert accepted == WINDOW // 1_008 + 1  # the last one in part
    await wait_all_tasks_blocked()
    assert not client.send_nowait(KB)
    for _ in range(accepted):
        assert await desk.call.receive() == KB
    await wait_all_tasks_blocked()
    assert client.send_nowait(KB)


async def test_nothing_is_sent_after_the_end(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    await client.done_sending()
    await client.done_sending()
    assert not client.send_nowait(KB)
    with pytest.raises(trio.ClosedResourceError):
        await client.send(KB)
    client.set_source(Giver(b"late"))
    client.wake_source()
    with trio.fail_after(1):
        await client.flush_source()
    assert await desk.call.receive() is None
    desk.leave.set()
    assert (await client.wait_status()).status_code.name == "OK"
    with pytest.raises(trio.ClosedResourceError):
        await desk.call.send(KB)
    assert not desk.call.send_nowait(KB)


async def test_encoded_messages_are_sent_as_they_are(desk: Desk) -> None:
    client = await desk.client()
    await desk.call.send_encoded(KB.SerializeToString())
    assert await client.receive() == KB


async def test_sends_that_are_cancelled_do_not_pile_up(desk: Desk, autojump_clock: MockClock) -> None:
    client = await desk.client()
    for end in (desk.call, client):
        for _ in range(300):
            with trio.move_on_after(0.1):
                await end.send(value(bytes(10_000)))
        assert end.statistics()["pending_bytes"] < 10_100


async def test_many_senders_queue_one_message_and_keep_their_order(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    largest = 0

    async def send(number: int) -> None:
        nonlocal largest
        await desk.call.send(value(b"%d" % number + bytes(10_000)))
        largest = max(largest, desk.call.statistics()["pending_bytes"])

    for number in range(100):
        nursery.start_soon(send, number)
        await trio.lowlevel.checkpoint()  # trio starts tasks in any order
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert 0 < desk.call.statistics()["pending_bytes"] < 10_100
    received = [int((await client.receive()).value.rstrip(b"\0")) for _ in range(100)]
    assert received == list(range(100))
    assert largest < 10_100
    await wait_all_tasks_blocked()
    await desk.call.send(KB)  # nobody waits any more
    assert await client.receive() == KB


async def test_a_sender_that_waits_for_its_turn_hears_of_the_end(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    closed: list[bool] = []

    async def send() -> None:
        try:
            await client.send(value(bytes(WINDOW)))
            closed.append(False)
        except (trio.ClosedResourceError, purerpc.CancelledError):
            closed.append(True)

    for _ in range(4):
        nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert not closed[1:]
    client.cancel()
    await wait_all_tasks_blocked()
    assert closed.count(True) >= 2
    assert len(closed) == 4


async def test_who_sends_without_a_pause_lets_others_run(nursery: trio.Nursery) -> None:
    """The peer's windows are always open and the socket takes all: only `write_high_water` is there to stop it."""
    rounds = 0

    async def handler(call: Any) -> None:
        for _ in range(200):
            await call.send(value(bytes(10_000)))
            if not rounds:
                sent.append(1)

    async def other() -> None:
        nonlocal rounds
        while True:
            await trio.lowlevel.checkpoint()
            if sent:
                rounds += 1

    sent: list[int] = []
    server = bidi(handler, limits=Limits(write_high_water=30_000))
    port = await nursery.start(server.serve_async)
    wide = Limits(stream_window=4_000_000, connection_window=4_000_000)
    async with (
        Channel("127.0.0.1", port, limits=wide) as channel,
        trio.open_nursery() as others,
        open_call(channel) as call,
    ):
        others.start_soon(other)
        assert len([message async for message in call]) == 200
        others.cancel_scope.cancel()
    assert 0 < len(sent) < 10


# ---------------------------------------------------------------- giving up, being given up


async def test_iteration_ends_when_it_is_closed(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client(*letters("abc"))
    for end in (desk.call, client):
        ended = trio.Event()
        if end is desk.call:
            assert await end.receive() == value(b"a")

        async def read(end: Any = end, ended: trio.Event = ended) -> None:
            async with aclosing(end):
                await end.aclose()
            assert [message async for message in end] == []
            assert await end.receive() is None
            ended.set()

        nursery.start_soon(read)
        with trio.fail_after(1):
            await ended.wait()
    await desk.call.send(KB)  # the call lives on
    desk.leave.set()
    assert (await client.wait_status()).status_code.name == "OK"


async def test_a_reader_that_waits_is_woken_by_the_closing(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    for end in (desk.call, client):
        async with trio.open_nursery() as readers:
            readers.start_soon(_read_nothing, end)
            await wait_all_tasks_blocked()
            await end.aclose()


async def _read_nothing(end: Any) -> None:
    assert await end.receive() is None


ENDS = ["reset", "connection lost", "connection cancelled"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("waits", ["receive", "iterate", "send", "wait_sent", "flush_source"])
async def test_a_shielded_wait_ends_with_its_stream(end: str, waits: str, autojump_clock: MockClock) -> None:
    lasted: list[float] = []
    errors: list[Exception] = []

    async def clean_up(call: Any) -> None:
        try:
            if waits == "receive":
                await call.receive()
            elif waits == "iterate":
                assert [message async for message in call] == []
            elif waits == "flush_source":
                call.set_source(lambda: KB.SerializeToString())
                await call.flush_source()
            else:
                await call.send(value(bytes(2 * WINDOW)))
                await (call.wait_sent() if waits == "wait_sent" else call.send(KB))
        except trio.ClosedResourceError as error:
            errors.append(error)

    async def handler(call: Any) -> None:
        start = trio.current_time()
        with trio.move_on_after(60, shield=True):
            await clean_up(call)
            lasted.append(trio.current_time() - start)

    server = bidi(handler)
    async with trio.open_nursery() as nursery:
        client = await RawClient(nursery, server, Limits()).shake_hands()
        stream = client.open()
        await client.send()
        await wait_all_tasks_blocked()
        if end == "reset":
            client.wire.reset(stream, ErrorCode.CANCEL)
            await client.send()
        elif end == "connection lost":
            await client.stream.aclose()
        else:
            nursery.cancel_scope.cancel()
        with trio.move_on_after(1, shield=True):
            await wait_all_tasks_blocked(0.01)
        assert lasted == [pytest.approx(0, abs=0.1)]
        assert len(errors) == (waits in ("receive", "iterate", "send"))
        nursery.cancel_scope.cancel()


async def test_who_can_be_cancelled_is_cancelled_and_does_not_see_an_error(nursery: trio.Nursery) -> None:
    seen: list[type[BaseException]] = []

    async def handler(call: Any) -> None:
        try:
            await call.receive()
        except BaseException as error:
            seen.append(type(error))
            raise

    server = bidi(handler)
    for end in ("reset", "lost"):
        client = await RawClient(nursery, server).shake_hands()
        stream = client.open()
        await client.send()
        await wait_all_tasks_blocked()
        if end == "reset":
            client.wire.reset(stream, ErrorCode.CANCEL)
            await client.send()
        else:
            await client.stream.aclose()
        await wait_all_tasks_blocked()
    assert seen == [trio.Cancelled, trio.Cancelled]
