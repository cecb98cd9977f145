"""What groups tell about themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemberDescription:
    """A member. `assignments`: topic, partition, and the committed offset or None; in order."""

    member_id: str
    client_id: str
    client_host: str
    assignments: list[tuple[str, int, int | None]]


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind on a partition.

    Attributes:
        committed: None if it has committed nothing.
        lag: records that it has not read; without a commit, all that there are.
        member_id: whose it is; empty for nobody's.
    """

    topic: str
    partition: int
    committed: int | None
    end_offset: int
    lag: int
    member_id: str


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group at one moment. `assignor` is empty as long as nobody has joined; members and lags are in order."""

    group_id: str
    state: str
    generation: int
    assignor: str
    members: list[MemberDescription]
    lags: list[PartitionLag]


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A group in a list. Its state is "Stable" with members and "Empty" without."""

    group_id: str
    state: str
    member_count: int


@dataclass(frozen=True, slots=True)
class GroupsStatistics:
    """All groups at one moment; rebalances since the start."""

    groups: int
    members: int
    rebalances: int
