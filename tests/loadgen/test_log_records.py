from __future__ import annotations

import pytest

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, Record
from ride_trio_loadgen.log_ledger import FOREIGN, record_number
from ride_trio_loadgen.log_records import SMALLEST_RECORD_BYTES, STICKY_BYTES, Requests, Values

RUN = 7


def values(record_bytes: int = 100, seed: int = 1, run_id: int = RUN) -> Values:
    return Values(run_id, record_bytes, seed)


def requests(record_bytes: int = 100, partitions: int = 3, acks: int = -1, idempotent: bool = False) -> Requests:
    return Requests("load", partitions, acks, values(record_bytes), idempotent=idempotent)


def value_of(producer: int, sequence: int, sent_s: float, **of: int) -> bytes:
    (request,) = Requests("load", 1, 0, values(**of), idempotent=False).encode(producer, sequence, [sent_s])
    value: bytes = ProduceMessageRequest.FromString(request).record.value
    return value


@pytest.mark.parametrize("record_bytes", [SMALLEST_RECORD_BYTES, 100, 10_000])
@pytest.mark.parametrize("acks", [0, 1, -1])
def test_requests_are_what_protobuf_would_make_of_them(record_bytes: int, acks: int) -> None:
    for place, data in enumerate(requests(record_bytes, acks=acks).encode(4, 10, [1.5, 2.5, 3.5, 4.5])):
        message = ProduceMessageRequest.FromString(data)
        value = message.record.value
        assert len(value) == record_bytes
        assert message == ProduceMessageRequest(
            topic="load",
            partition=(4 + (10 + place) // (STICKY_BYTES // record_bytes)) % 3,
            required_acks=acks,
            record=Record(value=value),
        )
        assert values(record_bytes).read([value]) == [(RUN, record_number(4, 10 + place), 1.5 + place)]


def test_idempotent_requests_say_whose_they_are_and_in_which_order() -> None:
    sent = [ProduceMessageRequest.FromString(data) for data in requests(idempotent=True).encode(2, 300, [1.0, 2.0])]
    plain = [ProduceMessageRequest.FromString(data) for data in requests().encode(2, 300, [1.0, 2.0])]
    assert [message.sequence for message in sent] == [300, 301]
    other = ProduceMessageRequest.FromString(requests(idempotent=True).encode(3, 0, [1.0])[0])
    assert 0 < sent[0].producer_id == sent[1].producer_id != other.producer_id > 0
    for message in sent:
        message.producer_id = message.sequence = 0
    assert sent == plain


@pytest.mark.parametrize(
    ("record_bytes", "partitions"),
    [(STICKY_BYTES * 3, [1, 2, 0, 1, 2]), (STICKY_BYTES // 2, [1, 1, 2, 2, 0]), (STICKY_BYTES // 4, [1, 1, 1, 1, 2])],
)
def test_a_producer_goes_round_the_partitions_beginning_at_its_own(record_bytes: int, partitions: list[int]) -> None:
    made = requests(record_bytes, partitions=3)
    assert [made.partition(1, sequence) for sequence in range(5)] == partitions
    sent = [ProduceMessageRequest.FromString(data) for data in made.encode(1, 0, [0.0] * 5)]
    assert [message.partition for message in sent] == partitions
    (third,) = [ProduceMessageRequest.FromString(data) for data in made.encode(1, 3, [0.0])]
    assert third.partition == partitions[3]


def test_the_rest_of_a_value_is_the_seeds() -> None:
    assert values(seed=1).rest == values(seed=1).rest != values(seed=2).rest
    assert len(values().rest) == 100 - SMALLEST_RECORD_BYTES


def test_others_records_are_foreign() -> None:
    others = [b"", b"short", bytes(100), value_of(0, 0, 1.0, run_id=RUN + 1)]
    heads = values().read([*others, value_of(5, 6, 1.0)])
    assert [number for _, number, _ in heads] == [FOREIGN] * 4 + [record_number(5, 6)]
    assert RUN not in {run_id for run_id, number, _ in heads if number == FOREIGN}


@pytest.mark.parametrize(
    "damage",
    [lambda value: value[:-1] + b"x", lambda value: value[:-1], lambda value: value + b"x", lambda value: value[:24]],
)
def test_a_value_of_this_run_that_is_not_whole_is_damaged(damage: object) -> None:
    assert callable(damage)
    (head,) = values().read([damage(value_of(5, 6, 1.0))])
    assert head[:2] == (RUN, FOREIGN)
