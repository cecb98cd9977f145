"""Idempotent producers: what is stored is known, what is not is new, and nobody guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.errors import ProducerFencedError, SequenceTooOldError
from ride_trio.eventlog.producers import MAX_PRODUCERS, MAX_RUNS, Producer, Producers, unpack_producers


def stored(*sequences: int) -> Producer:
    """A producer whose records of these sequences have the offsets from 100 up."""
    producer = Producer(0)
    for offset, sequence in enumerate(sequences, 100):
        producer.stored(sequence, offset)
    return producer


def test_a_new_sequence_has_no_offset() -> None:
    assert stored().offset_of(0) is None
    assert stored(0, 1).offset_of(2) is None
    assert stored(5).offset_of(0) is None  # nothing was forgotten, so it is none


def test_what_is_stored_has_the_offset_that_it_got() -> None:
    producer = stored(0, 1, 2, 10, 11)
    assert producer.runs == [(0, 100, 3), (10, 103, 2)]
    assert [producer.offset_of(n) for n in (0, 1, 2, 3, 9, 10, 11, 12)] == [100, 101, 102, None, None, 103, 104, None]


def test_a_gap_can_be_filled() -> None:
    producer = stored(0, 1, 4, 2, 3)
    assert [producer.offset_of(n) for n in range(6)] == [100, 101, 103, 104, 102, None]


def test_others_records_between_begin_a_new_run() -> None:
    producer = Producer(0)
    producer.stored(0, 10)
    producer.stored(1, 20)
    assert [producer.offset_of(n) for n in range(3)] == [10, 20, None]


def test_what_is_older_than_all_that_is_remembered_is_refused() -> None:
    producer = stored(*range(0, 2 * MAX_RUNS + 4, 2))
    assert len(producer.runs) == MAX_RUNS
    for sequence in range(3):
        with pytest.raises(SequenceTooOldError):
            producer.offset_of(sequence)
    assert producer.offset_of(3) is None  # between what is forgotten and what is not
    assert producer.offset_of(4) == 102


def test_what_is_forgotten_stays_so_when_all_that_came_after_it_fails() -> None:
    producer = stored(0, *range(10, 10 + 2 * MAX_RUNS, 2))
    producer.undo(101)  # all but the first, which is forgotten
    assert producer.runs == []
    with pytest.raises(SequenceTooOldError):
        producer.offset_of(0)
    assert producer.offset_of(10) is None


def test_undo_takes_back_what_was_not_stored() -> None:
    producer = stored(0, 1, 2, 10, 11)
    producer.undo(104)
    assert producer.runs == [(0, 100, 3), (10, 103, 1)]
    producer.undo(102)
    assert [producer.offset_of(n) for n in (0, 1, 2, 10)] == [100, 101, None, None]
    producer.stored(2, 102)
    assert producer.runs == [(0, 100, 3)]


def test_a_higher_epoch_begins_anew_and_fences_the_lower_one() -> None:
    producers = Producers()
    producers.of(7, 1).stored(0, 100)
    assert producers.of(7, 1).offset_of(0) == 100
    assert producers.of(7, 2).offset_of(0) is None
    with pytest.raises(ProducerFencedError, match="producer 7: epoch 1 is over, 2 has begun"):
        producers.of(7, 1)


def test_the_producer_that_was_silent_for_longest_is_forgotten() -> None:
    producers = Producers()
    for number in range(MAX_PRODUCERS):
        producers.of(number, 0)
    producers.of(0, 0)
    producers.of(MAX_PRODUCERS, 0)
    assert 1 not in producers.known
    assert {0, 2, MAX_PRODUCERS} < producers.known.keys()


operations = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 40)),
        st.tuples(st.just("undo"), st.integers(0, 60)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@given(operations)
def test_no_sequence_is_stored_twice_whatever_fails(steps: list[tuple[str, int]]) -> None:
    producers, log = Producers(), list[int]()
    for what, number in steps:
        if what == "send":
            known = producers.of(7, 0).offset_of(number)
            if known is None:
                assert number not in log
                producers.of(7, 0).stored(number, len(log))
                log.append(number)
            else:
                assert log[known] == number
        elif what == "undo" and number < len(log):
            producers.undo(number)
            del log[number:]
        elif what == "restart":
            producers = unpack_producers(producers.pack(3, len(log))).get(3, Producers())


@given(
    st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(0, 300), unique=True), max_size=4),
    st.integers(0, 40),
)
def test_a_heads_summary_has_what_was_stored_up_to_an_offset(sent: dict[int, list[int]], end: int) -> None:
    producers, offset = Producers(), 0
    places: dict[tuple[int, int], int] = {}
    for producer_id, sequences in sent.items():
        for sequence in sequences:
            producers.of(producer_id, 4).stored(sequence, offset)
            places[producer_id, sequence] = offset
            offset += 1
    found = unpack_producers(producers.pack(3, end) + producers.pack(5, 0))
    for (producer_id, sequence), place in places.items():
        known = found[3].of(producer_id, 4).offset_of(sequence)
        assert known == (place if place < end else None)
    with pytest.raises(ProducerFencedError):
        unpack_producers(stored_in(9, 4).pack(0, 1))[0].of(9, 3)


def stored_in(producer_id: int, epoch: int) -> Producers:
    producers = Producers()
    producers.of(producer_id, epoch).stored(0, 0)
    return producers


def test_a_summary_keeps_who_was_silent_for_longest() -> None:
    producers = Producers()
    for number in (3, 1, 2):
        producers.of(number, 0).stored(0, 0)
    assert list(unpack_producers(producers.pack(0, 1))[0].known) == [3, 1, 2]
    assert unpack_producers(b"") == {}
