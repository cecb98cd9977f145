"""The client of `bench rpc`, the same for every engine: `wire` over blocking sockets, nothing awaited.

It has to be cheaper than the cheapest server: a client that is behind would leave fewer messages in flight than the
row says. So it takes all that a read has brought, and answers it with one write.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar

from ride_trio.wire import ClientConnection, Limits, ServerConnection, Stream
from ride_trio.wire.events import ConnectionEnded, GoAwayReceived, StreamReset, TrailersReceived
from ride_trio.wire.frames import PREFIX, headers_frames
from ride_trio.wire.headers import RequestHead, response_block
from ride_trio_loadgen.bench.echo import ENCODED, PATH

HOST: Final = "127.0.0.1"
# No server needs so long for anything here: it is an error.
TIMEOUT_S: Final = 60.0
READ_BYTES: Final = 262_144
# What a frame of its own adds to a message.
FRAMING_BYTES: Final = 9 + PREFIX.size
# Large enough that no row waits for the client to give back its connection's window.
LIMITS: Final = Limits(connection_window=4_194_304)

# The dynamic table of header compression begins behind the static one (RFC 7541, section 2.3.3).
_FIRST_DYNAMIC: Final = 62
_POST_HTTP: Final = b"\x83\x86"  # :method POST, :scheme http
_INDEXED: Final = b"\x40"  # a literal that is remembered, its name spelled out
_PLAIN: Final = b"\x00"


def connect(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class IndexingConnection(ClientConnection):
    """Sends a header in full once and its index from then on, as gRPC's clients do."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self._places: dict[bytes, int] = {}

    def open(self, head: RequestHead) -> Stream:
        stream = Stream(self._next_stream_id, self._stream_window, self.outbound.peer.initial_window_size)
        self._next_stream_id += 2
        self.streams[stream.id] = stream
        self.outbound.send_headers(stream, self._block(head))
        return stream

    def _block(self, head: RequestHead) -> bytes:
        fields = (
            _text(":path", head.path),
            _text(":authority", HOST),
            _text("content-type", head.content_type),
            _text("te", "trailers"),
        )
        own = (_PLAIN + _text(name, str(value)) for name, value in head.metadata)
        return b"".join((_POST_HTTP, *map(self._field, fields), *own))

    def _field(self, text: bytes) -> bytes:
        place = self._places.get(text)
        if place is None:
            self._places[text] = len(self._places)
            return _INDEXED + text
        return bytes((0x80 | (_FIRST_DYNAMIC + len(self._places) - 1 - place),))


def _text(name: str, value: str) -> bytes:
    """A field's strings. They are short: each length fits into a byte."""
    return bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


