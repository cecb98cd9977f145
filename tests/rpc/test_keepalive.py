from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Keepalive
from ride_trio.wire.events import StreamReset
from tests.rpc.echo import connect, echo_server, open_call
from tests.rpc.peers import RawClient


async def test_a_quiet_client_that_answers_is_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = echo_server(keepalive=Keepalive(time_s=30, timeout_s=10))
    async with connect(nursery, server) as channel, open_call(channel, "hangs") as call:
        await trio.sleep(1_000)
        assert call.status is None
        assert server.statistics().calls == 1


async def test_a_client_that_has_gone_without_a_word_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = echo_server(keepalive=Keepalive(time_s=30, timeout_s=10))
    client = await RawClient(nursery, server).shake_hands()
    client.open("hangs")
    await client.send()
    await wait_all_tasks_blocked()
    start = trio.current_time()
    await client.stream.receive_stream.receive_some()  # type: ignore[attr-defined]  # the ping, and no answer
    assert trio.current_time() - start <= 30
    assert server.statistics().calls == 1
    while await client.stream.receive_some():
        pass
    assert 30 < trio.current_time() - start <= 70
    assert server.statistics().calls == 0
    assert not any(isinstance(event, StreamReset) for event in client.events)
