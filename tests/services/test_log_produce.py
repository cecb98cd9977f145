"""Produce requests and their answers: what is stored, what is refused, and when an answer goes out."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.eventlog.partitioner import key_hash
from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, ProduceMessageResponse, Record, RecordHeader
from ride_trio.services.log_produce import MAX_UNANSWERED, ProduceStream, Producing
from tests.eventlog.logs import NOW_MS, read_all
from tests.services.log_house import LogCall, LogHouse

FULL = OSError(errno.ENOSPC, "No space left on device")


async def house(nursery: trio.Nursery, path: Path, *, partitions: int = 1, **options: Any) -> LogHouse:
    made = await LogHouse(nursery, path / "data", **options).start()
    await made.log.create_topic("t", partitions)
    return made


def request(value: bytes = b"v", *, acks: int = -1, key: bytes = b"", timestamp: int = 0, **fields: Any) -> Any:
    record = Record(key=key, value=value, timestamp=timestamp)
    return ProduceMessageRequest(**{"topic": "t", "record": record, "required_acks": acks, **fields})


async def one(made: LogHouse, message: Any) -> Any:
    result = Producing(made.log).one(message)
    return ProduceMessageResponse.FromString(result if isinstance(result, bytes) else await result)


def code(answer: Any) -> str:
    return str(answer.error.split(":")[0])


async def stream(made: LogHouse) -> LogCall:
    call = LogCall(ProduceMessageResponse)
    made.nursery.start_soon(ProduceStream(Producing(made.log), call).run)
    await wait_all_tasks_blocked()
    return call


# ---------------------------------------------------------------- one record


async def test_a_record_is_stored_as_it_came(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path)
    message = request(b"v", key=b"k", timestamp=77)
    message.record.headers.append(RecordHeader(key="h", value=b"1"))
    message.record.offset = message.record.partition = 9
    answer = await one(made, message)
    assert (answer.topic, answer.partition, answer.offset, answer.timestamp, answer.error) == ("t", 0, 0, 77, "")
    cursor = made.log.cursor(made.log.topic("t").partition(0), 0)
    data = cursor.read(1_000)
    stored = Record.FromString(data[2:])
    assert (stored.key, stored.value, stored.timestamp, stored.offset, stored.partition) == (b"k", b"v", 77, 0, 0)
    assert [(h.key, h.value) for h in stored.headers] == [("h", b"1")]


async def test_a_record_without_a_time_gets_ours(nursery: trio.Nursery, tmp_path: Path) -> None:
    assert (await one(await house(nursery, tmp_path), request())).timestamp == NOW_MS


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"topic": "none"}, "UNKNOWN_TOPIC"),
        ({"topic": ""}, "UNKNOWN_TOPIC"),
        ({"partition": 1}, "UNKNOWN_PARTITION"),
        ({"partition": -2}, "UNKNOWN_PARTITION"),
        ({"acks": 2}, "INVALID_ACKS"),
        ({"acks": -2}, "INVALID_ACKS"),
        ({"timestamp": -1}, "INVALID_RECORD"),
        ({"value": bytes(10_485_761)}, "MESSAGE_TOO_LARGE"),
        ({"producer_id": 1, "sequence": -1}, "INVALID_RECORD"),
    ],
)
async def test_what_is_refused(nursery: trio.Nursery, tmp_path: Path, wrong: dict[str, Any], expected: str) -> None:
    made = await house(nursery, tmp_path)
    answer = await one(made, request(**wrong))
    assert code(answer) == expected
    assert made.metrics.refused(expected).n == 1
    assert made.log.topic("t").partition(0).next_offset == 0


async def test_a_compacted_topic_wants_keys(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path)
    await made.log.create_topic("c", 1, configs={"cleanup.policy": "compact"})
    assert code(await one(made, request(topic="c"))) == "INVALID_RECORD"
    assert not (await one(made, request(topic="c", key=b"k"))).error


async def test_a_key_lands_where_kafka_would_put_it_and_others_go_round(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, partitions=4)
    for key in (b"21", b"foobar", b"abc"):
        assert (await one(made, request(key=key, partition=-1))).partition == key_hash(key) % 4
    seen = {(await one(made, request(bytes(20_000), partition=-1))).partition for _ in range(4)}
    assert seen == {0, 1, 2, 3}


# ---------------------------------------------------------------- when it is answered


@pytest.mark.parametrize(("acks", "answered"), [(0, (1, 1, 1)), (1, (0, 1, 1)), (-1, (0, 0, 1))])
async def test_acks(nursery: trio.Nursery, tmp_path: Path, acks: int, answered: tuple[int, ...]) -> None:
    """Queued; written; on disk."""
    made = await house(nursery, tmp_path, stuck=True)
    call = await stream(made)
    call.say(request(acks=acks))
    seen = 0
    for step, expected in zip((None, "write", "sync"), answered, strict=True):
        if step:
            getattr(made.writer, step)()
        seen += len(await call.answers())
        assert seen == expected


async def test_answers_come_in_the_order_of_the_requests(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, stuck=True)
    call = await stream(made)
    call.say(request(acks=-1), request(acks=0), request(topic="none"), request(acks=1))
    assert await call.answers() == []
    made.writer.write()
    assert await call.answers() == []
    made.writer.sync()
    assert [code(answer) for answer in await call.answers()] == ["", "", "UNKNOWN_TOPIC", ""]


async def test_the_stream_ends_when_all_is_answered(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, stuck=True)
    call, ended = LogCall(ProduceMessageResponse), trio.Event()

    async def run() -> None:
        await ProduceStream(Producing(made.log), call).run()
        ended.set()

    nursery.start_soon(run)
    await wait_all_tasks_blocked()
    call.say(request(), None)
    await wait_all_tasks_blocked()
    assert not ended.is_set()
    made.writer.write()
    made.writer.sync()
    await ended.wait()
    assert len(call.got) == 1


@pytest.mark.parametrize(("timeout_ms", "waits_s"), [(200, 0.2), (0, 30.0)])
async def test_a_wait_has_an_end(
    nursery: trio.Nursery, tmp_path: Path, timeout_ms: int, waits_s: float, autojump_clock: MockClock
) -> None:
    made = await house(nursery, tmp_path, stuck=True)
    call = await stream(made)
    call.say(request(timeout_ms=timeout_ms), request(acks=0))
    await trio.sleep(waits_s - 0.01)
    assert call.got == []
    await trio.sleep(0.02)
    assert [code(answer) for answer in await call.answers()] == ["REQUEST_TIMED_OUT", ""]


@pytest.mark.parametrize(("timeout_ms", "waits_s"), [(200, 0.2), (0, 30.0)])
async def test_a_unary_calls_wait_has_an_end(
    nursery: trio.Nursery, tmp_path: Path, timeout_ms: int, waits_s: float, autojump_clock: MockClock
) -> None:
    made = await house(nursery, tmp_path, stuck=True)
    began = trio.current_time()
    assert code(await one(made, request(timeout_ms=timeout_ms))) == "REQUEST_TIMED_OUT"
    assert trio.current_time() - began == pytest.approx(waits_s, abs=1.1)


# ---------------------------------------------------------------- a full disk, a full buffer


async def test_a_full_disk_costs_what_came_and_nothing_else(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path)
    call = await stream(made)
    call.say(request(b"a"))
    assert [answer.offset for answer in await call.answers()] == [0]
    with made.failing(FULL):
        call.say(request(b"b"), request(b"c", acks=1))
        assert [code(answer) for answer in await call.answers()] == ["RESOURCE_EXHAUSTED"] * 2
        assert code(await one(made, request(b"d"))) == "RESOURCE_EXHAUSTED"
    call.say(request(b"e"))
    assert [answer.offset for answer in await call.answers()] == [1]
    assert await read_all(made.log.cursor(made.log.topic("t").partition(0), 0)) == [(0, b"a"), (1, b"e")]


async def test_a_full_buffer_holds_the_stream_until_there_is_room(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, stuck=True, buffer_bytes=10_000)
    call = await stream(made)
    call.say(*[request(bytes(4_000))] * 5)
    await wait_all_tasks_blocked()
    assert call.held == 2
    made.writer.write()
    made.writer.sync()
    await wait_all_tasks_blocked()
    assert call.held == 0
    made.writer.write()
    made.writer.sync()
    assert [answer.offset for answer in await call.answers()] == [0, 1, 2, 3, 4]


async def test_who_does_not_read_answers_is_held(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path)
    call = await stream(made)
    call.room = 0
    call.say(*[request()] * (MAX_UNANSWERED + 3))
    await wait_all_tasks_blocked()
    assert call.held == 3
    assert len(await call.read(float("inf"))) == MAX_UNANSWERED + 3


# ---------------------------------------------------------------- idempotent producers


async def test_what_is_sent_again_is_not_stored_again(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path)
    send = {"producer_id": 5, "producer_epoch": 1}
    assert [(await one(made, request(sequence=n, **send))).offset for n in (0, 1, 1, 0, 2)] == [0, 1, 1, 0, 2]
    assert made.log.topic("t").duplicates.n == 2
    assert code(await one(made, request(sequence=3, producer_id=5))) == "PRODUCER_FENCED"


async def test_a_repetition_waits_for_the_disk_like_the_first(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, stuck=True)
    call = await stream(made)
    again = request(producer_id=5, sequence=0)
    call.say(again)
    await wait_all_tasks_blocked()
    call.say(again)
    assert await call.answers() == []
    made.writer.write()
    made.writer.sync()
    assert [answer.offset for answer in await call.answers()] == [0, 0]


async def test_a_repetition_without_key_comes_to_the_same_partition(nursery: trio.Nursery, tmp_path: Path) -> None:
    made = await house(nursery, tmp_path, partitions=8)
    again = request(bytes(20_000), partition=-1, producer_id=99, sequence=4)
    first, second = await one(made, again), await one(made, again)
    assert (first.partition, first.offset) == (second.partition, second.offset)
