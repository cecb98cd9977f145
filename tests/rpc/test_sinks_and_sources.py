"""The synchronous path of a call's messages: sinks for what comes, sources for what goes."""

from __future__ import annotations

from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.rpc.desk import KB, WINDOW, Desk, Giver, Taker, letters, settle, socket_client, until
from tests.rpc.echo import bidi, connect, open_call, value
from tests.rpc.peers import RawClient

# ---------------------------------------------------------------- sinks


async def test_a_sink_gets_what_is_there_and_what_comes_and_the_end_once(desk: Desk) -> None:
    client = await desk.client(*letters("ab"))
    sink = Taker()
    desk.call.set_sink(sink)
    assert sink.taken == [b"a", b"b"]
    await client.send(value(b"c"))
    await client.done_sending()
    await wait_all_tasks_blocked()
    assert sink.taken == [b"a", b"b", b"c", None]
    desk.call.resume()
    assert sink.taken[-2:] == [b"c", None]
    assert desk.server.metrics.received("bidi_stream", "test.Echo", "Bidi").n == 3


async def test_a_sink_that_holds_is_offered_the_same_message_again(desk: Desk) -> None:
    client = await desk.client(*letters("abcd"))
    await client.done_sending()
    await wait_all_tasks_blocked()
    sink = Taker(room=1)
    desk.call.set_sink(sink)
    assert sink.taken == [b"a"]
    await wait_all_tasks_blocked()
    assert sink.taken == [b"a"]
    sink.room = 2
    desk.call.resume()
    assert sink.taken == [b"a", b"b", b"c"]
    sink.room = 10
    desk.call.resume()
    assert sink.taken == [b"a", b"b", b"c", b"d", None]


async def test_a_sink_that_holds_stops_the_peer_and_another_task_may_resume(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    sink = Taker(room=0)
    desk.call.set_sink(sink)
    total = 3 * WINDOW // 1_000
    sent = 0

    async def send_all() -> None:
        nonlocal sent
        for _ in range(total):
            await client.send(KB)
            sent += 1

    async def resume() -> None:
        sink.room = 1_000_000
        desk.call.resume()

    nursery.start_soon(send_all)
    await wait_all_tasks_blocked()
    assert sent <= WINDOW // 1_000 + 1
    assert desk.call.stream.held <= WINDOW + 1_008  # a message that has begun may come whole
    nursery.start_soon(resume)
    await wait_all_tasks_blocked()
    assert sink.taken == [KB.value] * total


async def test_a_sink_may_follow_on_receive(desk: Desk, nursery: trio.Nursery) -> None:
    """What `receive` had taken beforehand is neither lost nor given back to the window twice."""
    client = await desk.client(*letters("abcd"))
    assert (await desk.call.receive() or KB).value == b"a"
    sink = Taker(room=1)
    desk.call.set_sink(sink)
    assert sink.taken == [b"b"]
    await client.send(value(b"e"))
    await wait_all_tasks_blocked()
    sink.room = 2
    desk.call.resume()
    assert sink.taken == [b"b", b"c", b"d"]
    sink.room = 100
    desk.call.resume()
    assert sink.taken == [b"b", b"c", b"d", b"e"]
    stream = desk.call.stream
    assert (stream.held, stream.recv_window + stream.to_credit) == (0, WINDOW)
    assert desk.server.metrics.received("bidi_stream", "test.Echo", "Bidi").n == 5


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (purerpc.AbortedError("enough"), ("ABORTED", "enough")),
        (ValueError("secret"), ("UNKNOWN", "the handler failed; the server's log says why")),
    ],
)
async def test_what_a_sink_raises_ends_the_call(desk: Desk, error: Exception, ended: tuple[str, str]) -> None:
    def sink(message: BytesValue | None) -> bool:
        calls.append(message)
        raise error

    calls: list[BytesValue | None] = []
    client = await desk.client(*letters("ab"))
    desk.call.set_sink(sink)
    status = await client.wait_status()
    assert (status.status_code.name, status.status_message) == ended
    assert desk.error is not None
    desk.call.resume()
    assert calls == [value(b"a")]


async def test_a_sink_of_undecodable_bytes_ends_the_call(nursery: trio.Nursery) -> None:
    async def handler(call: Any) -> None:
        call.set_sink(sink)
        await trio.sleep_forever()

    sink = Taker()
    client = await RawClient(nursery, bidi(handler)).shake_hands()
    stream = client.open("Bidi", value(b"a").SerializeToString(), b"\xff\xff", value(b"b").SerializeToString())
    assert (await client.status(stream)).code == 13
    assert sink.taken == [b"a"]


