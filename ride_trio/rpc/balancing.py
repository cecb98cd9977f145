"""Which of a channel's servers gets a call."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from ride_trio.rpc.subchannel import Connectivity, Subchannel
from ride_trio.wire.metadata import Metadata

# Points on the ring for each server: with 100 the most loaded of ten has about a fifth more than its share.
_POINTS: Final = 100


class Balancer(Protocol):
    """A policy.

    Attributes:
        resolves: It wants every address of every name, each with a connection of its own.
        eager: These are made before a call wants them.
        keyed: A call has its own server: where one finds no room, another may.
    """

    resolves: bool
    eager: bool
    keyed: bool

    def pick(self, subchannels: Sequence[Subchannel], metadata: Metadata) -> Subchannel | None:
        """The server for a call, READY; None if the call has to wait for one. Those it waits for are `want`ed."""


class PickFirst:
    """The first server that takes a connection has all calls; when it is lost, the first that does then."""

    resolves = False
    eager = False
    keyed = False

    def pick(self, subchannels: Sequence[Subchannel], metadata: Metadata) -> Subchannel | None:
        for subchannel in subchannels:  # there is one, which tries all addresses
            if subchannel.state is Connectivity.READY:
                return subchannel
            subchannel.want()
        return None


class RoundRobin:
    """The servers that are there, in turn; of these, first those that have room for a call."""

    resolves = True
    eager = True
    keyed = False

    def __init__(self) -> None:
        self._next = random.randrange(1 << 16)  # clients that begin together do not begin with the same server

    def pick(self, subchannels: Sequence[Subchannel], metadata: Metadata) -> Subchannel | None:
        ready = [subchannel for subchannel in subchannels if subchannel.link is not None]
        if not ready:
            return None
        self._next += 1
        turn = self._next % len(ready)
        in_turn = ready[turn:] + ready[:turn]
        return next((s for s in in_turn if s.link is not None and s.link.client.can_open), in_turn[0])


class ConsistentHash:
    """Calls with the same value of a metadata key go to the same server, as long as it is there.

    When a server goes, its keys are spread over the others and no other key moves; one that joins takes its share from
    all. Calls without the key go anywhere.

    Args:
        key: Name of the metadata.
    """

    resolves = True
    eager = False
    keyed = True

    def __init__(self, key: str) -> None:
        self._key = key.lower()
        self._names: tuple[str, ...] = ()
        self._ring: list[tuple[int, int]] = []

    def pick(self, subchannels: Sequence[Subchannel], metadata: Metadata) -> Subchannel | None:
        for place in self._places(subchannels, metadata):
            subchannel = subchannels[place]
            if subchannel.state is Connectivity.READY:
                return subchannel
            subchannel.want()
            if subchannel.state is not Connectivity.TRANSIENT_FAILURE:
                return None
        return None

    def _places(self, subchannels: Sequence[Subchannel], metadata: Metadata) -> Iterator[int]:
        """Indices of the servers, in the order in which they come for this call; mostly the first one will do."""
        names = tuple(subchannel.name for subchannel in subchannels)
        if names != self._names:
            self._names = names
            points = ((_hash(f"{name}#{point}"), place) for place, name in enumerate(names) for point in range(_POINTS))
            self._ring = sorted(points)
        value = next((value for name, value in metadata if name == self._key), None)
        number = random.getrandbits(64) if value is None else _hash(value)
        ring, at = self._ring, bisect(self._ring, (number,))
        seen = set()
        for point in range(at, at + len(ring)):
            _, place = ring[point % len(ring)]
            if place not in seen:
                seen.add(place)
                yield place


def _hash(value: str | bytes) -> int:
    data = value.encode() if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
