from __future__ import annotations

from typing import Any

import purerpc
import pytest
import trio
from purerpc import StatusCode
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc import Backoff, Channel, RetryPolicy
from ride_trio.rpc.retries import PUSHBACK, RetryingCall
from tests.rpc.desk import Taker
from tests.rpc.echo import bidi, connect, open_call, value

POLICY = RetryPolicy()


class Moody:
    """A handler that is unavailable some times, and then echoes what it has been sent.

    Args:
        refusals: How often.
        reads: Messages that it reads before it refuses.
        starts: It has sent its headers before.
        metadata: It goes with a refusal.
    """

    def __init__(self, refusals: int, reads: int = 0, *, starts: bool = False, metadata: Any = ()) -> None:
        self.refusals = refusals
        self.reads = reads
        self.starts = starts
        self.metadata = metadata
        self.calls: list[tuple[float, int]] = []

    async def __call__(self, call: Any) -> None:
        self.calls.append((trio.current_time(), call.head.previous_attempts))
        if self.starts:
            await call.start()
        if len(self.calls) <= self.refusals:
            for _ in range(self.reads):
                await call.receive()
            call.trailing_metadata = self.metadata
            raise purerpc.UnavailableError(f"mood {len(self.calls)}")
        async for message in call:
            await call.send(message)


async def echo(channel: Channel, *letters: bytes, **options: Any) -> bytes:
    async with open_call(channel, **options) as call:
        for letter in letters:
            await call.send(value(letter))
        await call.done_sending()
        return b"".join([message.value async for message in call])


def served(nursery: trio.Nursery, moody: Moody, policy: RetryPolicy | None = POLICY) -> Channel:
    return connect(nursery, bidi(moody.__call__), retry=policy)


@pytest.mark.parametrize("reads", [0, 2])
async def test_a_call_is_tried_again_with_all_that_was_sent(
    nursery: trio.Nursery, reads: int, autojump_clock: MockClock
) -> None:
    moody = Moody(3, reads)
    async with served(nursery, moody) as channel:
        assert await echo(channel, b"a", b"b", b"c") == b"abc"
    assert [attempts for _, attempts in moody.calls] == [0, 1, 2, 3]
    pauses = [after - before for (before, _), (after, _) in zip(moody.calls, moody.calls[1:], strict=False)]
    assert pauses == [pytest.approx(pause, rel=0.21) for pause in (0.1, 0.2, 0.4)]


