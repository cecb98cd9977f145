"""A channel and several servers, over real sockets on loopback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from ride_trio.rpc import Backoff, Channel, Connectivity, ConsistentHash, Keepalive, Listener, RoundRobin, Server
from ride_trio.rpc import channel as channel_module
from ride_trio.wire.frames import MAX_STREAM_ID
from tests.rpc.desk import until as eventually
from tests.rpc.echo import NAME, echo_server, open_call, server_of, value
from tests.rpc.streams import HangingStream

QUICK = Backoff(initial_s=0.01, max_s=0.05)
PATIENCE_S = 5


class Town:
    """Servers that say their names, on ports of their own or on addresses of their own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.scopes: dict[str, trio.CancelScope] = {}
        self.ports: dict[str, int] = {}

    async def open(self, name: str, port: int = 0, host: str = "127.0.0.1") -> int:
        async def who(message: BytesValue) -> BytesValue:
            return value(name.encode())

        server = server_of("who", purerpc.Cardinality.UNARY_UNARY, who)
        server.port, server.host = port, host
        self.ports[name] = await self._nursery.start(self._serve, name, server)
        return self.ports[name]

    async def _serve(self, name: str, server: Server, *, task_status: trio.TaskStatus[int]) -> None:
        with trio.CancelScope() as self.scopes[name]:
            await server.serve_async(task_status=task_status)

    def close(self, name: str) -> None:
        self.scopes[name].cancel()

    def target(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())


@pytest.fixture
def town(nursery: trio.Nursery) -> Town:
    return Town(nursery)


async def ask(channel: Channel, **options: Any) -> str:
    with trio.fail_after(PATIENCE_S):
        async with channel.open(f"/{NAME}/who", BytesValue, BytesValue, **options) as call:
            await call.send(BytesValue())
            await call.done_sending()
            answer = await call.receive()
            assert answer is not None
            return answer.value.decode()


async def until(channel: Channel, state: Connectivity) -> None:
    with trio.fail_after(PATIENCE_S):
        while channel.state is not state:
            await channel.wait_for_state_change(channel.state)


async def test_the_first_server_that_takes_connections_has_the_calls(town: Town) -> None:
    for name in "abc":
        await town.open(name)
    town.close("a")
    async with Channel(town.target(), backoff=QUICK) as channel:
        assert [await ask(channel) for _ in range(3)] == ["b", "b", "b"]
        town.close("b")
        await until(channel, Connectivity.IDLE)
        assert await ask(channel) == "c"
        town.close("c")
        await until(channel, Connectivity.IDLE)
        with pytest.raises(purerpc.UnavailableError, match=r"cannot connect to .*; cannot connect to .*; cannot conn"):
            await ask(channel)
        assert channel.state is Connectivity.TRANSIENT_FAILURE
        await town.open("a", town.ports["a"])
        assert await ask(channel, wait_for_ready=True) == "a"


async def test_round_robin(town: Town) -> None:
    for name in "abc":
        await town.open(name)
    async with Channel(town.target(), policy=RoundRobin(), backoff=QUICK) as channel:
        with trio.fail_after(PATIENCE_S):
            while {await ask(channel) for _ in range(3)} != {"a", "b", "c"}:
                pass  # until all are connected
        assert Counter([await ask(channel) for _ in range(30)]) == {"a": 10, "b": 10, "c": 10}
        town.close("b")
        with trio.fail_after(PATIENCE_S):
            while "b" in (answers := {await answer(channel) for _ in range(10)}):
                pass
        assert answers == {"a", "c"}
        await town.open("b", town.ports["b"])
        with trio.fail_after(PATIENCE_S):
            while "b" not in {await ask(channel) for _ in range(3)}:
                pass


async def answer(channel: Channel) -> str:
    """Who answers; a call that was under way to a server that ends is lost."""
    try:
        return await ask(channel)
    except purerpc.UnavailableError:
        return "b"


