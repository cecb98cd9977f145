from __future__ import annotations

import copy
from collections.abc import Iterable
from random import Random

import pytest

from ride_trio_loadgen.log_ledger import FOREIGN, LogLedger, name_of, record_number
from ride_trio_loadgen.tally import ErrorCounts

Log = list[int]  # the record numbers of a partition, the first at offset 0


@pytest.fixture
def ledger() -> LogLedger:
    return LogLedger([0, 0], ErrorCounts())


def r(sequence: int, producer: int = 3) -> int:
    return record_number(producer, sequence)


def ack(ledger: LogLedger, *numbers: int, offset: int = 0) -> None:
    """Acknowledge records at neighbouring offsets of partition 0."""
    for place, number in enumerate(numbers, offset):
        ledger.acked(0, place, number)


def read(ledger: LogLedger, *numbers: int, offset: int = 0) -> None:
    ledger.read(0, enumerate(numbers, offset))


def kinds(ledger: LogLedger) -> dict[str, int]:
    """What is wrong when all is read."""
    ledger.finish()
    return {kind: error.count for kind, error in ledger.errors.errors.items()}


def example(ledger: LogLedger, kind: str) -> str:
    return ledger.errors.errors[kind].example


def test_a_record_has_one_number_and_a_name() -> None:
    assert len({r(0, 0), r(1, 0), r(0, 1), r(10**12, 0), r(0, 5_000_000)}) == 5
    assert r(0, 5_000_000) < 2**63
    assert name_of(r(17)) == "producer 3's record 17"
    assert name_of(FOREIGN) == "somebody else's record"


def test_what_was_acknowledged_and_read_is_forgotten_whatever_came_first(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1))
    assert ledger.waiting == 2
    read(ledger, r(0), r(1), r(2))
    assert (ledger.waiting, ledger.unacknowledged, ledger.next_offset(0)) == (0, 1, 3)
    ack(ledger, r(2), offset=2)
    assert (ledger.waiting, ledger.unacknowledged) == (0, 0)
    assert kinds(ledger) == {}


def test_partitions_and_producers_are_apart(ledger: LogLedger) -> None:
    ledger.acked(0, 0, r(5, 1))
    ledger.acked(1, 0, r(4, 1))
    ledger.acked(0, 1, r(4, 2))
    ledger.read(0, [(0, r(5, 1)), (1, r(4, 2))])
    ledger.read(1, [(0, r(4, 1))])
    assert kinds(ledger) == {}


def test_reading_begins_where_it_is_told_to() -> None:
    ledger = LogLedger([100], ErrorCounts())
    ledger.read(0, [(100, r(0)), (101, r(1))])
    assert (ledger.next_offset(0), kinds(ledger)) == (102, {})


def test_an_acknowledged_record_that_is_not_there_is_missing(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1), r(2))
    read(ledger, r(0))
    assert kinds(ledger) == {"missing": 2}
    assert example(ledger, "missing") == (
        "producer 3's record 1, acknowledged at offset 1 of partition 0: reading has come to 1"
    )


def test_a_record_that_was_never_acknowledged_may_be_there_or_not(ledger: LogLedger) -> None:
    ack(ledger, r(0))
    read(ledger, r(0), r(1), r(5))
    ack(ledger, r(7), offset=3)
    read(ledger, r(7), offset=3)
    assert (ledger.unacknowledged, kinds(ledger)) == (2, {})


def test_a_hole_is_found_and_what_was_acknowledged_in_it_is_missing(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1), r(2))
    read(ledger, r(0))
    read(ledger, r(2), offset=2)
    assert kinds(ledger) == {"offsets_not_dense": 1, "missing": 1}
    assert example(ledger, "offsets_not_dense") == "partition 0: offset 2 where 1 was to come"
    assert example(ledger, "missing").endswith("which was read past")


def test_reading_that_goes_backward_is_found(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1))
    read(ledger, r(0), r(1))
    read(ledger, r(1), offset=1)
    assert kinds(ledger) == {"offset_backward": 1, "doubled": 1}


def test_another_record_than_the_acknowledged_one_is_found(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1))
    read(ledger, r(0), r(9, 4))
    assert kinds(ledger) == {"wrong_record": 1}
    assert example(ledger, "wrong_record") == (
        "producer 3's record 1 was acknowledged at offset 1 of partition 0; there is producer 4's record 9"
    )


def test_the_same_if_it_is_read_before_the_acknowledgement(ledger: LogLedger) -> None:
    read(ledger, r(0), r(2))
    ack(ledger, r(0), r(1))
    assert kinds(ledger) == {"wrong_record": 1}


def test_two_answers_that_were_swapped_are_found(ledger: LogLedger) -> None:
    ack(ledger, r(1), r(0))
    read(ledger, r(0), r(1))
    assert kinds(ledger) == {"wrong_record": 2}


def test_others_records_take_offsets_and_nothing_else(ledger: LogLedger) -> None:
    ack(ledger, r(0))
    read(ledger, r(0), FOREIGN, FOREIGN, r(1))
    ack(ledger, r(1), offset=3)
    assert (ledger.unacknowledged, kinds(ledger)) == (0, {})


