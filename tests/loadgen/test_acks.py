from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ride_trio.pb.ride.v1.ride_pb2 import Ack, RideStatusUpdate
from ride_trio_loadgen.acks import AckCheck, Pending
from ride_trio_loadgen.tally import Tally
from tests.loadgen.fake_server import ack


@dataclass
class Heard:
    accepts: bool = True
    statuses: list[tuple[int, str]] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        self.statuses.append((status, ride_id))
        return self.accepts

    def answered(self, ride_id: str, ack: Ack, now_s: float) -> None:
        self.answers.append((ride_id, ack.detail))


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def check(tally: Tally, heard: Heard) -> AckCheck:
    check = AckCheck("user", tally, heard)
    for number in (1, 2, 3):
        check.expect(Pending(str(number), from_s=float(number)))
    return check


def kinds(tally: Tally) -> dict[str, int]:
    return {kind: error.count for kind, error in tally.errors.items()}


def test_acks_in_order_are_no_error_and_are_timed(check: AckCheck, tally: Tally) -> None:
    for number in (1, 2, 3):
        check.acked(ack(str(number), lamport=number), now_s=number + 0.5)
    check.finish()
    assert kinds(tally) == {}
    assert (tally.acked, len(check)) == (3, 0)
    assert tally.ack.summary_ms()["max"] == 500.0


def test_a_doubled_ack(check: AckCheck, tally: Tally) -> None:
    check.acked(ack("1", lamport=1), 1.0)
    check.acked(ack("1", lamport=2), 1.0)
    assert kinds(tally) == {"ack_twice": 1}
    assert tally.acked == 1


def test_an_ack_out_of_order(check: AckCheck, tally: Tally) -> None:
    for lamport, number in enumerate((2, 1, 3)):
        check.acked(ack(str(number), lamport=lamport), 3.0)
    check.finish()
    assert kinds(tally) == {"ack_out_of_order": 1}
    assert tally.errors["ack_out_of_order"].example == "user: message 2 before message 1"
    assert tally.acked == 3


def test_a_missing_ack(check: AckCheck, tally: Tally) -> None:
    check.acked(ack("1", lamport=1), 1.0)
    check.finish()
    assert kinds(tally) == {"ack_missing": 2}
    assert tally.errors["ack_missing"].example == "user: no ack for message 2"


def test_an_ack_of_something_never_sent(check: AckCheck, tally: Tally) -> None:
    check.acked(ack("99", lamport=1), 1.0)
    check.acked(ack("elsewhere", lamport=2), 1.0)
    check.acked(ack("", lamport=3), 1.0)
    assert kinds(tally) == {"ack_unknown": 3}


def test_a_refusal_is_an_error_under_the_servers_code(check: AckCheck, tally: Tally) -> None:
    check.acked(ack("1", success=False, detail="BAD_REQUEST: latitude 99", lamport=1), 1.0)
    assert kinds(tally) == {"refused:BAD_REQUEST": 1}
    assert tally.errors["refused:BAD_REQUEST"].example == "user: message 1: BAD_REQUEST: latitude 99"


def test_ids_that_differ_and_a_lamport_time_that_stands_still(check: AckCheck, tally: Tally) -> None:
    envelope = ack("1", lamport=5)
    envelope.correlation_id = "2"
    check.acked(envelope, 1.0)
    check.acked(ack("2", lamport=5), 1.0)
    assert kinds(tally) == {"ack_ids_differ": 1, "lamport_not_rising": 1}


@pytest.mark.parametrize("accepts", [True, False])
def test_the_owner_judges_a_statuss_ack(accepts: bool, tally: Tally) -> None:
    heard = Heard(accepts)
    check = AckCheck("user", tally, heard)
    check.expect(Pending("s1", 0.0, RideStatusUpdate.STATUS_AVAILABLE, "ride"))
    check.acked(ack("s1", success=False, detail="GONE: cancelled", lamport=1), 1.0)
    assert heard.statuses == [(RideStatusUpdate.STATUS_AVAILABLE, "ride")]
    assert kinds(tally) == ({} if accepts else {"refused:GONE": 1})


def test_a_request_is_answered_under_its_own_id(tally: Tally, heard: Heard) -> None:
    check = AckCheck("rider", tally, heard)
    check.expect(Pending("s1", 0.0, RideStatusUpdate.STATUS_LOOKING, "ride"))
    check.acked(ack("s1", lamport=1), 1.0)
    check.acked(ack("s1", detail="DRIVER_LOST: looking again", lamport=2), 2.0)
    check.acked(ack("s1", success=False, detail="NO_DRIVER_FOUND: nobody", lamport=3), 3.0)
    assert heard.answers == [("ride", "DRIVER_LOST: looking again"), ("ride", "NO_DRIVER_FOUND: nobody")]
    assert kinds(tally) == {}
    check.acked(ack("s1", lamport=4), 4.0)
    assert kinds(tally) == {"ack_twice": 1}
