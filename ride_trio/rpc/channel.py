"""The client's connection, which purerpc-generated stubs accept as their channel.

async with Channel("127.0.0.1", 7443) as channel:
    reply = await GreeterStub(channel).SayHello(HelloRequest(name="you"))
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

import purerpc
import trio

from ride_trio.metrics import Count
from ride_trio.rpc.client_call import ClientCall
from ride_trio.rpc.link import Link
from ride_trio.rpc.stub_stream import StubSocket
from ride_trio.rpc.tls import ALPN
from ride_trio.rpc.transport import SocketTransport, StreamTransport, Transport
from ride_trio.wire import ClientConnection, ErrorCode, Limits, LocalError
from ride_trio.wire.events import (
    ConnectionEnded,
    Event,
    GoAwayReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.metadata import MetadataLike, encode_metadata
from ride_trio.wire.stream import ENCODINGS, Stream

if TYPE_CHECKING:
    from types import TracebackType

Request = TypeVar("Request")
Response = TypeVar("Response")

# A server that speaks HTTP/2 sends its SETTINGS at once; what doesn't in this time is something else.
HANDSHAKE_TIMEOUT_S: Final = 10.0


class ClientLink(Link):
    """A connection to a server."""

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self.client = ClientConnection(limits)
        super().__init__(self.client, transport, Count(), Count(), Count())
        self.goaway = False
        self.reason = "the server closed the connection"
        self.changed = trio.lowlevel.ParkingLot()  # settings, streams or the connection's life have changed
        self.handshaken = False
        self._max_streams = self.outbound.peer.max_concurrent_streams

    def started(self) -> None:
        """A client has no helpers: it leaves keepalive to the server."""

    def on_event(self, event: Event) -> None:
        match event:
            case ResponseReceived(stream) | TrailersReceived(stream) | StreamReset(stream) if stream.owner is None:
                pass  # the call has ended before: by what came with it, or by us
            case ResponseReceived(stream):
                _owner(stream).on_response(event)
            case TrailersReceived(stream):
                _owner(stream).on_trailers(event)
            case StreamReset(stream):
                _owner(stream).on_reset(event)
            case GoAwayReceived():
                self._on_goaway(event)
            case ConnectionEnded(fault):
                self.reason = f"the server broke HTTP/2: {fault}"
            case _:
                pass

    def _on_goaway(self, event: GoAwayReceived) -> None:
        self.goaway = True
        self.reason = f"the server is going away ({event.debug.decode('utf-8', 'replace') or event.code})"
        for stream in [s for s in self.wire.streams.values() if s.id > event.last_stream_id]:
            self.wire.reset(stream, ErrorCode.CANCEL)
            _owner(stream).on_lost(self.reason)
        self.changed.unpark_all()

    def _dispatch(self) -> None:
        max_streams = self.outbound.peer.max_concurrent_streams
        if max_streams != self._max_streams or (self.client.settings_seen and not self.handshaken):
            self.handshaken = self.client.settings_seen
            self._max_streams = max_streams
            self.changed.unpark_all()
        super()._dispatch()

    async def wind_down(self) -> None:
        """A client's calls are no tasks of the connection."""

    def lost(self) -> None:
        """A client's calls are no tasks of the connection: they hear of it in `ended`."""

    def ended(self, error: Exception | None) -> None:
        if error is not None:
            self.reason = f"the connection is lost: {_in_words(_first(error))}"
        streams = list(self.wire.streams.values())
        self.wire.streams.clear()
        for stream in streams:
            _owner(stream).on_lost(self.reason)
        self.changed.unpark_all()


def _owner(stream: Stream) -> ClientCall[Any, Any]:
    owner: ClientCall[Any, Any] = stream.owner
    return owner


