"""gzip: one message at a time, in slices, and never more than is wanted."""

from __future__ import annotations

import gzip
import zlib
from contextlib import nullcontext

import purerpc
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.rpc.compression import (
    MAX_INFLATED_BYTES,
    SLICE_BYTES,
    TURN_TIMEOUT_S,
    WORKED_ON_S,
    Inflation,
    current_inflation,
    deflate,
    inflate_small,
)

LIMIT = 1_000_000
SMALL = gzip.compress(bytes(100_000))
HUGE = gzip.compress(bytes(MAX_INFLATED_BYTES + 1), 1)


@pytest.mark.parametrize("size", [0, 1, SLICE_BYTES - 1, SLICE_BYTES])
def test_a_small_message_is_inflated_at_once(size: int) -> None:
    assert inflate_small(gzip.compress(bytes(size)), LIMIT) == bytes(size)


async def test_a_large_message_takes_turns() -> None:
    data = gzip.compress(bytes(range(256)) * 3_000)
    assert inflate_small(data, LIMIT) is None
    inflation = Inflation()
    message, ticket = await inflation.inflate(data, LIMIT)
    assert message == bytes(range(256)) * 3_000
    assert inflation.inflated_bytes == 768_000
    inflation.done(ticket)
    assert inflation.inflated_bytes == 0


@pytest.mark.parametrize("size", [SLICE_BYTES + 1, LIMIT + 1, 100 * LIMIT])
async def test_a_bomb_is_refused_at_the_limit(size: int) -> None:
    """Of a hundred megabytes one is inflated."""
    inflation = Inflation()
    limit = min(LIMIT, size - 1)
    with pytest.raises(purerpc.ResourceExhaustedError, match=f"limit of {limit} bytes"):
        await inflation.inflate(gzip.compress(bytes(size), 1), limit)
    assert inflation.inflated_bytes == 0


async def test_an_error_does_not_hold_what_was_inflated() -> None:
    with pytest.raises(purerpc.ResourceExhaustedError) as caught:
        await Inflation().inflate(gzip.compress(bytes(2 * LIMIT), 1), LIMIT)
    held = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert not any(value for value in held if isinstance(value, list))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip at all",
        gzip.compress(b"hello")[:-3],
        gzip.compress(b"hello")[:-8] + bytes(8),
        gzip.compress(b"hello") + b"more",
        gzip.compress(b"hel") + gzip.compress(b"lo"),
        zlib.compress(b"hello"),
    ],
)
async def test_what_is_no_gzip_is_the_senders_fault(data: bytes) -> None:
    with pytest.raises(purerpc.InternalError, match="no valid gzip"):
        inflate_small(data, LIMIT)
    with pytest.raises(purerpc.InternalError, match="no valid gzip"):
        await Inflation().inflate(data, LIMIT)


@pytest.mark.parametrize("size", [0, 10, 500_000])
async def test_what_is_deflated_can_be_inflated(size: int) -> None:
    message = bytes(range(251)) * (size // 251)
    assert gzip.decompress(await deflate(message)) == message


async def test_a_large_message_waits_while_others_are_worked_on(autojump_clock: MockClock) -> None:
    inflation = Inflation()
    _, first = await inflation.inflate(HUGE, MAX_INFLATED_BYTES + 1)
    got = []

    async def inflate() -> None:
        got.append((await inflation.inflate(SMALL, LIMIT))[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inflate)
        await wait_all_tasks_blocked()
        assert not got
        inflation.done(first)
    assert got == [bytes(100_000)]
    assert inflation.inflated_bytes == 100_000


async def test_what_a_call_keeps_for_long_is_its_own(autojump_clock: MockClock) -> None:
    """One that sits on a large message, and may do so for ever, holds up nobody for longer than this."""
    inflation = Inflation()
    _, kept = await inflation.inflate(HUGE, MAX_INFLATED_BYTES + 1)
    began = trio.current_time()
    await inflation.inflate(SMALL, LIMIT)
    assert trio.current_time() - began == pytest.approx(WORKED_ON_S)
    assert inflation.inflated_bytes == 100_000
    inflation.done(kept)
    assert inflation.inflated_bytes == 100_000


async def test_who_waits_too_long_is_refused(autojump_clock: MockClock) -> None:
    inflation = Inflation()
    began = trio.current_time()
    ended = []

    async def inflate(refused: bool) -> None:
        with pytest.raises(purerpc.ResourceExhaustedError, match="no room") if refused else nullcontext():
            await inflation.inflate(HUGE, MAX_INFLATED_BYTES + 1)
        ended.append(trio.current_time() - began)

    in_time = int(TURN_TIMEOUT_S / WORKED_ON_S)
    async with trio.open_nursery() as nursery:
        for place in range(in_time + 2):
            nursery.start_soon(inflate, place >= in_time)
            await wait_all_tasks_blocked()
    assert ended == pytest.approx([0.0, WORKED_ON_S, TURN_TIMEOUT_S, TURN_TIMEOUT_S])
    assert inflation.inflated_bytes == MAX_INFLATED_BYTES + 1


async def test_a_run_has_one() -> None:
    assert current_inflation() is current_inflation()
