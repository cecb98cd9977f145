"""Reading and writing of messages, by a server's handler; a client's end is the same code."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.rpc.desk import KB, WINDOW, Desk, Giver, letters
from tests.rpc.echo import echo_server, open_call, value
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
            3,
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
