"""The life of one `Connect` call: a session from its registration to its goodbye.

    register ─> live: inbound by the sink, outbound by the source, the task sleeps until silence ─> leave ─> goodbye

The session's nursery holds the little that has to wait: for a broker's lock. Cancelling its scope is how
anyone ends the session; a lost connection cancels the scope around it instead, and then there is nobody to say
goodbye to. Leaving is synchronous, so no cancellation can come between.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import trio

from ride_trio.city import Change, Observer, View
from ride_trio.errors import LogFullError, NoHeartbeatError, SessionError, SlowConsumerError
from ride_trio.services.ride_context import RideCall, RideContext
from ride_trio.services.ride_inbox import RideInbox
from ride_trio.sessions import Outbox, Session

log = logging.getLogger(__name__)

# Seconds for the last messages to leave. A round trip on a bad mobile link is 300 ms; a peer that doesn't read must
# not keep its session's memory for longer.
FLUSH_S: Final = 1.0


class RideStream(RideInbox):
    """One session over one call.

    Args:
        context: what the service shares.
        call: ends when `run` has returned.
        user_id: the user's name; None if only a body will tell.
        transport: what the call is, as in metrics.
        may_observe: it is an operator's.
    """

    __slots__ = ("_call", "_changing", "_nursery", "_observer")

    def __init__(
        self,
        context: RideContext,
        call: RideCall,
        user_id: str | None,
        transport: str = "grpc",
        *,
        may_observe: bool = False,
    ) -> None:
        outbox = Outbox(context.outbound_buffer, context.counts[transport].outbox)
        super().__init__(context, Session(outbox, context.now, transport), user_id is not None)
        self.session.user_id = user_id or str(uuid4())
        self.may_observe = may_observe
        self._call: RideCall | None = call
        self._nursery: trio.Nursery | None = None
        self._observer: Observer | None = None
        self._changing = False

    def __repr__(self) -> str:
        return f"<RideStream {self.session!r}>"

    async def run(self) -> SessionError | LogFullError | None:
        """Register, live, leave, say goodbye.

        Returns:
            What the call shall fail with, if anything.
        """
        session, call, context = self.session, self._call, self._context
        assert call is not None  # once only
        try:
            if context.journal is not None:
                await context.journal.admit()
            await context.broker.register(session, session.user_id)
        except (SessionError, LogFullError) as error:
            return error.with_traceback(None)
        session.outbox.connect(call.wake_source, call.drain_source)
        try:
            await self._live(call)
            await self._say_goodbye(call)
        finally:
            self._call = None
            session.outbox.close()
        return session.ending

    async def _live(self, call: RideCall) -> None:
        session, context, how = self.session, self._context, "cancelled"
        self.user = context.dispatcher.join(session.user_id)
        self.remind_of_ride = self.user.is_matched
        self._counts.active.n += 1
        context.chronicle.note(session.user_id, f"opened a session over {session.transport}")
        if context.journal is not None:
            context.journal.session_opened(session)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                session.open(nursery)
                await call.start()
                call.set_source(session.outbox.pull)
                call.set_sink(self.take)
                await session.wait_silent(context.heartbeat_timeout_s)
                self._fell_silent()
            how = session.ending.code.lower() if session.ending else "completed"
        finally:
            self._leave(how)

    def _fell_silent(self) -> None:
        session = self.session
        if session.half_closed:
            session.finish()
        elif not session.outbox.has_room():  # so it may well have said something, which waits for room
            session.end(SlowConsumerError("the client does not read its answers"))
        else:
            self._counts.heartbeat_miss.n += 1
            timeout_s = self._context.heartbeat_timeout_s
            session.end(NoHeartbeatError(f"nothing was heard for {timeout_s:g} s"))

    def _leave(self, how: str) -> None:
        """Undo what `_live` and the registration did. A session that was taken over leaves its user to the newer."""
        context, session = self._context, self.session
        self._nursery = None
        self._stop_observing()
        session.closed()
        if context.broker.leave(session):
            context.dispatcher.leave(self.user)
        self._counts.active.n -= 1
        self._counts.ended(how).n += 1
        lasted_s = context.now() - session.opened_at
        context.chronicle.note(session.user_id, f"session ended: {how}")
        self._counts.duration.observe(lasted_s)
        if context.journal is not None:
            context.journal.session_ended(session, how, lasted_s)
        log.debug("session %s of %r ended after %.1f s: %s", session.session_id, session.user_id, lasted_s, how)

    async def _say_goodbye(self, call: RideCall) -> None:
        """Let what is queued leave, with a Disconnect behind it for who knows what that is."""
        session, context = self.session, self._context
        if session.ending is not None and self.said_hello:
            self._send(context.envelopes.disconnect(session.ending), self._counts.disconnects)
        with trio.move_on_after(FLUSH_S):
            await call.flush_source()

    # ------------------------------------------------------------------ observing

    def observe(self, view: View, rate_hz: float) -> None:
        """See `RideInbox`."""
        self._stop_observing()
        if rate_hz:
            outbox = self.session.outbox
            self._observer = self._context.city.observe(view, rate_hz, self._show, lambda: outbox.is_empty)

    def _show(self, change: Change) -> None:
        self._send(self._context.envelopes.city_view(change), self._counts.city_views)

    def _stop_observing(self) -> None:
        if self._observer is not None:
            self._context.city.leave(self._observer)
            self._observer = None

    # ------------------------------------------------------------------ holding

    def hold_for(self, change: Callable[[], Awaitable[None]]) -> None:
        """See `RideInbox`."""
        if self._nursery is not None and not self._changing:
            self._changing = True
            self._nursery.start_soon(self._resume_after, change)

    async def _resume_after(self, change: Callable[[], Awaitable[None]]) -> None:
        await change()
        self._changing = False
        if self._call is not None:
            self._call.resume()
