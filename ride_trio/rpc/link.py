"""One connection on trio: reads, lets `wire` work, hands the results to calls, and writes once a pass.

    read task ──feed──> wire.Connection ──ready/events──> calls (sinks run here; parked tasks are woken)
                              │ output
    end of the scheduler pass └──flush──> socket         (what does not fit: the write task)

Tasks: one reads, one writes when the socket is full (any other transport than a socket is always "full": it can only
be written by a task), and each call has its own; all in the connection's nursery.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

import trio

from ride_trio.metrics import Count
from ride_trio.rpc.flusher import current_flusher
from ride_trio.rpc.transport import LINGER_S, Transport
from ride_trio.rpc.wakeup import Wakeup
from ride_trio.wire import Connection, ErrorCode
from ride_trio.wire.events import ConnectionEnded, Event
from ride_trio.wire.outbound import nobody_to_tell
from ride_trio.wire.stream import Stream

log = logging.getLogger(__name__)

# How often a peer that has left something half done is looked at again, s.
TICK_S: Final = 10.0
# How much of its input a connection works through in a turn: it begins with so many frames, and takes twice or half as
# many when that was too quick or too slow, s. First the reading alone; then with what it has set off, the handlers.
FIRST_FRAMES: Final = 8
QUICK_S: Final = 0.000_3
SLOW_S: Final = 0.000_6
QUICK_WITH_HANDLERS_S: Final = 0.000_5
SLOW_WITH_HANDLERS_S: Final = 0.001
# After so many turns without a reader of little there is nobody to be left a pass to.
ALONE_TURNS: Final = 64


class StreamUser(Protocol):
    """The owner of a wire stream, as the link sees it."""

    def on_ready(self) -> None:
        """Messages, the peer's end, or a failure have come."""

    def on_writable(self) -> None:
        """Everything pending is out. May be called where no task may be woken."""

    def pull(self) -> None:
        """Drain the source, as far as flow control lets. Called where no task may be woken."""