class Peer:
    """One connection to a gRPC server.

    Args:
        port: The server's.
        expected: What every message that comes back has to be; None does not look.

    Attributes:
        arrived: Messages so far.
        ended: Calls that have ended with OK so far.
    """

    def __init__(self, port: int, expected: bytes | None = ENCODED) -> None:
        self.sock = connect(port)
        self.wire = IndexingConnection()
        self.outbound = self.wire.outbound
        self.arrived = self.ended = 0
        self._expected = expected
        self._shake_hands()

    def _shake_hands(self) -> None:
        self.flush()
        while not self.wire.settings_seen:
            self.read()
            self.flush()

    def open(self, path: str = PATH, metadata: tuple[tuple[str, str], ...] = ()) -> Stream:
        return self.wire.open(RequestHead(path, metadata=metadata))

    def send(self, stream: Stream, count: int = 1, message: bytes = ENCODED) -> None:
        """Queue messages, each in a frame of its own."""
        for _ in range(count):
            self.outbound.send_message(stream, message)

    def send_packed(self, stream: Stream, count: int) -> None:
        """Queue messages, all in one frame, if it is large enough and the windows are."""
        self._queue(stream, (PREFIX.pack(0, len(ENCODED)) + ENCODED) * count)
        self.outbound.want_write(stream)
        self.outbound.resume()

    def _queue(self, stream: Stream, data: bytes) -> None:
        stream.pending = stream.pending or bytearray()
        stream.pending += data
        self.outbound.pending_bytes += len(data)

    def request(self, path: str, message: bytes = ENCODED) -> None:
        """Queue a unary call: its headers, and one frame that ends it."""
        self.outbound.send_last(self.open(path), PREFIX.pack(0, len(message)) + message)

    def flush(self) -> None:
        data = self.outbound.take_output()
        if data:
            self.sock.sendall(data)

    def read(self) -> int:
        """Wait for bytes; how many messages they were."""
        wire = self.wire
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server has closed the connection")
        wire.feed(data)
        while wire.process():
            pass
        if wire.events:
            self._look_at_events()
        ready, wire.ready = wire.ready, []
        arrived = sum(map(self._take, ready))
        self.arrived += arrived
        return arrived

    def _take(self, stream: Stream) -> int:
        stream.queued = False
        size = stream.takeable
        messages = stream.take()
        self.wire.credit(stream, size)
        if messages and self._expected is not None and messages[-1] != self._expected:
            raise ValueError(f"a message of {len(messages[-1])} bytes came back as another one")
        return len(messages)

    def _look_at_events(self) -> None:
        events, self.wire.events = self.wire.events, []
        for event in events:
            if isinstance(event, TrailersReceived):
                if event.trailers.code:
                    raise ConnectionError(f"a call failed: {event.trailers}")
                self.ended += 1
            elif isinstance(event, StreamReset | ConnectionEnded | GoAwayReceived):
                raise ConnectionError(f"the server ended it: {event}")

    def close(self) -> None:
        self.sock.close()


class EchoedPeer(Peer):
    """One connection to a server that only sends back the bytes it gets.

    What comes back is our own frames, and the client does the same work for them as for a gRPC server's: a client that
    answered sooner would not let this server sleep between two messages, and waking up is much of what one costs.
    """

    def _shake_hands(self) -> None:
        server = ServerConnection(LIMITS)
        server.feed(self.outbound.take_output())
        server.process()
        self._answered(server.outbound.take_output())

    def open(self, path: str = PATH, metadata: tuple[tuple[str, str], ...] = ()) -> Stream:
        stream = super().open(path, metadata)
        block = response_block()
        self._answered(headers_frames(stream.id, block, end_stream=False, max_frame=len(block)))
        return stream

    def _answered(self, data: bytes) -> None:
        """What a gRPC server would have said to what was to be sent."""
        self.outbound.take_output()
        self.wire.feed(data)
        self.wire.process()
        self._look_at_events()


class RawPeer:
    """One who listens to a server of plain bytes; a message is as long as one in a frame of its own.

    Args:
        port: The server's.
        message_bytes: Of a message, without what a frame adds.
    """

    def __init__(self, port: int, message_bytes: int) -> None:
        self.sock = connect(port)
        self._message_bytes = FRAMING_BYTES + message_bytes
        self._half = 0

    def flush(self) -> None:
        """Who only listens has nothing to say."""

    def read(self) -> int:
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server has closed the connection")
        whole, self._half = divmod(self._half + len(data), self._message_bytes)
        return whole

    def close(self) -> None:
        self.sock.close()


AnyPeer = TypeVar("AnyPeer", Peer, RawPeer)


class Poller(Generic[AnyPeer]):
    """Several connections: which of them have something to read."""

    def __init__(self, peers: Sequence[AnyPeer]) -> None:
        self._peers: dict[int, AnyPeer] = {peer.sock.fileno(): peer for peer in peers}
        self._epoll = select.epoll()
        for number in self._peers:
            self._epoll.register(number, select.EPOLLIN)

    def ready(self) -> Iterator[AnyPeer]:
        found = self._epoll.poll(TIMEOUT_S)
        if not found:
            raise TimeoutError(f"nothing has come for {TIMEOUT_S:g} s")
        for number, _ in found:
            yield self._peers[number]

    def close(self) -> None:
        self._epoll.close()
