"""Keepalive: a peer that has gone without a word is found out.

A phone that loses its network sends neither FIN nor RST. When nothing has been read for `time_s`, a PING goes out; when
nothing has been read `timeout_s` later either, the connection is given up and its calls are cancelled.
Source: https://github.com/grpc/grpc/blob/master/doc/keepalive.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from ride_trio.wire.frames import ping_frame

if TYPE_CHECKING:
    from ride_trio.rpc.link import Link

_PING: Final = ping_frame(b"keepaliv")


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Args: seconds of quiet before a ping, and seconds that the peer has to answer."""

    time_s: float = 30.0
    timeout_s: float = 10.0


async def keep_alive(link: Link, keepalive: Keepalive) -> None:
    """Watch a connection until it ends or its peer does not answer."""
    while True:
        reads = link.reads
        await trio.sleep(keepalive.time_s)
        if link.reads != reads:
            continue
        link.outbound.control(_PING)
        link.mark()
        await trio.sleep(keepalive.timeout_s)
        if link.reads == reads:
            link.broken(TimeoutError(f"no answer to a keepalive ping for {keepalive.timeout_s:g} s"))
            return
