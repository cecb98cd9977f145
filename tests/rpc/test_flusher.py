from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from ride_trio.rpc import Channel, Limits
from ride_trio.rpc.flusher import Flusher, current_flusher
from ride_trio.rpc.transport import SocketTransport
from tests.rpc.desk import KB, Giver, Taker, settle, tcp_client, until
from tests.rpc.echo import ask, bidi, connect, echo_server, open_call, value


class Item:
    """Something that can be flushed, and does on that occasion what a test wants."""

    def __init__(self, action: Callable[[], None] = lambda: None) -> None:
        self.action = action
        self.flushed = trio.Event()
        self.flushes = 0
        self.errors: list[Exception] = []

    def flush(self) -> None:
        self.flushes += 1
        self.action()

    def broken(self, error: Exception) -> None:
        self.errors.append(error)
        self.flushed.set()


def test_a_run_has_one_flusher_and_the_next_run_another() -> None:
    async def main() -> Flusher:
        assert current_flusher() is current_flusher()
        return current_flusher()

    assert trio.run(main) is not trio.run(main)


async def test_what_is_marked_is_flushed_once_at_the_end_of_the_pass() -> None:
    item = Item()
    current_flusher().mark(item)
    assert item.flushes == 0
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert item.flushes == 1


async def test_the_pass_ends_after_all_tasks_that_could_run(nursery: trio.Nursery) -> None:
    item = Item()
    seen: list[int] = []

    async def mark_and_note() -> None:
        if not seen:
            current_flusher().mark(item)
        seen.append(item.flushes)

    for _ in range(20):
        nursery.start_soon(mark_and_note)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [0] * 20
    assert item.flushes == 1


async def test_an_item_that_raises_is_broken_and_the_others_are_flushed(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("no")

    bad, good = Item(fail), Item()
    current_flusher().mark(bad)
    current_flusher().mark(good)
    with trio.fail_after(1):
        await bad.flushed.wait()
    assert [str(error) for error in bad.errors] == ["no"]
    assert good.flushes == 1
    assert "failed" in caplog.text


async def test_what_is_marked_during_the_flush_does_not_wait_for_the_next_occasion() -> None:
    flusher = current_flusher()
    second = Item()
    first = Item(lambda: flusher.mark(second))
    flusher.mark(first)
    with trio.move_on_after(0.05):  # nothing else happens in this run
        await trio.sleep_forever()
    assert (first.flushes, second.flushes) == (1, 1)


async def test_many_tasks_that_send_in_one_pass_are_one_write_a_connection(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = trio.Event()
    writes: list[tuple[SocketTransport, int]] = []
    write = SocketTransport.write_nowait

    async def handler(call: Any) -> None:
        await call.start()
        await go.wait()
        await call.send(KB)
        await trio.sleep_forever()

    def spy(transport: SocketTransport, data: bytes) -> int:
        writes.append((transport, len(data)))
        return write(transport, data)

    server = bidi(handler)
    port = await nursery.start(server.serve_async)
    clients = [await tcp_client(nursery, server, port) for _ in range(3)]
    for client in clients:
        for _ in range(20):
            client.open()
        await client.send()
    await until(lambda: server.statistics().calls == 60)
    await settle()
    monkeypatch.setattr(SocketTransport, "write_nowait", spy)
    go.set()
    await settle()
    assert len(writes) == 3
    assert len({transport for transport, _ in writes}) == 3
    assert all(size > 20 * 1_000 for _, size in writes)


async def test_nothing_in_the_flush_at_the_end_of_a_pass_wakes_a_task(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio has decided by then how long it sleeps: a task that is woken there would wait for it."""
    watch = _Watch(monkeypatch)
    trio.lowlevel.add_instrument(watch)
    server = echo_server(limits=Limits(stream_window=20_000, write_high_water=10_000))
    port = await nursery.start(server.serve_async)
    async with trio.open_nursery() as busy:
        for _ in range(5):
            busy.start_soon(_talk, port)
    assert watch.flushes > 50
    assert watch.woken == []


class _Watch(trio.abc.Instrument):
    """Notes the tasks that are scheduled while a flusher works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushing = False
        self.flushes = 0
        self.woken: list[trio.lowlevel.Task] = []
        flush = Flusher.before_io_wait

        def before_io_wait(flusher: Flusher, timeout: float) -> None:
            self.flushing = True
            self.flushes += 1
            flush(flusher, timeout)
            self.flushing = False

        monkeypatch.setattr(Flusher, "before_io_wait", before_io_wait)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        if self.flushing:
            self.woken.append(task)


async def _talk(port: int) -> None:
    """Calls of all kinds: large and small, waiting for windows, driven by sinks and sources, left early."""
    async with Channel("127.0.0.1", port, limits=Limits(stream_window=20_000)) as channel:
        for method in ("echo", "echo_call", "join", "unary"):
            assert await ask(channel, method, bytes(50_000)) == [bytes(50_000)]
        for _ in range(3):
            async with open_call(channel, "echo_call") as call:
                sink = Taker()
                call.set_sink(sink)
                call.set_source(Giver(*[bytes(3_000)] * 20))
                call.wake_source()
                await call.flush_source()
                await until(lambda sink=sink: len(sink.taken) == 20)  # type: ignore[misc]


async def test_a_source_that_wakes_one_of_another_transport_is_not_forgotten(nursery: trio.Nursery) -> None:
    """A memory stream can only be written by a task, which may not be woken at the end of a pass."""
    calls: dict[str, Any] = {}

    async def handler(call: Any) -> None:
        calls[call.header("who")] = call
        await trio.sleep_forever()

    server = bidi(handler)
    port = await nursery.start(server.serve_async)
    over_memory = Giver()

    def over_socket() -> None:
        over_memory.queue.append(b"x")
        calls["memory"].wake_source()

    async with (
        Channel("127.0.0.1", port) as first,
        connect(nursery, server) as second,
        open_call(first, metadata=(("who", "socket"),)),
        open_call(second, metadata=(("who", "memory"),)) as call,
    ):
        await until(lambda: len(calls) == 2)
        for started in calls.values():
            await started.start()  # or their going out would wake the loop
        calls["memory"].set_source(over_memory)
        calls["socket"].set_source(over_socket)
        await settle()
        calls["socket"].wake_source()
        with trio.fail_after(1):
            assert await call.receive() == value(b"x")
