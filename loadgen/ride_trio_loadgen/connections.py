"""The connections of a run, and the calls on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope
from ride_trio.rpc import Channel, Connectivity
from ride_trio_loadgen.session import RideCall

CONNECT_PATH = "/ride.v1.RideStreamService/Connect"


class Connections:
    """Spreads sessions evenly over open channels.

    Args:
        channels: at least one, each entered by the caller.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self._next = cycle(channels)

    def open(self, user_id: str) -> RideCall:
        """A Connect call for `user_id`, to be entered; on a connection that takes new ones, if any does."""
        for _ in self._channels:
            channel = next(self._next)
            if channel.state is Connectivity.READY:
                break
        return channel.open(CONNECT_PATH, ClientEnvelope, ServerEnvelope, metadata=(("user-id", user_id),))
