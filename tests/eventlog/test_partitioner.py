"""Keys go where Kafka's clients would put them; what has none goes round."""

from __future__ import annotations

from time import process_time

import pytest

from ride_trio.eventlog import partitioner
from ride_trio.eventlog.partitioner import STICKY_BYTES, Partitioner, key_hash


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [  # org.apache.kafka.common.utils.UtilsTest, testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key: bytes, murmur2: int) -> None:
    assert key_hash(key) == murmur2 & 0x7FFFFFFF


def test_a_key_has_its_partition() -> None:
    chosen = [Partitioner(10).choose(b"key-%d" % number, 100) for number in range(200)]
    assert chosen == [key_hash(b"key-%d" % number) % 10 for number in range(200)]
    assert set(chosen) == set(range(10))


def test_long_keys_are_not_kept() -> None:
    partitioner._hash_of_short.cache_clear()
    key_hash(b"x" * 1_000)
    assert partitioner._hash_of_short.cache_info().currsize == 0
    key_hash(b"x" * 36)
    assert partitioner._hash_of_short.cache_info().currsize == 1


def test_a_key_of_any_length_costs_no_more_than_a_millisecond_or_so() -> None:
    began = process_time()
    assert key_hash(b"x" * 10_000_000) == key_hash(b"x" * 10_000_000) != key_hash(b"x" * 9_999_999)
    assert process_time() - began < 0.3
    assert len({key_hash(b"%d" % number + bytes(10_000)) % 10 for number in range(100)}) == 10


def test_without_a_key_it_stays_for_a_while_and_goes_round() -> None:
    chooser = Partitioner(3)
    chosen = [chooser.choose(b"", STICKY_BYTES // 4) for _ in range(16)]
    assert chosen == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 4
    assert [chooser.choose(b"", 10 * STICKY_BYTES) for _ in range(3)] == [1, 2, 0]


def test_records_without_bytes_go_round_too() -> None:
    chooser = Partitioner(3)
    assert {chooser.choose(b"", 0) for _ in range(3 * STICKY_BYTES)} == {0, 1, 2}


def test_what_an_idempotent_producer_sends_again_comes_to_where_it_was() -> None:
    first = [Partitioner(10).choose_for(-(2**63) + number, b"") for number in range(50)]
    assert [Partitioner(10).choose_for(-(2**63) + number, b"") for number in range(50)] == first
    assert len(set(first)) > 5
    assert Partitioner(10).choose_for(5, b"foobar") == Partitioner(10).choose(b"foobar", 0)
