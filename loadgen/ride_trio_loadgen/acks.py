"""Whether each envelope of a session gets its one ack, in order, and how long that took.

Correlation: every envelope carries one number of a single counter (heartbeat `seq`, location `sequence`, and for a
status the message_id `s<number>`). So an ack tells which envelope it answers, and a number that is not above the last
acked one tells of an ack that came before: nothing has to be kept of what was acked.

A LOOKING alone has more than one ack: `NO_DRIVER_FOUND` and `DRIVER_LOST` come later, under the same id.

Error kinds of this file: ack_twice, ack_out_of_order, ack_unknown, ack_missing, ack_ids_differ,
lamport_not_rising, refused:CODE.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from ride_trio.pb.ride.v1.ride_pb2 import Ack, RideStatusUpdate, ServerEnvelope
from ride_trio_loadgen.tally import Tally

# How the detail of a LOOKING's further acks begins.
ANSWERS = ("NO_DRIVER_FOUND", "DRIVER_LOST")


class AckListener(Protocol):
    """Hears of acks that mean more than "received". Called in the order of the stream."""

    def status_acked(self, status: int, ride_id: str, ack: Ack, now_s: float) -> bool:
        """A status got its ack. False: it failed, and shouldn't have."""

    def answered(self, ride_id: str, ack: Ack, now_s: float) -> None:
        """A further ack of a LOOKING: NO_DRIVER_FOUND or DRIVER_LOST."""


class Pending(NamedTuple):
    """An envelope that waits for its ack."""

    correlation_id: str
    from_s: float  # where its latency starts, trio clock
    status: int = RideStatusUpdate.STATUS_UNSPECIFIED  # that is: no status
    ride_id: str = ""

    def __str__(self) -> str:
        if not self.status:
            return f"message {self.correlation_id}"
        name = RideStatusUpdate.Status.Name(self.status)
        return f"{name} {self.ride_id}".rstrip()


class AckCheck:
    """One session's envelopes that wait for their acks, oldest first."""

    __slots__ = ("_acked_number", "_lamport", "_listener", "_looking", "_pending", "_tally", "_user_id")

    def __init__(self, user_id: str, tally: Tally, listener: AckListener) -> None:
        self._user_id = user_id
        self._tally = tally
        self._listener = listener
        self._pending: deque[Pending] = deque()
        self._looking = Pending("", 0.0)  # the newest LOOKING
        self._acked_number = 0
        self._lamport = -1

    def __len__(self) -> int:
        return len(self._pending)

    def expect(self, pending: Pending) -> None:
        """An envelope was sent."""
        self._pending.append(pending)
        if pending.status == RideStatusUpdate.STATUS_LOOKING:
            self._looking = pending

    def acked(self, envelope: ServerEnvelope, now_s: float) -> None:
        """An ack arrived."""
        ack = envelope.ack
        self.check_lamport(envelope)
        if envelope.correlation_id != ack.correlation_id:
            self._error("ack_ids_differ", f"envelope {envelope.correlation_id!r}, ack {ack.correlation_id!r}")
        if self._pending and self._pending[0].correlation_id == ack.correlation_id:
            self._close(self._pending.popleft(), ack, now_s)
        elif ack.correlation_id == self._looking.correlation_id and ack.detail.startswith(ANSWERS):
            self._listener.answered(self._looking.ride_id, ack, now_s)
        else:
            self._out_of_turn(ack, now_s)

    def check_lamport(self, envelope: ServerEnvelope) -> None:
        """Acks and matches are one session's own, so their times rise on it; broadcasts may overtake."""
        if envelope.lamport_time <= self._lamport:
            self._error("lamport_not_rising", f"{envelope.lamport_time} after {self._lamport}")
        self._lamport = envelope.lamport_time

    def finish(self) -> None:
        """The server has ended the call as we asked: what is pending now has no ack."""
        if self._pending:
            self._error("ack_missing", f"no ack for {self._pending[0]}", len(self._pending))

    def _close(self, pending: Pending, ack: Ack, now_s: float) -> None:
        self._tally.acked += 1
        self._tally.ack.record(now_s - pending.from_s)
        self._acked_number = max(self._acked_number, _number(pending.correlation_id))
        accepted = ack.success
        if pending.status:
            accepted = self._listener.status_acked(pending.status, pending.ride_id, ack, now_s)
        if not accepted:
            code = ack.detail.partition(":")[0] or "UNSAID"
            self._error(f"refused:{code}", f"{pending}: {ack.detail}")

    def _out_of_turn(self, ack: Ack, now_s: float) -> None:
        """An ack that is not of the oldest envelope: of a later one, of one acked before, or of none."""
        for pending in self._pending:
            if pending.correlation_id == ack.correlation_id:
                self._error("ack_out_of_order", f"{pending} before {self._pending[0]}")
                self._pending.remove(pending)
                self._close(pending, ack, now_s)
                return
        seen_before = 0 < _number(ack.correlation_id) <= self._acked_number
        words = f"correlation id {ack.correlation_id!r}, detail {ack.detail!r}"
        self._error("ack_twice" if seen_before else "ack_unknown", words)

    def _error(self, kind: str, words: str, times: int = 1) -> None:
        self._tally.error(kind, f"{self._user_id}: {words}", times)


def _number(correlation_id: str) -> int:
    """The session's counter in a correlation id of ours; 0 in any other."""
    digits = correlation_id.removeprefix("s")
    return int(digits) if digits.isascii() and digits.isdigit() else 0
