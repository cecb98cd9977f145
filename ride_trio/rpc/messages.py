"""The message side of a call, the same on server and client.

Reading, two ways:

* `receive()` / `async for`: the call's task takes all that has arrived in one go and is woken once a batch.
* a sink: a plain function that gets every message inside the read pass, in order. No task is woken. A sink that
  returns False has not taken the message: it stays, and when the stream's window is used up the peer stops, until
  `resume()` offers it again.

Writing, two ways:

* `send()`: returns at once while the windows are open; otherwise waits, which is the backpressure.
* a source: a plain function that yields the next serialized message or raises trio.WouldBlock; after
  `wake_source()` it is pulled at the end of the scheduler pass, as far as flow control lets, and again when a shut
  window opens.

`receive` and `send` are checkpoints only when they have to wait. They always have to before long: what can be
received without waiting is one window, what can be sent is one window or `write_high_water`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import purerpc
import trio
from google.protobuf.message import DecodeError

from ride_trio.metrics import Count
from ride_trio.rpc.link import Link
from ride_trio.rpc.status import error_for
from ride_trio.rpc.wakeup import Wakeup
from ride_trio.wire.frames import PREFIX_BYTES
from ride_trio.wire.states import State
from ride_trio.wire.stream import Stream

In = TypeVar("In")
Out = TypeVar("Out")


class MessageStream(Generic[In, Out]):
    """See the module's text. `fail(error)` is how a subclass learns that a sink, a source or the wire went wrong."""

    __slots__ = (
        "_arrival",
        "_batch",
        "_holding",
        "_in_type",
        "_link",
        "_lot",
        "_offering",
        "_parse",
        "_received",
        "_sent",
        "_sink",
        "_source",
        "_source_empty",
        "_source_woken",
        "_started",
        "_told_end",
        "stream",
    )

    def __init__(self, link: Link, stream: Stream, in_type: type[In], received: Count, sent: Count) -> None:
        self._link = link
        self.stream = stream
        stream.owner = self
        self._in_type = in_type
        self._parse: Callable[[bytes], In] = in_type.FromString  # type: ignore[attr-defined]
        self._received = received
        self._sent = sent
        self._batch: list[bytes] = []
        self._arrival: Wakeup | None = None
        self._lot: trio.lowlevel.ParkingLot | None = None
        self._sink: Callable[[In | None], bool] | None = None
        self._holding = False
        self._offering = False
        self._told_end = False
        self._started = False
        self._source: Callable[[], bytes] | None = None
        self._source_woken = False
        self._source_empty = True

    def fail(self, error: Exception) -> None:
        """End the call with this error."""
        raise NotImplementedError

    def _start(self) -> None:
        """The first message is about to go out: a server sends its headers."""
        self._started = True

    # ------------------------------------------------------------------ receiving

    def __aiter__(self) -> MessageStream[In, Out]:
        return self

    async def __anext__(self) -> In:
        if not self._batch and not await self._next_batch():
            raise StopAsyncIteration
        return self.decode(self._batch.pop())

    async def receive(self) -> In | None:
        """The next message, or None after the last.

        Raises:
            RpcFailedError: The message cannot be decoded, or (client) the call ended with another status than OK.
        """
        if not self._batch and not await self._next_batch():
            return None
        return self.decode(self._batch.pop())

    async def _next_batch(self) -> bool:
        """Wait for messages and take them all; False at the end of the stream."""
        stream = self.stream
        while not stream.inbox:
            if self.at_end():
                return False
            if self._arrival is None:
                self._arrival = Wakeup()
            await self._arrival.wait()
        self._credit(stream.takeable)
        batch = stream.take()
        self._received.n += len(batch)
        batch.reverse()
        self._batch = batch
        return True

    def at_end(self) -> bool:
        """With an empty inbox: whether nothing more will come. Raises what the call failed with."""
        if self.stream.failure is not None:
            raise error_for(*self.stream.failure)
        return self.stream.remote_ended

    def decode(self, data: bytes) -> In:
        try:
            return self._parse(data)
        except DecodeError:
            raise self._undecodable(data) from None

    def _undecodable(self, data: bytes) -> purerpc.RpcFailedError:
        name = self._in_type.DESCRIPTOR.full_name  # type: ignore[attr-defined]
        return purerpc.InvalidArgumentError(f"a message of {len(data)} bytes is not a valid {name}")

    def _credit(self, size: int) -> None:
        link = self._link
        link.wire.credit(self.stream, size)
        if link.outbound.output and not link.dirty:
            link.mark()

    def set_sink(self, sink: Callable[[In | None], bool]) -> None:
        """Hand every message to a plain function, from what has arrived already onwards; None is the peer's end.

        Args:
            sink: Returns True if it has taken the message, False to have it (and all after it) held. What it
                raises ends the call.
        """
        self._sink = sink
        self.on_ready()

    def resume(self) -> None:
        """Offer what was held once more. Not from inside the sink."""
        self._holding = False
        self.on_ready()

    def on_ready(self) -> None:
        """Called by the link, in the read pass."""
        if self._sink is None:
            if self._arrival is not None:
                self._arrival.set()
        elif not self._holding and not self._offering:
            self._offering = True
            try:
                self._offer(self._sink)
            except Exception as error:
                self.fail(error)
                self._sink = None
            finally:
                self._offering = False

    def _offer(self, sink: Callable[[In | None], bool]) -> None:
        if not self._offer_batch(sink):
            return
        inbox, taken = self.stream.inbox, 0
        try:
            for data in inbox:
                if not sink(self.decode(data)):
                    self._holding = True
                    break
                taken += 1
        finally:
            self._received.n += taken
            self._credit_taken(inbox, taken)
        if not inbox and self.at_end() and not self._told_end:
            self._told_end = True
            sink(None)

    def _offer_batch(self, sink: Callable[[In | None], bool]) -> bool:
        """First what was taken for `receive()` and is left of it: counted and credited already, last one first."""
        batch = self._batch
        while batch:
            if not sink(self.decode(batch[-1])):
                self._holding = True
                return False
            batch.pop()
        return True

    def _credit_taken(self, inbox: list[bytes], taken: int) -> None:
        if taken == len(inbox):
            self._credit(self.stream.takeable)
            inbox.clear()
        elif taken:
            self._credit(sum(map(len, inbox[:taken])) + taken * PREFIX_BYTES)
            del inbox[:taken]

    # ------------------------------------------------------------------ sending

    async def send(self, message: Out) -> None:
        """Send a message; waits while the peer's window or the connection's buffer is full."""
        await self.send_encoded(message.SerializeToString())  # type: ignore[attr-defined]

    async def send_encoded(self, data: bytes) -> None:
        """Send an already serialized message.

        Raises:
            trio.ClosedResourceError: The call is over (a server's handler is then being cancelled).
        """
        stream, link = self.stream, self._link
        if not self._started:
            self._start()
        if self._sending_is_over():
            await self.closed_while_sending()
        self._sent.n += 1
        if not link.outbound.send_message(stream, data):
            link.stalls.n += 1
            link.flush()
            await self.wait_sent()
        elif not link.dirty:
            link.mark()

    def _sending_is_over(self) -> bool:
        state = self.stream.state
        return state is State.CLOSED or state is State.HALF_CLOSED_LOCAL

    async def closed_while_sending(self) -> None:
        """The stream takes no more: let a pending cancellation through, else say so."""
        await trio.lowlevel.checkpoint()
        raise trio.ClosedResourceError("the call is over: nothing more can be sent")

    def send_nowait(self, message: Out) -> bool:
        """Send a message if the windows are open; what does not fit into them follows by itself.

        Returns:
            False if it would have to wait or the call takes no more; it was not sent then.
        """
        stream, link = self.stream, self._link
        if not self._started:
            self._start()
        if self._sending_is_over() or not link.outbound.can_send(stream):
            return False
        self._sent.n += 1
        link.outbound.send_message(stream, message.SerializeToString())  # type: ignore[attr-defined]
        link.mark()
        return True

    async def wait_sent(self) -> None:
        """Wait until nothing of this call waits for a window."""
        while self.stream.pending and self.stream.state is not State.CLOSED:
            if self._lot is None:
                self._lot = trio.lowlevel.ParkingLot()
            await self._lot.park()

    def on_writable(self) -> None:
        """Called by the link, outside the pass's end."""
        if self._lot is not None:
            self._lot.unpark_all()

    def set_source(self, pull: Callable[[], bytes]) -> None:
        """Send what a plain function yields.

        Args:
            pull: The next serialized message, or raises trio.WouldBlock. It must neither wait nor wake a task.
        """
        self._source = pull
        if not self._source_empty:  # it was woken before
            self.wake_source()

    def wake_source(self) -> None:
        """There is something to pull."""
        self._source_empty = False
        if not self._source_woken:
            self._source_woken = True
            self._link.sources.append(self)
            if not self._link.dirty:
                self._link.mark()

    def drain_source(self) -> None:
        """Pull now, as far as flow control lets."""
        self._source_empty = False
        self.pull()
        self._link.mark()

    async def flush_source(self) -> None:
        """Wait until the source is empty and everything of it has left this call."""
        self._source_empty = False
        while True:
            self.pull()
            self._link.mark()
            empty = self._source is None or self._source_empty
            if self._sending_is_over() or (empty and not self.stream.pending):
                return
            if self._lot is None:
                self._lot = trio.lowlevel.ParkingLot()
            await self._lot.park()

    def pull(self) -> None:
        """Called by the link at the end of a pass."""
        self._source_woken = False
        if self._source is None or self._source_empty or self._sending_is_over():
            return
        outbound, stream, sent = self._link.outbound, self.stream, 0
        if not self._started:
            self._start()
        try:
            while outbound.can_send(stream):
                outbound.send_message(stream, self._source())
                sent += 1
        except trio.WouldBlock:
            self._source_empty = not self._source_woken  # it may have woken itself
            return
        except Exception as error:
            self._source = None
            self._link.soon(self.fail, error)
            return
        finally:
            self._sent.n += sent
            if sent and self._holding:
                self._link.soon(self.resume)  # a sink that held back for want of room has some now
        self._link.stalls.n += 1
        outbound.want_write(stream)

    def statistics(self) -> dict[str, Any]:
        """What waits in this call, for a person who debugs."""
        return {
            "stream": self.stream.id,
            "state": self.stream.state.value,
            "inbox": len(self.stream.inbox) + len(self._batch),
            "pending_bytes": len(self.stream.pending or b""),
            "send_window": self.stream.send_window,
        }