def _in_words(error: BaseException) -> str:
    """trio's errors of broken streams often say nothing themselves, but what has caused them does."""
    return str(error) or (_in_words(error.__cause__) if error.__cause__ else type(error).__name__)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class Channel:
    """One connection to a gRPC server; an async context manager.

    Args:
        host: Name or address.
        port: TCP port.
        limits: Bounds of the connection.
        stream: A connected trio stream to use instead of opening a socket.
        ssl_context: Encrypts the connection; ALPN is set on it. The server's certificate has to be for `host`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        limits: Limits | None = None,
        stream: trio.abc.Stream | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._limits = limits or Limits()
        self._stream = stream
        self._link: ClientLink | None = None
        self._exit = AsyncExitStack()
        # The attribute through which purerpc's stubs start their calls.
        self._grpc_socket = StubSocket(self)

    def __repr__(self) -> str:
        return f"<Channel {self._host}:{self._port}>"

    @property
    def goaway(self) -> bool:
        """The server takes no new calls on this connection."""
        return self._link is not None and (self._link.goaway or self._link.over)

    async def __aenter__(self) -> Channel:
        """Connect.

        Raises:
            purerpc.UnavailableError: Nobody listens there, or what does speaks no HTTP/2.
        """
        transport = await self._connect()
        self._link = ClientLink(transport, self._limits)
        nursery = await self._exit.enter_async_context(trio.open_nursery())
        nursery.start_soon(self._link.run)
        try:
            await self._shake_hands(self._link)
        finally:
            if self._link.over or not self._link.handshaken:  # or cancelled while waiting
                nursery.cancel_scope.cancel()
                await self._exit.aclose()
        return self

    async def _shake_hands(self, link: ClientLink) -> None:
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            while not link.handshaken and not link.over:
                await link.changed.park()
        if link.over:
            raise purerpc.UnavailableError(link.reason)
        if not link.handshaken:
            raise purerpc.UnavailableError(f"{self._host}:{self._port} sent no HTTP/2 SETTINGS")

    async def _connect(self) -> Transport:
        if self._stream is not None:
            return StreamTransport(self._stream, f"{self._host}:{self._port}")
        try:
            socket = await trio.open_tcp_stream(self._host, self._port)
        except OSError as error:
            raise purerpc.UnavailableError(f"cannot connect to {self._host}:{self._port}: {error}") from error
        if self._ssl_context is None:
            return SocketTransport(socket)
        return await self._encrypted(socket, self._ssl_context)

    async def _encrypted(self, socket: trio.SocketStream, context: ssl.SSLContext) -> Transport:
        context.set_alpn_protocols([ALPN])
        stream = trio.SSLStream(socket, context, server_hostname=self._host, https_compatible=True)
        why = "it took too long"
        try:
            with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
                await stream.do_handshake()
                if stream.selected_alpn_protocol() == ALPN:
                    return StreamTransport(stream, f"{self._host}:{self._port}")
                why = "the server does not speak HTTP/2 (no ALPN h2)"
        except trio.BrokenResourceError as error:
            why = _in_words(error)
        await trio.aclose_forcefully(stream)
        raise purerpc.UnavailableError(f"TLS handshake with {self._host}:{self._port} failed: {why}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        link = self._link
        if link is not None and not link.over:
            link.flush()
            link.close()
        # The block's own exception goes on as it is: handed to the nursery it would come out in a group.
        await self._exit.aclose()

    def open(
        self,
        path: str,
        request_type: type[Request],
        response_type: type[Response],
        *,
        metadata: MetadataLike = (),
        timeout_s: float | None = None,
        compression: str = "identity",
    ) -> ClientCall[Response, Request]:
        """A call, started by entering it: `async with channel.open(...) as call`.

        Args:
            path: `/package.Service/Method`.
            request_type: Message class of what is sent; for the type checker.
            response_type: Message class of what comes back.
            metadata: Names and values; bytes for names that end in `-bin`.
            timeout_s: Sent as grpc-timeout; by default what is left of the deadline around the call, if any.
            compression: Of what is sent: "identity" or "gzip". What comes back is read either way.

        Raises:
            LocalError: Metadata that gRPC does not allow, or an unknown compression.
        """
        if compression not in ENCODINGS:
            raise LocalError(f"compression {compression!r}: one of {', '.join(ENCODINGS)}")
        encode_metadata(metadata := tuple(metadata))
        head = RequestHead(
            path,
            scheme="http" if self._ssl_context is None else "https",
            authority=f"{self._host}:{self._port}",
            timeout_s=_time_left() if timeout_s is None else timeout_s,
            metadata=metadata,
            encoding=compression,
        )
        return ClientCall(self, head, response_type)

    async def ready_link(self) -> ClientLink:
        """The connection, once it has room for one more call."""
        link = self._link
        if link is None:
            raise RuntimeError("the channel is not open: use 'async with Channel(...) as channel'")
        while not link.over and not link.goaway and not link.client.can_open:
            await link.changed.park()
        if link.over or link.goaway:
            raise purerpc.UnavailableError(link.reason)
        return link

    def call_ended(self) -> None:
        """Called by a call: there may be room for another one."""
        if self._link is not None:
            self._link.changed.unpark_all()

    async def wait_closed(self) -> None:
        """Wait until the connection is over."""
        while self._link is not None and not self._link.over:
            await self._link.changed.park()


def insecure_channel(host: str, port: int) -> Channel:
    """What purerpc calls a channel without TLS."""
    return Channel(host, port)


def secure_channel(host: str, port: int, ssl_context: ssl.SSLContext) -> Channel:
    """What purerpc calls a channel with TLS."""
    return Channel(host, port, ssl_context=ssl_context)


def _time_left() -> float | None:
    left = trio.current_effective_deadline() - trio.current_time()
    return max(left, 1e-9) if left != float("inf") else None
