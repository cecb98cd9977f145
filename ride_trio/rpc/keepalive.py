"""Keepalive, and the other times of a connection.

A phone that loses its network sends neither FIN nor RST. When nothing has been read for `time_s`, a PING goes out; when
nothing has been read `timeout_s` later either, the connection is given up and its calls are cancelled.
Source: https://github.com/grpc/grpc/blob/master/doc/keepalive.md
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import uniform
from typing import TYPE_CHECKING, Final

import trio

from ride_trio.wire.frames import ping_frame

if TYPE_CHECKING:
    from ride_trio.rpc.link import Link
    from ride_trio.rpc.server_link import ServerLink

_PING: Final = ping_frame(b"keepaliv")
# A server's words, which are gRPC's: its clients ping more rarely when they hear them.
TOO_MANY_PINGS: Final = b"too_many_pings"
# Two may come too early, by chance or a clock.
_STRIKES_BORNE: Final = 2
# Part of a connection's age, and of its time to shake hands: those that began together do not end together.
JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Times of a connection, s; inf switches one off.

    Args:
        time_s: Quiet before a ping goes out; a client's only while it has calls.
        timeout_s: What the peer has to answer it.
        min_ping_interval_s: A server allows a client's pings so often, on top of those that go with messages; who pings
            more often a third time hears ENHANCE_YOUR_CALM `too_many_pings`. A client pings no more often, and half as
            often once it has heard that.
        max_idle_s: A server sends a client away that has had no call for so long.
        max_age_s: A server sends a client away after so long, give or take a tenth, so that a load balancer can spread
            connections anew. Off until sessions can resume elsewhere.
        max_age_grace_s: What its calls then have to finish.
        handshake_timeout_s: What a client has to shake hands (TLS, preface, SETTINGS), and to finish a header block
            that it has begun.
    """

    time_s: float = 30.0
    timeout_s: float = 10.0
    min_ping_interval_s: float = 15.0
    max_idle_s: float = 900.0
    max_age_s: float = float("inf")
    max_age_grace_s: float = 300.0
    handshake_timeout_s: float = 10.0

    def half_as_often(self) -> Keepalive:
        """With pings after twice the quiet."""
        return replace(self, time_s=2 * max(self.time_s, self.min_ping_interval_s))


class PingStrikes:
    """Counts a client's pings that are too many (gRPC's "ping strikes").

    Pings that go with our messages are how clients measure a connection's bandwidth; those in between are keepalive,
    and may come every `min_interval_s`.
    """

    __slots__ = ("_last_s", "_min_interval_s", "_said", "_strikes")

    def __init__(self, min_interval_s: float) -> None:
        self._min_interval_s = min_interval_s
        self._last_s = -math.inf
        self._said = 0
        self._strikes = 0

    def one_too_many(self, now_s: float, said: int) -> bool:
        """Count a ping.

        Args:
            now_s: When it came.
            said: Bytes that we have sent so far beside answers to control frames.
        """
        if said != self._said:
            self._said, self._strikes = said, 0
        elif now_s - self._last_s < self._min_interval_s:
            self._strikes += 1
        self._last_s = now_s
        return self._strikes > _STRIKES_BORNE


class Pings:
    """When a connection is to be looked at next, and what is to be done then: ping its peer, or give it up."""

    __slots__ = ("_link", "_pinged_at", "_pinged_s", "_time_s", "_timeout_s")

    def __init__(self, link: Link, time_s: float, timeout_s: float) -> None:
        self._link = link
        self._time_s = time_s
        self._timeout_s = timeout_s
        self._pinged_s = 0.0
        self._pinged_at = -1

    @property
    def _waits(self) -> bool:
        """Whether nothing has been read since the last ping."""
        return self._pinged_at == self._link.heard

    @property
    def next_s(self) -> float:
        return self._pinged_s + self._timeout_s if self._waits else self._link.heard_s + self._time_s

    def look(self) -> bool:
        """Do what is due. False: the peer is given up."""
        if trio.current_time() < self.next_s:
            return True
        if self._waits:
            self._link.gone(f"no answer to a keepalive ping for {self._timeout_s:g} s")
            return False
        self._pinged_s = trio.current_time()
        self._pinged_at = self._link.heard
        self._link.outbound.control(_PING)
        self._link.mark()
        return True


async def keep_alive(link: Link, keepalive: Keepalive) -> None:
    """Watch a client's connection until it ends or its server does not answer.

    Only while it has calls: servers send away who pings without.
    """
    time_s = max(keepalive.time_s, keepalive.min_ping_interval_s)
    pings = Pings(link, time_s, keepalive.timeout_s)
    next_s = pings.next_s
    while True:
        await trio.sleep_until(next_s)
        if link.wire.streams:
            if not pings.look():
                return
            next_s = pings.next_s
        else:
            next_s = trio.current_time() + time_s


async def look_after(link: ServerLink, keepalive: Keepalive) -> None:
    """Ping a quiet client, and send one away that has had no call for `max_idle_s` or is older than `max_age_s`.

    One task for all of it: a server has as many of these as clients.
    """
    now_s = trio.current_time()
    too_old_s = now_s + keepalive.max_age_s * uniform(1 - JITTER, 1 + JITTER)
    pings = Pings(link, keepalive.time_s, keepalive.timeout_s)
    while now_s < too_old_s and now_s < link.idle_since_s + keepalive.max_idle_s:
        # While there are calls the client is not idle: that may begin as soon as we sleep.
        idle_s = now_s if link.idle_since_s == math.inf else link.idle_since_s
        await trio.sleep_until(min(pings.next_s, too_old_s, idle_s + keepalive.max_idle_s))
        if not pings.look():
            return
        now_s = trio.current_time()
    await link.retire("max_age" if now_s >= too_old_s else "max_idle", keepalive.max_age_grace_s)
