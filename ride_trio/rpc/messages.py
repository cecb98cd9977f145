"""The message side of a call, the same on server and client.

Reading (in `reading`), two ways:

* `receive()` / `async for`: the call's task takes all that has arrived in one go and is woken once a batch.
* a sink: a plain function that gets every message inside the read pass, in order. No task is woken. A sink that
  returns False has not taken the message: it stays, and when the stream's window is used up the peer stops, until
  `resume()` offers it again.

Writing, two ways:

* `send()`: returns at once while the windows are open; otherwise waits, which is the backpressure.
* a source: a plain function that yields the next serialized message, or None if there is none now; after
  `wake_source()` it is pulled at the end of the scheduler pass, as far as flow control lets, and again when a shut
  window opens. What it yields in a row shares frames.

`receive` and `send` are checkpoints only when they cannot go on at once. That comes before long: what can be received
without a checkpoint is what has arrived, and of that 64 messages in a row; what can be sent is what the windows and
`write_high_water` let through, whichever is less, and the message that does not fit into it is a checkpoint.

Beyond that, a call queues one message at most, however many tasks send on it and however often they are cancelled:
the next one is queued when nothing of the call is pending. (`send_nowait` and sources queue only when it is so.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import trio

from ride_trio.metrics import Count
from ride_trio.rpc.compression import deflate
from ride_trio.rpc.link import Link
from ride_trio.rpc.reading import In, MessageReader
from ride_trio.wire.frames import PREFIX_BYTES
from ride_trio.wire.states import CLOSED, HALF_CLOSED_LOCAL
from ride_trio.wire.stream import Stream

Out = TypeVar("Out")


class MessageStream(MessageReader[In], Generic[In, Out]):
    """See the module's text."""

    __slots__ = ("_compresses", "_lot", "_sent", "_source", "_source_empty", "_source_woken", "_started", "_turn")

    def __init__(
        self,
        link: Link,
        stream: Stream,
        in_type: type[In],
        received: Count,
        sent: Count,
        parse: Callable[[bytes], In] | None = None,
    ) -> None:
        super().__init__(link, stream, in_type, received, parse)
        self._sent = sent
        self._lot: trio.lowlevel.ParkingLot | None = None
        self._started = False
        self._compresses = False  # our headers have named, or will name, an encoding
        self._turn: trio.StrictFIFOLock | None = None  # made when somebody has to wait before it may queue
        self._source: Callable[[], bytes | None] | None = None
        self._source_woken = False
        self._source_empty = True

    def _start(self) -> None:
        """The first message is about to be queued: a server sends its headers, if it has not."""
        self._started = True

    def on_closed(self) -> None:
        """Called by the link: the stream was reset or the connection is lost. Wakes those who wait under a shield."""
        if self._arrival is not None:
            self._arrival.set()
        self.on_writable()

    # ------------------------------------------------------------------ sending

    async def send(self, message: Out, *, compress: bool = True) -> None:
        """Send a message; waits while the peer's window or the connection's buffer is full.

        Args:
            message: It.
            compress: False leaves it as it is in a call that compresses. Sources and `send_nowait` never compress.

        A `send` that is cancelled may have sent its message all the same: it waits before it queues the message for as
        long as an earlier one is pending, and after it until its own is out.

        Raises:
            trio.ClosedResourceError: As `send_encoded`.
        """
        data = message.SerializeToString()  # type: ignore[attr-defined]
        if self._compresses and compress:
            await self.send_encoded(await deflate(data), compressed=1)
        else:
            await self.send_encoded(data)

    async def send_encoded(self, data: bytes, compressed: int = 0) -> None:
        """Send an already serialized message, maybe the same bytes on many calls.

        Tasks that have to wait for each other send in the order they came.

        Args:
            data: The message.
            compressed: 1 if `data` is compressed with the call's encoding.

        Raises:
            trio.ClosedResourceError: The call is over (a server's handler is then being cancelled).
        """
        if self.stream.pending or self._turn is not None:
            await self._queue_in_turn(data, compressed)
        else:
            state = self.stream.state
            if state is CLOSED or state is HALF_CLOSED_LOCAL:
                await self.closed_while_sending()
            if self._queue(data, compressed):
                return
        # A real checkpoint even if the flush frees the way: else who sends in a loop would hold all others up.
        self._link.flush()
        if self.stream.pending:
            await self.wait_sent()
        else:
            await trio.lowlevel.checkpoint()

    @property
    def sendable_bytes(self) -> int:
        """How large a message may be to go out at once, as far as the peer's windows go; below 0 if none may."""
        return min(self.stream.send_window, self._link.outbound.window) - PREFIX_BYTES

    def _queue(self, data: bytes, compressed: int = 0) -> bool:
        """Queue a message; False if not all of it is on its way now."""
        link = self._link
        if not self._started:
            self._start()
        self._sent.n += 1
        if not link.outbound.send_message(self.stream, data, compressed):
            link.stalls.n += 1
            return False
        if not link.dirty:
            link.mark()
        return True

    async def _queue_in_turn(self, data: bytes, compressed: int) -> None:
        """Wait until nothing of this call is pending, one sender after the other, then queue."""
        if self._turn is None:
            self._turn = trio.StrictFIFOLock()
        async with self._turn:
            await self.wait_sent()
            if self._sending_is_over():
                await self.closed_while_sending()
            self._queue(data, compressed)
            if not self._turn.statistics().tasks_waiting:
                self._turn = None

    def _sending_is_over(self) -> bool:
        state = self.stream.state
        return state is CLOSED or state is HALF_CLOSED_LOCAL

    async def closed_while_sending(self) -> None:
        """The stream takes no more: let a pending cancellation through, else say so."""
        await trio.lowlevel.checkpoint()
        raise trio.ClosedResourceError("the call is over: nothing more can be sent")

    def send_nowait(self, message: Out) -> bool:
        """Send a message if the windows are open; what does not fit into them follows by itself.

        Returns:
            False if it would have to wait or the call takes no more; it was not sent then.
        """
        if not self.can_send:
            return False
        self.push(message.SerializeToString())  # type: ignore[attr-defined]
        return True

    @property
    def can_send(self) -> bool:
        """Whether at least a part of a message could go out now."""
        return not self._sending_is_over() and self._link.outbound.room(self.stream) > 0

    def push(self, data: bytes) -> None:
        """Send an already serialized message, if `can_send` was true just now."""
        self._queue(data)
        if not self._link.dirty:
            self._link.mark()

    def send_whole(self, data: bytes) -> bool:
        """Send an already serialized message if all of it can go out now; else False, and nothing is sent."""
        link, stream = self._link, self.stream
        state = stream.state
        if not self._started or state is CLOSED or state is HALF_CLOSED_LOCAL:
            return False
        if not link.outbound.send_whole(stream, data):
            return False
        self._sent.n += 1
        if not link.dirty:
            link.mark()
        return True

    async def wait_sent(self) -> None:
        """Wait until nothing of this call waits for a window."""
        while self.stream.pending and self.stream.state is not CLOSED:
            if self._lot is None:
                self._lot = trio.lowlevel.ParkingLot()
            await self._lot.park()

    def on_writable(self) -> None:
        """Called by the link, outside the pass's end."""
        if self._lot is not None:
            self._lot.unpark_all()

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        """Send what a plain function yields.

        Args:
            pull: The next serialized message, or None if there is none. It must neither wait nor wake a task.
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

    def detach(self) -> None:
        """The handler has returned: neither sink nor source is called any more. What was pulled still goes out."""
        self._sink = self._source = None

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
        outbound, stream, sent, more = self._link.outbound, self.stream, 0, True
        while more and (room := outbound.room(stream)) > 0:
            messages, size, more = self._pull_frame(self._source, room)
            if messages:
                if not self._started:
                    self._start()
                sent += len(messages)
                outbound.send_messages(stream, messages, size)
        self._sent.n += sent
        if sent and self._holding:
            self._link.soon(self.resume)  # a sink that held back for want of room has some now
        if more:
            self._link.stalls.n += 1
            outbound.want_write(stream)
        else:
            self._source_empty = not self._source_woken  # it may have woken itself

    def _pull_frame(self, source: Callable[[], bytes | None], room: int) -> tuple[list[bytes], int, bool]:
        """Messages for a frame with so much room; their size, prefixes included; whether there may be more."""
        messages: list[bytes] = []
        size = 0
        try:
            while (data := source()) is not None:
                messages.append(data)
                size += len(data) + PREFIX_BYTES
                if size >= room:
                    return messages, size, True
        except Exception as error:
            self._source = None
            self._link.soon(self.fail, error)
        return messages, size, False

    def statistics(self) -> dict[str, Any]:
        """What waits in this call, for a person who debugs."""
        return {
            "stream": self.stream.id,
            "state": self.stream.state.value,
            "inbox": len(self.stream.inbox) + len(self._batch),
            "pending_bytes": len(self.stream.pending or b""),
            "send_window": self.stream.send_window,
        }