async def test_consistent_hash(town: Town) -> None:
    for name in "abc":
        await town.open(name)
    keys = [[("user-id", f"user-{number}")] for number in range(30)]
    async with Channel(town.target(), policy=ConsistentHash("user-id"), backoff=QUICK) as channel:
        homes = [await ask(channel, metadata=key) for key in keys]
        assert set(homes) == {"a", "b", "c"}
        assert [await ask(channel, metadata=key) for key in keys] == homes
        town.close("b")
        await trio.sleep(0.05)
        now = [await ask(channel, metadata=key) for key in keys]
        assert [home for home in now if home == "b"] == []
        assert all(home == before for home, before in zip(now, homes, strict=True) if before != "b")


class Names:
    """A resolver whose one name has the addresses that the test says."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.lookups = 0

    async def getaddrinfo(self, host: object, port: object, *_: object) -> list[tuple[object, ...]]:
        self.lookups += 1
        if not self.addresses:
            raise OSError(-2, "Name or service not known")
        hosts = self.addresses if host == b"ride.test" else [host.decode() if isinstance(host, bytes) else host]
        return [(2, 1, 6, "", (address, port)) for address in hosts]


async def test_names_are_looked_up_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "RESOLVE_EVERY_S", 0.01)
    monkeypatch.setattr(channel_module, "RESOLVE_AGAIN_S", 0.01)
    names = Names("127.0.0.1", "127.0.0.2")
    trio.socket.set_custom_hostname_resolver(names)  # type: ignore[arg-type]
    port = await town.open("one")
    await town.open("two", port, "127.0.0.2")
    await town.open("three", port, "127.0.0.3")
    async with Channel(f"dns:///ride.test:{port}", policy=RoundRobin(), backoff=QUICK) as channel:
        with trio.fail_after(PATIENCE_S):
            while {await ask(channel) for _ in range(2)} != {"one", "two"}:
                pass
            names.addresses = ["127.0.0.3", "127.0.0.2"]
            while {await ask(channel) for _ in range(2)} != {"two", "three"}:
                pass
        names.addresses = []  # the name servers are gone: what was known is still right
        await trio.sleep(0.05)
        assert {await ask(channel) for _ in range(2)} == {"two", "three"}


async def test_names_are_looked_up_again_when_one_server_of_several_is_lost(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "RESOLVE_AGAIN_S", 0.01)
    names = Names("127.0.0.1", "127.0.0.2")
    trio.socket.set_custom_hostname_resolver(names)  # type: ignore[arg-type]
    port = await town.open("one")
    await town.open("two", port, "127.0.0.2")
    await town.open("three", port, "127.0.0.3")
    async with Channel(f"ride.test:{port}", policy=RoundRobin(), backoff=QUICK) as channel:
        with trio.fail_after(PATIENCE_S):
            while {await ask(channel) for _ in range(2)} != {"one", "two"}:
                pass
            await trio.sleep(0.1)
            assert names.lookups == 1
            names.addresses = ["127.0.0.3", "127.0.0.2"]
            town.close("one")
            while {await answer(channel) for _ in range(2)} != {"two", "three"}:
                pass
    assert names.lookups < 5


async def test_a_name_that_is_not_known_yet_is_asked_for_again_soon(town: Town) -> None:
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)  # type: ignore[arg-type]
    port = await town.open("one")
    async with Channel(f"ride.test:{port}", policy=RoundRobin(), backoff=QUICK, wait_for_ready=True) as channel:
        await until(channel, Connectivity.TRANSIENT_FAILURE)
        names.addresses = ["127.0.0.1"]
        assert await ask(channel) == "one"


async def test_a_name_that_nobody_knows() -> None:
    trio.socket.set_custom_hostname_resolver(Names())  # type: ignore[arg-type]
    with pytest.raises(purerpc.UnavailableError, match=r"cannot look up ride.test: Name or service not known"):
        async with Channel("ride.test:1", policy=RoundRobin()):
            pytest.fail("connected")


async def test_a_server_that_is_taken_out_keeps_its_calls(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "RESOLVE_EVERY_S", 0.01)
    monkeypatch.setattr(channel_module, "RESOLVE_AGAIN_S", 0.01)
    names = Names("127.0.0.1")
    trio.socket.set_custom_hostname_resolver(names)  # type: ignore[arg-type]
    old, new = echo_server(), echo_server()
    old.host, new.host = "127.0.0.1", "127.0.0.2"
    new.port = old.port = await nursery.start(old.serve_async)
    await nursery.start(new.serve_async)
    async with Channel(f"ride.test:{old.port}", policy=RoundRobin()) as channel, open_call(channel, "echo") as call:
        await call.send(value(b"1"))
        names.addresses = ["127.0.0.2"]
        await eventually(lambda: bool(new.statistics().connections))
        with trio.fail_after(PATIENCE_S):
            await call.send(value(b"2"))
            assert [await call.receive() for _ in range(2)] == [value(b"1"), value(b"2")]
            await call.done_sending()
            assert (await call.wait_status()).int_value == 0
        await eventually(lambda: not old.statistics().connections)


async def test_wait_for_ready(town: Town, nursery: trio.Nursery) -> None:
    port = await town.open("late")
    town.close("late")
    await trio.sleep(0.01)
    async with Channel("127.0.0.1", port, backoff=QUICK, wait_for_ready=True) as channel:
        answers: list[str] = []

        async def wait() -> None:
            answers.append(await ask(channel))

        nursery.start_soon(wait)
        await until(channel, Connectivity.TRANSIENT_FAILURE)
        with pytest.raises(purerpc.UnavailableError, match="cannot connect"):
            await ask(channel, wait_for_ready=False)
        with pytest.raises(purerpc.DeadlineExceededError, match="before there was a connection"):
            await ask(channel, timeout_s=0.05)
        assert not answers
        await town.open("late", port)
        await until(channel, Connectivity.READY)
        await eventually(lambda: bool(answers))


async def test_a_connection_whose_stream_ids_are_used_up_is_followed_by_another(
    nursery: trio.Nursery, town: Town
) -> None:
    await town.open("a")
    async with Channel(town.target(), backoff=QUICK) as channel:
        (subchannel,) = channel._subchannels.values()
        assert subchannel.link is not None
        subchannel.link.client._next_stream_id = MAX_STREAM_ID - 2  # a thousand million calls later
        assert [await ask(channel, wait_for_ready=True) for _ in range(4)] == ["a"] * 4


async def test_a_unix_socket(nursery: trio.Nursery, tmp_path: Path) -> None:
    server = echo_server(also=[Listener(path=str(tmp_path / "s"))], host="127.0.0.1")
    await nursery.start(server.serve_async)
    async with Channel(f"unix:{tmp_path}/s") as channel, open_call(channel, "echo") as call:
        await call.send(value(b"x"))
        assert await call.receive() == value(b"x")


async def test_the_state_can_be_watched(town: Town) -> None:
    port = await town.open("a")
    channel = Channel("127.0.0.1", port, backoff=QUICK)
    assert channel.state is Connectivity.IDLE
    async with channel:
        assert channel.state is Connectivity.READY
        town.close("a")
        assert await channel.wait_for_state_change(Connectivity.READY) is Connectivity.IDLE
        channel.connect()
        assert await channel.wait_for_state_change(Connectivity.IDLE) is Connectivity.CONNECTING
        assert await channel.wait_for_state_change(Connectivity.CONNECTING) is Connectivity.TRANSIENT_FAILURE
    assert channel.state is Connectivity.SHUTDOWN
    with pytest.raises(purerpc.UnavailableError, match="this channel is closed"):
        await ask(channel)


async def test_a_server_that_does_not_answer_pings_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    stream = HangingStream(b"\0\0\0\4\0\0\0\0\0", swallows=True)  # SETTINGS, and then nothing
    keepalive = Keepalive(time_s=30, timeout_s=10)
    async with Channel("memory", 0, stream=stream, keepalive=keepalive) as channel, open_call(channel) as call:
        began = trio.current_time()
        status = await call.wait_status()
        assert "no answer to a keepalive ping for 10 s" in status.status_message
        assert trio.current_time() - began in (40, 70)  # what the server said at first may count
