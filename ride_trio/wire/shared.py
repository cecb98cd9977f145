"""What the connections of a server share: bounds on memory that none of them can keep alone."""

from __future__ import annotations

from dataclasses import dataclass

from ride_trio.wire.limits import Limits
from ride_trio.wire.loans import Loans
from ride_trio.wire.reserve import Reserve


@dataclass(frozen=True, slots=True)
class Shared:
    """One a server; a client's connection has its own."""

    loans: Loans
    reserve: Reserve

    @classmethod
    def of(cls, limits: Limits) -> Shared:
        return cls(Loans(limits.shared_lent), Reserve(limits.shared_unread))

    @property
    def held_bytes(self) -> int:
        """What connections have of both now."""
        return self.loans.lent + self.reserve.size_bytes - self.reserve.free_bytes