def test_somebody_elses_record_in_place_of_an_acknowledged_one_is_found(ledger: LogLedger) -> None:
    ack(ledger, r(0))
    read(ledger, FOREIGN)
    assert kinds(ledger) == {"wrong_record": 1}


def test_one_offset_for_two_records_is_found(ledger: LogLedger) -> None:
    ack(ledger, r(0))
    ack(ledger, r(1))
    assert "offset_answered_twice" in kinds(ledger)
    assert example(ledger, "offset_answered_twice") == (
        "producer 3's record 1 and producer 3's record 0 at offset 0 of partition 0"
    )


def test_an_offset_that_was_read_and_is_acknowledged_once_more_is_missing(ledger: LogLedger) -> None:
    ack(ledger, r(0))
    read(ledger, r(0))
    ack(ledger, r(1))
    assert kinds(ledger) == {"missing": 1}


@pytest.mark.parametrize("acked", [0, 2, None], ids=["the first acked", "the second acked", "none acked"])
def test_a_record_that_is_there_twice_is_found_whichever_was_acknowledged(ledger: LogLedger, acked: int | None) -> None:
    read(ledger, r(0), r(1), r(0))
    ack(ledger, r(1), offset=1)
    if acked is not None:
        ack(ledger, r(0), offset=acked)
    assert kinds(ledger) == {"doubled": 1}
    assert example(ledger, "doubled") == "producer 3's record 0 at offset 2 of partition 0, once more"


def test_the_newest_record_twice_is_found(ledger: LogLedger) -> None:
    read(ledger, r(0), r(0))
    ack(ledger, r(0))
    assert kinds(ledger) == {"doubled": 1}


@pytest.mark.parametrize("acks_first", [True, False])
def test_a_producers_records_out_of_order_are_found(ledger: LogLedger, acks_first: bool) -> None:
    if acks_first:
        ack(ledger, r(0), r(2), r(1))
    read(ledger, r(0), r(2), r(1))
    if not acks_first:
        ack(ledger, r(0), r(2), r(1))
    assert kinds(ledger) == {"out_of_order": 1}
    assert example(ledger, "out_of_order") == (
        "producer 3's record 1 at offset 2 of partition 0, behind a later one (the last is 2)"
    )


def test_a_copy_reads_all_of_it_again(ledger: LogLedger) -> None:
    ack(ledger, r(0), r(1))
    first = copy.deepcopy(ledger)
    read(first, r(0), r(1))
    assert kinds(first) == {}
    ack(ledger, r(2), offset=2)
    second = copy.deepcopy(ledger)
    read(second, r(0), r(2))
    assert kinds(second) == {"wrong_record": 1, "missing": 1}
    assert (ledger.waiting, ledger.errors.errors) == (3, {})


class CrashingLog:
    """A log that crashes now and then, with two producers: what is not synced goes, and so may answers.

    Args:
        dedups: what is sent again is not stored again.
    """

    def __init__(self, draw: Random, dedups: bool) -> None:
        self.draw = draw
        self.dedups = dedups
        self.stored: list[int] = []
        self.ledger = LogLedger([0], ErrorCounts())
        self.next = [0, 0]

    def round(self, again: Iterable[int]) -> list[int]:
        """Some records are sent, and a part of them stored before a crash. Returns what was not answered."""
        fresh = []
        for _ in range(self.draw.randrange(8)):
            producer = self.draw.randrange(2)
            fresh.append(r(self.next[producer], producer))
            self.next[producer] += 1
        sent = [*again, *fresh]
        synced = self.draw.randint(0, len(sent))
        answered = self.draw.randint(0, synced)
        for number in sent[:synced]:
            if not (self.dedups and number in self.stored):
                self.stored.append(number)
        for number in sent[:answered]:
            offset = len(self.stored) - 1 - self.stored[::-1].index(number)
            self.ledger.acked(0, offset, number)
        return sent[answered:]

    def read(self) -> None:
        begin = self.ledger.next_offset(0)
        self.ledger.read(0, enumerate(self.stored[begin:], begin))


@pytest.mark.parametrize("sends_again", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_crashes_are_no_errors_while_a_log_keeps_its_promises(seed: int, sends_again: bool) -> None:
    log = CrashingLog(Random(seed), dedups=True)
    open_records: list[int] = []
    for _ in range(50):
        open_records = log.round(open_records if sends_again else [])
        if log.draw.random() < 0.5:
            log.read()
    log.read()
    assert kinds(log.ledger) == {}


def test_sending_again_to_a_log_that_stores_again_is_found() -> None:
    found = set()
    for seed in range(20):
        log = CrashingLog(Random(seed), dedups=False)
        open_records: list[int] = []
        for _ in range(50):
            open_records = log.round(open_records)
        log.read()
        found |= kinds(log.ledger).keys()
    assert found == {"doubled"}


@pytest.mark.parametrize("seed", range(20))
def test_a_log_that_loses_its_last_record_in_a_crash_is_found(seed: int) -> None:
    log = CrashingLog(Random(seed), dedups=True)
    while not log.ledger.waiting or len(log.stored) - 1 not in log.ledger._partitions[0].acked:
        log.round([])
    del log.stored[-1]
    log.read()
    assert kinds(log.ledger) == {"missing": 1}
