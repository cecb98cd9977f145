"""A live session: who it is, where, when it was last heard of, and how it comes to its end.

A session is a nursery. Its owner (a gRPC handler, or a WebSocket's) opens one, hands it over with `open`, and waits
in `wait_silent`; whoever wants the session to end calls `end` or `finish`, which cancels that nursery's scope from
any task, and the owner then says goodbye in the way of its transport.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final
from uuid import uuid4

import trio

from ride_trio.errors import SessionError
from ride_trio.sessions.outbox import Outbox
from ride_trio.sessions.zones import Zone

# Characters of a user id, a message id or a ride id. Ids in use are UUIDs (36) and phone numbers; ids are echoed,
# logged and kept, so a megabyte of them must not be possible.
MAX_ID_CHARS: Final = 128

# Names the run of the process, so that ids in logs of different runs differ.
_RUN: Final = uuid4().hex[:8]
_numbers = count(1)


def is_valid_id(text: str) -> bool:
    """Whether a text may serve as an id: not too long, and no control characters (ids go into logs)."""
    return len(text) <= MAX_ID_CHARS and text.isprintable()


class Session:
    """One user's stream.

    Args:
        outbox: its outbound buffer.
        now: the clock, s, as `trio.current_time`.
        transport: what carries it, as in metrics: "grpc" or "websocket".

    Attributes:
        user_id: set by the broker.
        zone: that of the newest position; set by the broker.
        last_seen: when the peer last said something, s of `now`; its owner sets it at every message.
        ending: why the server ends the session; None if it doesn't, or if it ends well.
        over: nothing more is to be taken from the peer, and nothing but the goodbye to be sent.
        half_closed: the peer will say no more, but waits for an answer.
        number: counts up with every session of the process.
        registered: the broker knows it.
    """

    __slots__ = (
        "_now",
        "_scope",
        "ending",
        "half_closed",
        "last_seen",
        "number",
        "opened_at",
        "outbox",
        "over",
        "registered",
        "transport",
        "user_id",
        "zone",
    )

    def __init__(self, outbox: Outbox, now: Callable[[], float], transport: str = "grpc") -> None:
        self.user_id = ""
        self.transport = transport
        self.number = next(_numbers)
        self.outbox = outbox
        self.zone: Zone | None = None
        self.opened_at = self.last_seen = now()
        self.ending: SessionError | None = None
        self.over = False
        self.half_closed = False
        self.registered = False
        self._now = now
        self._scope: trio.CancelScope | None = None

    def __repr__(self) -> str:
        ending = f", ending {self.ending.code}" if self.ending else ""
        return f"<Session {self.session_id} of {self.user_id}, zone {self.zone.name if self.zone else None}{ending}>"

    @property
    def session_id(self) -> str:
        """Its name in logs and in a Welcome, unlike that of any other session, also of other runs."""
        return f"{_RUN}-{self.number}"

    def open(self, nursery: trio.Nursery) -> None:
        """Take the nursery whose scope ends the session."""
        self._scope = nursery.cancel_scope
        if self.over:
            self._scope.cancel()

    def end(self, error: SessionError) -> None:
        """End it with an error; the first reason stays."""
        if not self.over:
            self.ending = error
            self._cancel()

    def finish(self) -> None:
        """End it well."""
        if not self.over:
            self._cancel()

    def answered(self) -> None:
        """What the peer asked for has its answer: a half-closed session has nothing more to wait for."""
        if self.half_closed:
            self.finish()

    def closed(self) -> None:
        """Its nursery is gone."""
        self.over = True
        self._scope = None

    async def wait_silent(self, timeout_s: float) -> None:
        """Return when the peer has said nothing for so long.

        Args:
            timeout_s: seconds since `last_seen`.
        """
        while (deadline := self.last_seen + timeout_s) > self._now():
            with trio.move_on_at(deadline):
                await trio.sleep_forever()

    def _cancel(self) -> None:
        self.over = True
        if self._scope is not None:
            self._scope.cancel()