class Link(ABC):
    """A connection; `run()` is its life."""

    def __init__(
        self, wire: Connection, transport: Transport, bytes_in: Count, bytes_out: Count, stalls: Count
    ) -> None:
        self.wire = wire
        self.outbound = wire.outbound
        self.transport = transport
        self.peer = transport.peer
        self.sources: list[StreamUser] = []
        self.dirty = False
        self.over = False
        self.reads = 0
        self.heard = 0  # how often something was read, or a part of it worked through
        self.heard_s = trio.current_time()  # when that was last
        self.nursery: trio.Nursery | None = None
        self.stalls = stalls
        self._bytes_in = bytes_in
        self._bytes_out = bytes_out
        self._backlog = b""
        self._writer = Wakeup()
        self._drained = trio.lowlevel.ParkingLot()
        self._flusher = current_flusher()
        self._woken_senders: list[StreamUser] = []
        self._broken: Exception | None = None
        self.tick_s = TICK_S
        self._tick_at = 0.0
        self._watched_read = -1  # the number of the last read that was watched
        self._frames = FIRST_FRAMES  # of the input, to be worked through in a turn
        self._busy = False  # the last read was more than can be done at once
        self._reading = trio.CancelScope()
        self.outbound.lent = self.mark

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer}, {len(self.wire.streams)} streams>"

    # ------------------------------------------------------------------ writing

    def mark(self) -> None:
        """There is something to write (or to pull): flush at the end of this pass."""
        if self.dirty or self.over:
            return
        self.dirty = True
        self._flusher.mark(self)

    def flush(self) -> None:
        """Pull the woken sources and write what there is, without waiting and without waking a task."""
        if self.over:
            return  # the socket is closed, and its number may be another one's by now
        self._pull_sources()
        outbound = self.outbound
        while not outbound.corked:
            self._write()
            if not outbound.writable:
                return
            self._serve_writable()
            if not outbound.output:
                return

    def soon(self, function: Callable[..., None], *args: object) -> None:
        """Run a plain function in the next pass: for what the end of a pass may not do, such as waking tasks."""
        self._flusher.token.run_sync_soon(function, *args)

    def _pull_sources(self) -> None:
        """Pull each woken source once. What that queues is written next; a source that wakes itself comes again."""
        sources, self.sources = self.sources, []
        for user in sources:
            user.pull()
        self.dirty = False
        if self.sources:
            self.mark()

    def _write(self) -> None:
        outbound = self.outbound
        while data := outbound.take_output():
            try:
                sent = self.transport.write_nowait(data)
            except OSError as error:
                self.soon(self.broken, error)
                outbound.corked = True
                return
            self._bytes_out.n += sent
            if sent < len(data):
                outbound.corked = True
                self._backlog = data[sent:] if sent else data
                self.soon(self._writer.set)
                return
            outbound.resume()

    def _serve_writable(self) -> None:
        """Streams whose pending bytes are out: pull their sources here, wake their senders outside."""
        writable, self.outbound.writable = self.outbound.writable, []
        for stream in writable:
            if stream.owner is not None:
                stream.owner.pull()
                self._woken_senders.append(stream.owner)
        self.soon(self._wake_senders)

    def _wake_senders(self) -> None:
        users, self._woken_senders = self._woken_senders, []
        for user in users:
            user.on_writable()

    def broken(self, error: Exception) -> None:
        """Writing has failed: end the connection when what the peer has said before it left is read."""
        self._broken = self._broken or error
        self._reading.deadline = min(self._reading.deadline, trio.current_time() + LINGER_S)

    def gone(self, why: str) -> None:
        """The peer does not answer any more: end the connection."""
        log.info("connection of %s is given up: %s", self.peer, why)
        self._broken = self._broken or TimeoutError(why)
        self._reading.cancel()

    def close(self) -> None:
        """End the connection without another word."""
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    async def _write_loop(self) -> None:
        """Write what the end-of-pass flush could not."""
        while True:
            await self._writer.wait()
            data = self._backlog or self.outbound.take_output()
            self._backlog = b""
            while data:
                self.outbound.corked = True
                try:
                    await self.transport.write(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
                    self.broken(error)
                    return
                self._bytes_out.n += len(data)
                self.outbound.uncork()
                data = self.outbound.take_output()
                if self.outbound.writable:
                    self._serve_writable()
                    data = data or self.outbound.take_output()
            self._drained.unpark_all()

    async def drained(self) -> None:
        """Wait until all output has been handed to the socket, or the connection is over."""
        self.flush()
        while self.outbound.corked and not self.over:
            await self._drained.park()

    # ------------------------------------------------------------------ reading

    async def run(self) -> None:
        """Serve the connection until the peer leaves, breaks a rule, or the scope around it is cancelled."""
        try:
            async with trio.open_nursery() as self.nursery:
                self.nursery.start_soon(self._write_loop)
                self.started()
                self.mark()
                try:
                    await self._read_until_end()
                    await self.wind_down()
                finally:
                    self.nursery.cancel_scope.cancel()  # before `lost`: who can be cancelled is to be Cancelled
                    self.lost()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as group:
            self._broken = self._broken or group
        finally:
            self.over = True
            self._drained.unpark_all()
            self.ended(self._broken)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                await self.transport.aclose()
            # Circles less for the garbage collector: connections come and go.
            self.outbound.lent, self.nursery = nobody_to_tell, None

    @abstractmethod
    def started(self) -> None:
        """The nursery is open: start helper tasks."""

    @abstractmethod
    def lost(self) -> None:
        """Reading is over, and all tasks are cancelled: wake those that wait under a shield."""

    @abstractmethod
    def ended(self, error: Exception | None) -> None:
        """The connection is over: nothing more will arrive on any stream."""

    @abstractmethod
    async def wind_down(self) -> None:
        """Nothing more will arrive: end what goes on, gently."""

    async def _read_until_end(self) -> None:
        """Read until the peer leaves or breaks a rule, or its connection is gone."""
        try:
            with self._reading:
                await self._read_loop()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            self._broken = self._broken or error.with_traceback(None)
        finally:
            self.wire.release()

    async def _read_loop(self) -> None:
        wire, transport = self.wire, self.transport
        while True:
            more = await self._read_watched() if wire.unsettled else self._take(await transport.read())
            if more is None:
                break
            if more:
                await self._work_in_turns()
            if wire.fault is not None:
                break
            if self._is_asked_too_much:
                await self.drained()
        if wire.fault is not None:
            await self._say_goodbye()

    @property
    def _is_asked_too_much(self) -> bool:
        """The peer asks and does not read the answers: it may ask on when it has read."""
        return self.outbound.size > self.wire.limits.max_control_backlog

    def _take(self, data: bytes) -> bool | None:
        """Work through what was read, or a part of it; True if there is more, None if the peer has left."""
        if not data:
            return None
        self._bytes_in.n += len(data)
        self.reads += 1
        self._has_heard()
        self.wire.feed(data)
        patience = self.wire.patience
        if patience.strained:
            patience.refill(self.heard_s)
        if self._busy:
            return True
        self._flusher.alone = 0
        return self._work()

    def _has_heard(self) -> None:
        """The peer lives: what it has said is being read."""
        self.heard += 1
        self.heard_s = trio.current_time()

    def _work(self) -> bool:
        """Work through a part of the input; True if there is more."""
        more = self.wire.process(self._frames)
        self._dispatch()
        return more

    async def _work_in_turns(self) -> None:
        """Work through the input in parts, one connection at a time, and leave passes to the others between.

        In the first the handlers run that the part has woken, and whoever wrote meanwhile is read; in the second those
        are answered, if there are any.
        """
        flusher, turns, more = self._flusher, 0, True
        while more:
            async with flusher.turn:
                began = perf_counter()
                more = self._work()
                alone_s = perf_counter() - began
                flusher.alone += 1
                self._has_heard()
                await trio.lowlevel.checkpoint()
                if flusher.alone < ALONE_TURNS:
                    await trio.lowlevel.checkpoint()
                if more:
                    self._adapt(alone_s, perf_counter() - began)
            turns += 1
        self._busy = turns > 1

    def _adapt(self, alone_s: float, with_handlers_s: float) -> None:
        """Take more or fewer frames next time.

        Others' handlers are in the longer time, too: for those no connection gets less than it began with.
        """
        if alone_s > SLOW_S:
            self._frames = max(1, self._frames // 2)
        elif self._frames > FIRST_FRAMES and with_handlers_s > SLOW_WITH_HANDLERS_S:
            self._frames //= 2
        elif alone_s < QUICK_S and (self._frames < FIRST_FRAMES or with_handlers_s < QUICK_WITH_HANDLERS_S):
            self._frames = min(2 * self._frames, self.wire.limits.pass_frames)

    async def _read_watched(self) -> bool | None:
        """Like `_take`, until nothing is half done; what the peer leaves so is looked at every `tick_s`."""
        wire = self.wire
        if self._watched_read != self.reads:  # the last read was an ordinary one: time begins now
            wire.tick(begin=True)
            self._tick_at = trio.current_time() + self.tick_s
        while wire.fault is None:
            with trio.move_on_at(self._tick_at):
                while trio.current_time() < self._tick_at:
                    more = self._take(await self.transport.read())
                    if more is not False or wire.fault is not None or not wire.unsettled or self._is_asked_too_much:
                        self._watched_read = self.reads
                        return more
            self._tick_at += self.tick_s
            while wire.tick():
                self._dispatch()
                await trio.lowlevel.checkpoint()
            self._dispatch()
        return False

    def _dispatch(self) -> None:
        """Hand on what a pass over the input has brought."""
        wire = self.wire
        while wire.events:
            events, wire.events = wire.events, []
            for event in events:
                self.on_event(event)
        ready, wire.ready = wire.ready, []
        for stream in ready:
            stream.queued = False
            if stream.owner is not None:
                stream.owner.on_ready()
        outbound = self.outbound
        if outbound.writable:
            self._serve_writable()
        if outbound.output and not self.dirty:
            self.mark()

    @abstractmethod
    def on_event(self, event: Event) -> None:
        """Something besides messages has happened."""

    async def _say_goodbye(self) -> None:
        """After a fault: the GOAWAY has to reach the peer."""
        with trio.move_on_after(LINGER_S):
            await self.drained()
            await self.transport.send_eof()
            while await self.transport.read():
                pass

    # ------------------------------------------------------------------ for calls

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """RST_STREAM, unless the stream is closed."""
        self.wire.reset(stream, code)
        self.mark()

    def log_fault(self, event: ConnectionEnded) -> None:
        log.info("connection of %s ended: %s", self.peer, event.fault)