async def test_a_sink_that_wakes_the_source_is_answered_in_the_same_pass(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    giver = Giver()

    def sink(message: BytesValue | None) -> bool:
        if message is not None:
            giver.queue.append(message.value.upper())
            desk.call.wake_source()
        return True

    desk.call.set_source(giver)
    desk.call.set_sink(sink)
    for letter in letters("abc"):
        await client.send(letter)
    assert [(await client.receive()).value for _ in range(3)] == [b"A", b"B", b"C"]


# ---------------------------------------------------------------- sources


async def test_a_source_is_pulled_until_it_is_empty(desk: Desk) -> None:
    client = await desk.client()
    giver = Giver(b"a", b"b")
    desk.call.set_source(giver)
    await wait_all_tasks_blocked()
    assert len(giver.queue) == 2  # nobody has woken it
    desk.call.wake_source()
    assert [(await client.receive()).value for _ in range(2)] == [b"a", b"b"]
    giver.queue += [b"c"]
    desk.call.wake_source()
    desk.call.wake_source()
    assert (await client.receive()).value == b"c"
    assert desk.server.metrics.sent("bidi_stream", "test.Echo", "Bidi").n == 3


async def test_a_source_may_be_woken_before_it_is_set(desk: Desk) -> None:
    client = await desk.client()
    desk.call.wake_source()
    await wait_all_tasks_blocked()
    desk.call.set_source(Giver(b"a"))
    with trio.fail_after(1):
        assert (await client.receive()).value == b"a"


@pytest.mark.parametrize("over_sockets", [False, True])
async def test_a_source_stops_at_a_shut_window_and_goes_on_when_it_opens(
    desk: Desk, nursery: trio.Nursery, over_sockets: bool
) -> None:
    total = 4 * WINDOW // 1_000
    giver = Giver(*[KB.value] * total)
    client = await (socket_client(desk) if over_sockets else desk.client())
    desk.call.set_source(giver)
    desk.call.wake_source()
    await until(lambda: len(giver.queue) < total)
    await settle()
    assert total - len(giver.queue) <= WINDOW // 1_000 + 1
    assert len(desk.call.stream.pending or b"") <= 1_100
    for _ in range(total):
        assert await client.receive() == KB
    assert not giver.queue


async def test_draining_a_source_takes_what_the_window_allows_at_once(desk: Desk) -> None:
    client = await desk.client()
    giver = Giver(b"a", b"b")
    desk.call.set_source(giver)
    desk.call.drain_source()
    assert not giver.queue
    giver.queue += [KB.value] * 100
    desk.call.drain_source()
    assert 30 < len(giver.queue) < 40
    assert (await client.receive()).value == b"a"


async def test_flushing_a_source_waits_until_all_of_it_is_out(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    giver = Giver(*[KB.value] * 100)
    desk.call.set_source(giver)
    flushed = trio.Event()

    async def flush() -> None:
        await desk.call.flush_source()
        flushed.set()

    nursery.start_soon(flush)
    await wait_all_tasks_blocked()
    assert giver.queue
    assert not flushed.is_set()
    for _ in range(100):
        await client.receive()
    await wait_all_tasks_blocked()
    assert flushed.is_set()
    assert not giver.queue


async def test_flushing_can_be_cancelled_and_without_a_source_returns(desk: Desk, autojump_clock: MockClock) -> None:
    await desk.client()
    await desk.call.flush_source()
    desk.call.set_source(Giver(*[KB.value] * 100))
    with trio.move_on_after(1) as scope:
        await desk.call.flush_source()
    assert scope.cancelled_caught


async def test_what_a_source_raises_ends_the_call(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def pull() -> bytes:
        raise ValueError("secret")

    client = await desk.client()
    desk.call.set_source(pull)
    desk.call.wake_source()
    assert (await client.wait_status()).status_code.name == "UNKNOWN"
    assert "secret" in caplog.text


async def test_a_source_that_wakes_itself_comes_again_and_holds_up_nobody(desk: Desk, nursery: trio.Nursery) -> None:
    client = await desk.client()
    numbers = iter(range(50))

    def pull() -> bytes | None:
        number = next(numbers, None)
        if number is None or number % 5 == 4:  # a breath between any four
            if number is not None:
                desk.call.wake_source()
            return None
        return value(b"%d" % number).SerializeToString()

    desk.call.set_source(pull)
    desk.call.wake_source()
    with trio.fail_after(1):
        got = [int((await client.receive()).value) for _ in range(40)]
    assert got == [number for number in range(50) if number % 5 != 4]


async def test_room_made_by_a_source_is_offered_to_a_sink_that_holds(desk: Desk) -> None:
    """A sink that has no room for its answer holds; it goes on when the source has been pulled."""
    client = await desk.client()
    giver = Giver()

    def sink(message: BytesValue | None) -> bool:
        if message is None:
            return True
        if len(giver.queue) == 2:
            desk.call.wake_source()
            return False
        giver.queue.append(message.value)
        desk.call.wake_source()
        return True

    desk.call.set_source(giver)
    for letter in letters("abcdefg"):
        await client.send(letter)
    await wait_all_tasks_blocked()
    desk.call.set_sink(sink)
    assert [(await client.receive()).value for _ in range(7)] == [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]


async def test_after_the_handler_has_returned_neither_sink_nor_source_is_called(nursery: trio.Nursery) -> None:
    sink, calls, leaving = Taker(), [], trio.Event()
    giver = Giver(*[bytes(WINDOW // 3)] * 9)

    async def handler(call: Any) -> None:
        calls.append(call)
        call.set_sink(sink)
        call.set_source(giver)
        call.wake_source()
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await call.send(KB)  # is pending
        leaving.set()

    async with connect(nursery, bidi(handler)) as channel, open_call(channel) as call:
        await leaving.wait()
        await wait_all_tasks_blocked()
        pulled = 9 - len(giver.queue)
        assert 0 < pulled < 9
        assert calls[0].statistics()["pending_bytes"] > 0  # the handler has returned, its call goes on
        await call.send(KB)
        calls[0].wake_source()
        assert [len(message.value) async for message in call] == [WINDOW // 3] * pulled + [len(KB.value)]
        assert len(giver.queue) == 9 - pulled
        assert sink.taken == []
