from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from ride_trio.rpc import Channel, Connectivity
from ride_trio_loadgen.connections import CONNECT_PATH, Connections


class FakeChannel:
    def __init__(self) -> None:
        self.state = Connectivity.READY
        self.opened: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    def open(self, path: str, request: type, response: type, *, metadata: Any) -> SimpleNamespace:
        self.opened.append((path, metadata))
        return SimpleNamespace()


def test_sessions_are_spread_over_the_connections_and_named() -> None:
    channels = [FakeChannel(), FakeChannel()]
    connections = Connections(cast("list[Channel]", channels))
    for index in range(4):
        connections.open(f"user-{index}")
    assert channels[1].opened == [
        (CONNECT_PATH, (("user-id", "user-1"),)),
        (CONNECT_PATH, (("user-id", "user-3"),)),
    ]


def test_a_connection_that_takes_no_new_calls_is_passed_over() -> None:
    channels = [FakeChannel(), FakeChannel()]
    connections = Connections(cast("list[Channel]", channels))
    channels[0].state = Connectivity.IDLE
    for index in range(3):
        connections.open(f"user-{index}")
    assert (len(channels[0].opened), len(channels[1].opened)) == (0, 3)
