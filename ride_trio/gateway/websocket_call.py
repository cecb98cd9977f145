"""A WebSocket as what carries a session: the half that `ride_trio.rpc.Call` is over gRPC.

Two tasks. One reads a message, has the sink take it, and reads the next: a sink that holds back stops the reading, and
then TCP stops the peer. The other writes what the source yields; while the peer does not read, it waits in a write, and
the session's outbox fills as that of any slow session does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from ride_trio.gateway.codecs import Codec
from ride_trio.gateway.framing import FrameStream
from ride_trio.metrics import Count
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope

Sink = Callable[[ClientEnvelope | None], bool]

# Bytes pulled ahead of the writing task: what many neighbours say within one scheduler pass has a place, as in the
# output buffer of a gRPC connection.
PULLED_AHEAD_BYTES: Final = 65_536


class WebSocketCall:
    """See the module's text.

    Args:
        socket: an open one.
        frames: the stream below it.
        codec: what its messages are.
        held: counts the messages that had to wait.
    """

    __slots__ = (
        "_codec",
        "_frames",
        "_held",
        "_pull",
        "_pulled",
        "_pulled_bytes",
        "_room",
        "_sink",
        "_socket",
        "_source_empty",
        "_work",
        "_written",
        "closed",
    )

    def __init__(self, socket: WebSocketConnection, frames: FrameStream, codec: Codec, held: Count) -> None:
        self._socket = socket
        self._frames = frames
        self._codec = codec
        self._held = held
        self._sink: Sink | None = None
        self._room = trio.lowlevel.ParkingLot()  # the reader, while there is no sink, or it holds back
        self._pull: Callable[[], bytes | None] | None = None
        self._pulled: list[bytes] = []  # the oldest first; short, and an empty deque is 700 bytes
        self._pulled_bytes = 0
        self._source_empty = True
        self._work = trio.lowlevel.ParkingLot()  # the writer, while there is nothing
        self._written = trio.lowlevel.ParkingLot()  # who flushes
        self.closed = False

    # ------------------------------------------------------------------ what a session uses

    async def start(self) -> None:
        """Nothing: the handshake is done."""

    def set_sink(self, sink: Sink) -> None:
        """Have every envelope taken by a plain function; None is the peer's end."""
        self._sink = sink
        self._room.unpark_all()

    def resume(self) -> None:
        """Offer what was held once more."""
        self._room.unpark_all()

    def set_source(self, pull: Callable[[], bytes | None]) -> None:
        """Send what a plain function yields until it says None."""
        self._pull = pull
        self.wake_source()

    def wake_source(self) -> None:
        """There is something to pull."""
        self._source_empty = False
        self._work.unpark_all()

    def drain_source(self) -> None:
        """Pull now, as much as may wait here."""
        while self._pull is not None and self._pulled_bytes < PULLED_AHEAD_BYTES:
            data = self._pull()
            if data is None:
                break
            self._pulled.append(data)
            self._pulled_bytes += len(data)
        self._work.unpark_all()

    async def flush_source(self) -> None:
        """Wait until the source is empty and everything of it is written, or the connection is lost."""
        self._source_empty = False
        self._work.unpark_all()
        while not (self.closed or self._source_empty):
            await self._written.park()

    # ------------------------------------------------------------------ the tasks

    async def read(self) -> None:
        """Have the sink take what comes, until the peer closes.

        Raises:
            ConnectionClosed: it has, or the connection is lost.
            UndecodableError: what came is no envelope.
        """
        while self._sink is None:
            await self._room.park()
        while True:
            message = await self._socket.get_message()
            self._frames.message_read()
            envelope = self._codec.decode(message)
            while not self._sink(envelope):
                self._held.n += 1
                await self._room.park()

    def peer_closed(self) -> None:
        """The peer has said that it is done."""
        if self._sink is not None:
            self._sink(None)

    async def write(self, quiet_s: float, when_quiet: Callable[[], None]) -> None:
        """Write what there is to pull, until the connection is lost.

        Args:
            quiet_s: seconds without anything to write...
            when_quiet: ... after which this is called.
        """
        try:
            while True:
                while (data := self._next()) is not None:
                    await self._socket.send_message(self._codec.encode(data))
                    self._room.unpark_all()  # a sink that held back for want of room has some now
                self._source_empty = True
                self._written.unpark_all()
                with trio.move_on_after(quiet_s) as quiet:
                    while self._source_empty:
                        await self._work.park()
                if quiet.cancelled_caught:
                    when_quiet()
        except ConnectionClosed:
            pass  # the reader says so
        finally:
            self.closed = True
            self._written.unpark_all()

    def _next(self) -> bytes | None:
        if self._pulled:
            data = self._pulled.pop(0)
            self._pulled_bytes -= len(data)
            return data
        return self._pull() if self._pull is not None else None
