from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from ride_trio.rpc import Connectivity, ConsistentHash, PickFirst, RoundRobin
from ride_trio.rpc.subchannel import Subchannel


class Fake:
    """A server, as a policy sees it."""

    def __init__(self, name: str, state: Connectivity = Connectivity.READY, *, room: bool = True) -> None:
        self.name = name
        self.state = state
        self.wanted = False
        self.link = SimpleNamespace(client=SimpleNamespace(can_open=room)) if state is Connectivity.READY else None

    def want(self) -> None:
        self.wanted = True


def pick(policy: Any, fakes: list[Fake], key: str | None = None) -> str | None:
    metadata = () if key is None else (("user-id", key),)
    picked = policy.pick(cast("list[Subchannel]", fakes), metadata)
    return None if picked is None else picked.name


def fakes(*names: str) -> list[Fake]:
    return [Fake(name) for name in names]


def test_pick_first() -> None:
    assert pick(PickFirst(), fakes("a")) == "a"
    idle = Fake("a", Connectivity.IDLE)
    assert pick(PickFirst(), [idle]) is None
    assert idle.wanted


def test_round_robin_takes_turns_among_those_that_are_there() -> None:
    policy = RoundRobin()
    servers = [*fakes("a", "b"), Fake("c", Connectivity.CONNECTING), Fake("d")]
    assert Counter(pick(policy, servers) for _ in range(300)) == {"a": 100, "b": 100, "d": 100}
    assert pick(policy, [Fake("c", Connectivity.IDLE)]) is None


def test_round_robin_prefers_who_has_room() -> None:
    policy = RoundRobin()
    servers = [Fake("a", room=False), Fake("b"), Fake("c", room=False)]
    assert {pick(policy, servers) for _ in range(10)} == {"b"}
    assert pick(policy, [Fake("a", room=False)]) == "a"  # where there will be room


KEYS = [f"user-{number}" for number in range(2_000)]


def homes(policy: ConsistentHash, servers: list[Fake]) -> dict[str, str | None]:
    return {key: pick(policy, servers, key) for key in KEYS}


def test_a_key_has_its_server_and_all_have_about_as_many() -> None:
    servers = fakes("a:1", "b:1", "c:1", "d:1")
    first = homes(ConsistentHash("user-id"), servers)
    assert homes(ConsistentHash("User-Id"), servers) == first
    assert homes(ConsistentHash("user-id"), servers[::-1]) == first
    counts = Counter(first.values())
    assert min(counts.values()) > 300
    assert max(counts.values()) < 700


def test_when_a_server_goes_only_its_keys_move_and_they_are_spread() -> None:
    policy, servers = ConsistentHash("user-id"), fakes("a:1", "b:1", "c:1", "d:1")
    before = homes(policy, servers)
    for gone in (
        [servers[0], servers[1], servers[3]],
        [*servers[:2], Fake("c:1", Connectivity.TRANSIENT_FAILURE), servers[3]],
    ):
        after = homes(policy, gone)
        moved = {key for key in KEYS if before[key] != after[key]}
        assert moved == {key for key in KEYS if before[key] == "c:1"}
        assert {after[key] for key in moved} == {"a:1", "b:1", "d:1"}


def test_a_key_waits_for_its_server_while_it_is_being_connected() -> None:
    policy = ConsistentHash("user-id")
    servers = [Fake("a:1"), Fake("b:1", Connectivity.IDLE)]
    waiting = [key for key in KEYS if pick(policy, servers, key) is None]
    assert 0 < len(waiting) < len(KEYS)
    assert servers[1].wanted
    servers[1] = Fake("b:1")
    assert {pick(policy, servers, key) for key in waiting} == {"b:1"}


def test_without_the_key_any_server_will_do() -> None:
    policy, servers = ConsistentHash("user-id"), fakes("a:1", "b:1")
    assert {pick(policy, servers) for _ in range(100)} == {"a:1", "b:1"}
    assert pick(policy, [Fake("a", Connectivity.TRANSIENT_FAILURE)]) is None
    assert policy.pick((), ()) is None
