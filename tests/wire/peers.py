"""The other side of a connection, as bytes: frames written and read by hand, and two connections joined in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ride_trio.wire import ClientConnection, Connection, ErrorCode, Limits, ServerConnection, Stream, frames, hpack
from ride_trio.wire.events import RequestReceived, ResponseReceived
from ride_trio.wire.frames import PREFACE, PREFIX, frame
from ride_trio.wire.headers import RequestHead, response_block

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/test.Echo/Bidi"),
    (b":authority", b"test"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
SETTINGS = frames.settings_frame({})
SETTINGS_ACK = frame(frames.SETTINGS, frames.ACK, 0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was on the wire."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def number(self) -> int:
        """The last four bytes: RST_STREAM's code, WINDOW_UPDATE's increment."""
        return int.from_bytes(self.payload[-4:], "big")


def read_frames(data: bytes) -> list[Frame]:
    """Cut bytes into frames; whole ones only."""
    found = []
    while data:
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        assert len(data) >= 9 + length, "half a frame"
        found.append(Frame(kind, flags, int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def sent(connection: Connection) -> list[Frame]:
    """The frames that wait in a connection's output, which is emptied. A client's preface is left out."""
    return read_frames(connection.outbound.take_output().removeprefix(PREFACE))


def headers(stream_id: int, fields: Iterable[tuple[bytes, bytes]] = REQUEST, *, end: bool = False) -> bytes:
    return frames.headers_frames(stream_id, hpack.encode(fields), end_stream=end, max_frame=16_384)


def asked(*replaced: tuple[bytes, bytes], without: bytes = b"") -> tuple[tuple[bytes, bytes], ...]:
    """The usual request with some fields changed, added or left out."""
    changes = dict(replaced)
    usual = [(name, changes.pop(name, value)) for name, value in REQUEST if name != without]
    return (*usual, *changes.items())


def fields_of(found: Frame) -> dict[bytes, bytes]:
    return {name: value for name, value, _ in hpack.Decoder(65_536).decode(found.payload) or ()}


def data(stream_id: int, payload: bytes, *, end: bool = False, padding: int | None = None) -> bytes:
    """A DATA frame; with `padding` zero bytes behind the payload."""
    flags = frames.END_STREAM if end else 0
    if padding is None:
        return frame(frames.DATA, flags, stream_id, payload)
    padded = bytes((padding,)) + payload + bytes(padding)
    return frame(frames.DATA, flags | frames.PADDED, stream_id, padded)


def framed(message: bytes, flag: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return PREFIX.pack(flag, len(message)) + message


def receive(connection: Connection, *parts: bytes) -> None:
    """Feed bytes, and work until there is no more to do."""
    for part in parts:
        connection.feed(part)
        while connection.process():
            pass


def news(connection: Connection) -> list[Stream]:
    """Take the streams with messages, as a shell does."""
    ready = list(connection.ready)
    connection.ready.clear()
    for stream in ready:
        stream.queued = False
    return ready


def take(connection: Connection, stream: Stream) -> list[bytes]:
    """Take a stream's messages, and credit them."""
    connection.credit(stream, stream.takeable)
    return stream.take()


def server(limits: Limits | None = None, settings: dict[int, int] | None = None) -> ServerConnection:
    """A server's connection whose client has said hello; its output is empty."""
    connection = ServerConnection(limits or Limits())
    receive(connection, PREFACE + frames.settings_frame(settings or {}) + SETTINGS_ACK)
    connection.outbound.take_output()
    return connection


def client(limits: Limits | None = None, settings: dict[int, int] | None = None) -> ClientConnection:
    """A client's connection whose server has said hello; its output is empty."""
    connection = ClientConnection(limits or Limits())
    receive(connection, frames.settings_frame(settings or {}) + SETTINGS_ACK)
    connection.outbound.take_output()
    return connection


def server_call(connection: ServerConnection, stream_id: int = 1, *, end: bool = False) -> Stream:
    """A call that a client has just opened."""
    receive(connection, headers(stream_id, end=end))
    event = connection.events.pop()
    assert isinstance(event, RequestReceived), event
    return event.stream


def client_call(connection: ClientConnection, *, answered: bool = False) -> Stream:
    """A call that we have just opened."""
    stream = connection.open(RequestHead("/test.Echo/Bidi", authority="test"))
    if answered:
        receive(connection, headers(stream.id, RESPONSE))
        assert isinstance(connection.events.pop(), ResponseReceived)
    connection.outbound.take_output()
    return stream


def fault_of(connection: Connection) -> ErrorCode | None:
    """What the connection was given up for; then its last frame is the GOAWAY that says so."""
    if connection.fault is None:
        return None
    goaway = sent(connection)[-1]
    assert goaway.kind == frames.GOAWAY
    assert goaway.payload[4:8] == connection.fault.code.to_bytes(4, "big")
    return connection.fault.code


def resets(connection: Connection) -> list[tuple[int, ErrorCode]]:
    """The RST_STREAM frames in a connection's output, which is emptied."""
    return [(f.stream_id, ErrorCode(f.number)) for f in sent(connection) if f.kind == frames.RST_STREAM]


def write_all(connection: Connection) -> bytes:
    """Everything that a connection has to say, its socket taking it all."""
    written = b""
    while piece := connection.outbound.take_output():
        written += piece
        connection.outbound.resume()
    return written


class Pair:
    """A client's and a server's connection with one answered call between them, and a wire that passes bytes."""

    def __init__(self, client_limits: Limits | None = None, server_limits: Limits | None = None) -> None:
        self.client = ClientConnection(client_limits or Limits())
        self.server = ServerConnection(server_limits or Limits())
        self.near = self.client.open(RequestHead("/test.Echo/Bidi", authority="test"))
        self.exchange()
        self.far = self.server.streams[self.near.id]
        self.server.outbound.send_headers(self.far, response_block())
        self.exchange()
        self.client.events.clear()
        self.server.events.clear()

    def step(self) -> bool:
        """Bring over what waits on both sides; False if nothing did."""
        to_server, to_client = write_all(self.client), write_all(self.server)
        receive(self.server, to_server)
        receive(self.client, to_client)
        assert self.client.fault is None
        assert self.server.fault is None
        return bool(to_server or to_client)

    def exchange(self) -> None:
        while self.step():
            pass