async def test_after_the_last_attempt_its_status_is_the_calls(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    moody = Moody(10)
    async with served(nursery, moody) as channel:
        with pytest.raises(purerpc.UnavailableError, match="mood 4"):
            await echo(channel, b"a")
        assert len(moody.calls) == 4
        with pytest.raises(purerpc.UnavailableError, match="mood 6"):
            await echo(channel, b"a", retry=RetryPolicy(max_attempts=2))


async def test_without_a_policy_a_call_is_tried_once(nursery: trio.Nursery) -> None:
    moody = Moody(1)
    async with served(nursery, moody, None) as channel:
        with pytest.raises(purerpc.UnavailableError):
            await echo(channel, b"a")
        assert await echo(channel, b"a", retry=POLICY) == b"a"


@pytest.mark.parametrize("kind", ["it has answered", "much was sent", "another status", "it said never"])
async def test_when_a_call_is_not_tried_again(nursery: trio.Nursery, kind: str) -> None:
    moody = Moody(
        1,
        reads=3,
        starts=kind == "it has answered",
        metadata=[(PUSHBACK, "-1")] if kind == "it said never" else (),
    )
    policy = RetryPolicy(
        max_kept_bytes=10 if kind == "much was sent" else 1_000,
        codes=frozenset({StatusCode.ABORTED if kind == "another status" else StatusCode.UNAVAILABLE}),
    )
    async with served(nursery, moody, policy) as channel:
        with pytest.raises(purerpc.UnavailableError, match="mood 1"):
            await echo(channel, b"four", b"four", b"four")
    assert len(moody.calls) == 1


async def test_a_server_may_say_when_to_come_back(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    moody = Moody(1, metadata=[(PUSHBACK, "7000")])
    async with served(nursery, moody) as channel:
        assert await echo(channel, b"a") == b"a"
    assert moody.calls[1][0] - moody.calls[0][0] == pytest.approx(7)


async def test_a_call_with_a_sink_is_not_tried_again(nursery: trio.Nursery) -> None:
    moody, taker = Moody(1), Taker()
    async with served(nursery, moody) as channel, open_call(channel) as call:
        call.set_sink(taker)
        assert (await call.wait_status()).status_message == "mood 1"
    assert taker.taken == [None]


async def test_send_nowait_and_sources_commit(nursery: trio.Nursery) -> None:
    async with served(nursery, Moody(0)) as channel:
        for use in (lambda call: call.send_nowait(value(b"x")), lambda call: call.set_source(lambda: b"")):
            call = open_call(channel)
            assert isinstance(call, RetryingCall)
            async with call:
                use(call)
                assert call._committed


async def test_who_waits_for_an_answer_or_room_goes_on_with_the_next_attempt(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    moody, got = Moody(1, reads=1), []
    async with served(nursery, moody) as channel, open_call(channel) as call:

        async def read() -> None:
            got.extend([len(message.value) async for message in call])

        nursery.start_soon(read)
        with trio.fail_after(10):
            for _ in range(2):
                await call.send(value(bytes(100_000)))  # more than the window: it waits in the first attempt
            await call.done_sending()
            assert (await call.wait_status()).int_value == 0
        await wait_all_tasks_blocked()
        assert got == [100_000, 100_000]


async def test_between_attempts_a_call_can_be_cancelled(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    moody = Moody(10)
    async with served(nursery, moody, RetryPolicy(initial_backoff_s=1_000, max_backoff_s=1_000)) as channel:
        async with open_call(channel) as call:
            await trio.sleep(1)
            assert call.status is None
            call.cancel()
            assert (await call.wait_status()).status_code is StatusCode.CANCELLED
        async with open_call(channel, timeout_s=5) as call:
            with pytest.raises(purerpc.DeadlineExceededError):
                await call.receive()
        async with open_call(channel) as call:
            with trio.move_on_after(3) as scope:
                await call.send(value(b"x"))
                await call.receive()
            assert scope.cancelled_caught
        await trio.sleep(600)
        assert len(moody.calls) == 3
        call = open_call(channel)
        await call.start()
        await trio.sleep(1)
    assert (await call.wait_status()).status_code is StatusCode.UNAVAILABLE


ALL = RetryPolicy(codes=frozenset(set(StatusCode) - {StatusCode.OK}))


async def test_what_the_client_ends_itself_is_not_tried_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Whatever the policy says: its time is up, or nobody wants it any more."""
    began = []

    async def hangs(call: Any) -> None:
        began.append(call)
        await trio.sleep_forever()

    async with connect(nursery, bidi(hangs), retry=ALL) as channel:
        start = trio.current_time()
        async with open_call(channel, timeout_s=1) as call:
            assert (await call.wait_status()).status_code is StatusCode.DEADLINE_EXCEEDED
        assert trio.current_time() - start == pytest.approx(1)
        async with open_call(channel) as call:
            await wait_all_tasks_blocked()
        assert call.status is not None
        assert call.status.status_code is StatusCode.CANCELLED
        await trio.sleep(60)
    assert len(began) == 2


async def test_a_lost_server_costs_no_call_if_there_is_another(nursery: trio.Nursery) -> None:
    async def never(call: Any) -> None:
        await call.receive()
        first_scope.cancel()
        await trio.sleep_forever()

    first, second = bidi(never, host="127.0.0.1"), bidi(Moody(0).__call__, host="127.0.0.1")
    first_scope = trio.CancelScope()

    async def serve_first(*, task_status: trio.TaskStatus[int]) -> None:
        with first_scope:
            await first.serve_async(task_status=task_status)

    ports = await nursery.start(serve_first), await nursery.start(second.serve_async)
    target = ",".join(f"127.0.0.1:{port}" for port in ports)
    with trio.fail_after(5):
        async with Channel(target, retry=POLICY, backoff=Backoff(initial_s=0.01)) as channel:
            assert await echo(channel, b"a", b"b") == b"ab"


async def test_while_there_is_no_server_attempts_are_used_up(nursery: trio.Nursery) -> None:
    moody = Moody(1)
    channel = served(nursery, moody, RetryPolicy(initial_backoff_s=0.001))
    async with channel, open_call(channel) as call:
        link = await channel.ready_link((), wait_for_ready=False)
        link.close()
        with trio.fail_after(5), pytest.raises(purerpc.UnavailableError):
            await call.receive()


@pytest.mark.parametrize("wrong", [{"max_attempts": 1}, {"initial_backoff_s": -1}, {"multiplier": 0.5}])
def test_what_is_no_policy(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs 2 attempts"):
        RetryPolicy(**wrong)


def test_pauses() -> None:
    pauses = [POLICY.pause_s(20) for _ in range(100)]
    assert 4 <= min(pauses) < 5 < max(pauses) <= 6
