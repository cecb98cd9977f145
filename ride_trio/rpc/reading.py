"""The reading side of a call, the same on server and client: `receive()` for a task, or a sink. See `messages`.

A task takes all that has arrived at once; the peer gets its window back for it when the task has come to the last of
these messages. So what a call holds is its window, and a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import purerpc
import trio
from google.protobuf.message import DecodeError

from ride_trio.metrics import Count
from ride_trio.rpc.compression import SLICE_BYTES, current_inflation, inflate_small
from ride_trio.rpc.link import Link
from ride_trio.rpc.status import error_for
from ride_trio.rpc.wakeup import Wakeup
from ride_trio.wire.frames import PREFIX_BYTES
from ride_trio.wire.inflow import MESSAGE_OVERHEAD_BYTES
from ride_trio.wire.states import CLOSED
from ride_trio.wire.stream import ENCODINGS, Compressed, Stream

In = TypeVar("In")

# Messages that are received in a row without a checkpoint: a power of two, as a mask. A window holds 13,000 tiny ones,
# which in one go would be 45 ms in which nobody else is served.
IN_A_ROW_MASK: Final = 63
# What every call begins with; nobody adds to a batch.
_NO_MESSAGES: Final[list[bytes]] = []


class MessageReader(Generic[In]):
    """What comes in. `fail(error)` is how a subclass learns that a sink, a source or the wire went wrong."""

    __slots__ = (
        "_arrival",
        "_batch",
        "_holding",
        "_in_type",
        "_inflated",
        "_link",
        "_offering",
        "_packed",
        "_parse",
        "_received",
        "_sink",
        "_told_end",
        "_uncredited",
        "_unread",
        "received_compressed",
        "stream",
    )

    def __init__(
        self,
        link: Link,
        stream: Stream,
        in_type: type[In],
        received: Count,
        parse: Callable[[bytes], In] | None = None,
    ) -> None:
        self._link = link
        self.stream = stream
        stream.owner = self
        self._in_type = in_type
        self._parse: Callable[[bytes], In] = parse or in_type.FromString  # type: ignore[attr-defined]
        self._received = received
        self._batch: list[bytes] = _NO_MESSAGES
        self._arrival: Wakeup | None = None
        self._sink: Callable[[In | None], bool] | None = None
        self._holding = False
        self._offering = False
        self._told_end = False
        self._unread = False
        self._uncredited = 0  # bytes of the batch
        self._packed = False  # messages may be compressed
        self._inflated = 0  # the ticket of a large message that the run's `Inflation` counts; 0 for none
        self.received_compressed = False

    def fail(self, error: Exception) -> None:
        """End the call with this error."""
        raise NotImplementedError

    def __aiter__(self) -> MessageReader[In]:
        return self

    async def __anext__(self) -> In:
        if self._inflated:
            self.release()
        if self._batch and not len(self._batch) & IN_A_ROW_MASK:
            await trio.lowlevel.checkpoint()
        if not self._batch and not await self._next_batch():
            raise StopAsyncIteration
        data = self._batch.pop()
        if not self._batch:
            self._give_back()
        return self.decode(await self._unpack(data) if self._packed else data)

    async def receive(self) -> In | None:
        """The next message, or None after the last.

        Raises:
            RpcFailedError: The message cannot be decoded, or (client) the call ended with another status than OK.
            trio.ClosedResourceError: (Server) the stream was reset or the connection is lost.
        """
        if self._inflated:
            self.release()
        if self._batch and not len(self._batch) & IN_A_ROW_MASK:
            await trio.lowlevel.checkpoint()
        if not self._batch and not await self._next_batch():
            return None
        data = self._batch.pop()
        if not self._batch:
            self._give_back()
        return self.decode(await self._unpack(data) if self._packed else data)

    async def _next_batch(self) -> bool:
        """Wait for messages and take them all; False at the end of the stream, and after `aclose()`."""
        while self._unread or not self.stream.inbox:
            if self._unread or self.at_end():
                return False
            if self.stream.state is CLOSED:
                await self._closed_while_receiving()
            if self._arrival is None:
                self._arrival = Wakeup()
            if not self._arrival.consume():
                await self._arrival.parked()
        stream = self.stream
        self._uncredited = stream.takeable
        batch = stream.take()
        self._received.n += len(batch)
        stream.overhead = len(batch) * MESSAGE_OVERHEAD_BYTES
        self._packed = stream.encoding != "identity"
        batch.reverse()
        self._batch = batch
        return True

    def take_last(self) -> In | None:
        """The message, if it is the only one, and the last; None if it has to be received like any other."""
        stream = self.stream
        if self._batch or stream.failure is not None or len(stream.inbox) != 1:
            return None
        self._received.n += 1
        self._credit(stream.takeable)
        return self.decode(stream.take()[0])

    def _give_back(self) -> None:
        """The batch is worked off, but for its last message: its bytes are the peer's to send again."""
        size, self._uncredited = self._uncredited, 0
        self.stream.overhead = 0
        if size:
            self._credit(size)

    def release(self) -> None:
        """What the last message was inflated to is not worked on any more."""
        if self._inflated:
            current_inflation().done(self._inflated)
            self._inflated = 0
            self.stream.overhead = 0

    async def _unpack(self, data: bytes) -> bytes:
        """A message of a call whose messages may be compressed; notes whether this one was."""
        self.received_compressed = isinstance(data, Compressed)
        if not self.received_compressed:
            return data
        message = self._inflate_small(data)
        if message is None:
            limit = self._link.wire.limits.max_message
            message, self._inflated = await current_inflation().inflate(data, limit)
        self.stream.overhead = max(self.stream.overhead, len(message))
        return message

    def _inflate_small(self, data: bytes) -> bytes | None:
        """A compressed message, if it is not large. A server may use an encoding that it was not offered."""
        if self.stream.encoding not in ENCODINGS:
            raise purerpc.InternalError(f"a message is compressed with {self.stream.encoding!r}, which was not offered")
        return inflate_small(data, self._link.wire.limits.max_message)

    async def _closed_while_receiving(self) -> None:
        """Reset, or the connection is lost: let a pending cancellation through, else say so."""
        await trio.lowlevel.checkpoint()
        raise trio.ClosedResourceError("the call is over: nothing more will arrive")

    async def aclose(self) -> None:
        """Read no more: iteration ends. The call itself lives on; its peer may send until its window is used up.

        This is what makes a call as good as an async generator where one is expected, as by purerpc's stubs.
        """
        self._unread = True
        self._batch = _NO_MESSAGES
        if self._arrival is not None:
            self._arrival.set()

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
        return purerpc.InternalError(f"a message of {len(data)} bytes is not a valid {name}")

    def _decode_packed(self, data: bytes) -> In:
        """For a sink, which cannot wait: a large message has no turn here."""
        if not isinstance(data, Compressed):
            return self.decode(data)
        message = self._inflate_small(data)
        if message is None:
            text = f"this method takes compressed messages of up to {SLICE_BYTES} bytes when decompressed"
            raise purerpc.ResourceExhaustedError(text)
        return self.decode(message)

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
        parse = self._parse if self.stream.encoding == "identity" else self._decode_packed
        try:
            for data in inbox:
                if not sink(parse(data)):
                    self._holding = True
                    break
                taken += 1
        except DecodeError:
            raise self._undecodable(inbox[taken]) from None
        finally:
            self._received.n += taken
            self._credit_taken(inbox, taken)
        if not inbox and self.at_end() and not self._told_end:
            self._told_end = True
            sink(None)

    def _offer_batch(self, sink: Callable[[In | None], bool]) -> bool:
        """First what was taken for `receive()` and is left of it: counted already, last one first."""
        batch = self._batch
        while batch:
            if not sink(self._decode_packed(batch[-1])):
                self._holding = True
                return False
            batch.pop()
        self._give_back()
        return True

    def _credit_taken(self, inbox: list[bytes], taken: int) -> None:
        if taken == len(inbox):
            self._credit(self.stream.takeable)
            inbox.clear()
        elif taken:
            self._credit(sum(map(len, inbox[:taken])) + taken * PREFIX_BYTES)
            del inbox[:taken]
