"""The client's side of gRPC, which purerpc-generated stubs accept as their channel.

async with Channel("127.0.0.1", 7443) as channel:
    reply = await GreeterStub(channel).SayHello(HelloRequest(name="you"))

async with Channel("dns:///ride.example:7443", policy=RoundRobin(), retry=RetryPolicy()) as channel: ...

call ── ready_link ──> balancer ── picks ──> Subchannel ── has ──> ClientLink (see `link`)
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, TypeVar

import purerpc
import trio

from ride_trio.rpc.balancing import Balancer, PickFirst
from ride_trio.rpc.client_call import ClientCall
from ride_trio.rpc.client_link import LEFT, ClientLink
from ride_trio.rpc.interceptors import ClientInterceptor, around
from ride_trio.rpc.keepalive import Keepalive
from ride_trio.rpc.link import Link
from ride_trio.rpc.retries import RetryingCall, RetryPolicy
from ride_trio.rpc.stub_stream import StubSocket
from ride_trio.rpc.subchannel import Backoff, Connectivity, Subchannel
from ride_trio.rpc.targets import Endpoint, connect, parse_target, resolve
from ride_trio.rpc.transport import StreamTransport, Transport
from ride_trio.wire import Limits, LocalError
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.metadata import MetadataLike, encode_metadata
from ride_trio.wire.stream import ENCODINGS

if TYPE_CHECKING:
    from types import TracebackType

Request = TypeVar("Request")
Response = TypeVar("Response")

# Names are looked up again so often, and when a server is lost, but then not at once again; one that is not known, as
# often as a server that does not answer is tried.
RESOLVE_EVERY_S: Final = 30.0
RESOLVE_AGAIN_S: Final = 1.0
# Of the states of several servers the best one counts, in this order.
_BEST_FIRST: Final = (Connectivity.READY, Connectivity.CONNECTING, Connectivity.IDLE, Connectivity.TRANSIENT_FAILURE)


class Channel:
    """Connections to a gRPC server, or to several; an async context manager.

    A lost connection is made again: at once if it had lasted, later and later while nobody answers. Calls begun
    meanwhile wait for an attempt that is under way, and fail with UNAVAILABLE while there is none.

    Args:
        host: Name or address; without `port` a target: `host:port`, `unix:/path`, several with commas (see `targets`).
        port: TCP port.
        limits: Bounds of a connection.
        stream: A connected trio stream to use instead of opening a socket; once it is lost, that was all.
        ssl_context: Encrypts connections; ALPN is set on it. The server's certificate has to be for `host`.
        policy: Which of several servers gets a call: `PickFirst()`, `RoundRobin()`, `ConsistentHash("user-id")`.
        keepalive: When to ping a quiet server while there are calls, and to give it up; None leaves it to the server.
        backoff: Pauses between attempts to connect.
        wait_for_ready: Entering and calls wait for a server that does not answer, rather than fail.
        retry: Which failed calls are tried again; none without it.
        interceptors: What runs around every call, the outermost first (see `interceptors`).
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        limits: Limits | None = None,
        stream: trio.abc.Stream | None = None,
        ssl_context: ssl.SSLContext | None = None,
        policy: Balancer | None = None,
        keepalive: Keepalive | None = None,
        backoff: Backoff | None = None,
        wait_for_ready: bool = False,
        retry: RetryPolicy | None = None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> None:
        self._endpoints = parse_target(host, port)
        self._ssl_context = ssl_context
        self._limits = limits or Limits()
        self._given = stream is not None
        self._stream = stream
        self._policy = policy or PickFirst()
        self._keepalive = keepalive
        self._backoff = backoff or Backoff()
        self._wait_for_ready = wait_for_ready
        self._retry = retry
        self.around = around(interceptors) if interceptors else None
        self._nursery: trio.Nursery | None = None
        self._subchannels: dict[tuple[Endpoint, ...], Subchannel] = {}
        self._unresolved = ""  # why there are none
        self._ready: set[Subchannel] = set()  # when something changed last
        self._closed = False
        self._changed = trio.lowlevel.ParkingLot()
        self._full = trio.lowlevel.ParkingLot()  # calls whose server takes no more for now
        self._failed = trio.Event()
        self._exit = AsyncExitStack()
        # What purerpc's stubs read: these two without effect, and through what they start their calls.
        self._host = host
        self._port = port
        self._grpc_socket = StubSocket(self)

    def __repr__(self) -> str:
        return f"<Channel {self._name}, {self.state}>"

    @property
    def _name(self) -> str:
        return ",".join(map(str, self._endpoints))

    # ------------------------------------------------------------------ state

    @property
    def state(self) -> Connectivity:
        """Whether calls can begin: the best state of all its servers."""
        if self._closed:
            return Connectivity.SHUTDOWN
        if not self._subchannels:
            return Connectivity.TRANSIENT_FAILURE if self._unresolved else Connectivity.IDLE
        states = {subchannel.state for subchannel in self._subchannels.values()}
        return next(state for state in _BEST_FIRST if state in states)

    async def wait_for_state_change(self, last: Connectivity) -> Connectivity:
        """Wait until the state is another one than `last`; the new one."""
        while self.state is last:
            await self._changed.park()
        return self.state

    def connect(self) -> None:
        """Leave IDLE without a call."""
        for subchannel in self._subchannels.values():
            subchannel.want()

    def _on_change(self) -> None:
        self._changed.unpark_all()
        self._full.unpark_all()
        servers = self._subchannels.values()
        lost = any(server.state is not Connectivity.READY for server in servers if server in self._ready)
        if lost or self.state is Connectivity.TRANSIENT_FAILURE:
            self._failed.set()
        self._ready = {server for server in servers if server.state is Connectivity.READY}

    # ------------------------------------------------------------------ life

    async def __aenter__(self) -> Channel:
        """Connect.

        Raises:
            purerpc.UnavailableError: Nobody listens there, or what does speaks no HTTP/2. Not with `wait_for_ready`.
        """
        self._nursery = nursery = await self._exit.enter_async_context(trio.open_nursery())
        try:
            if self._policy.resolves:
                nursery.start_soon(self._resolve_for_ever, nursery)
            else:
                self._use((self._endpoints,), nursery)
            self.connect()
            if not self._wait_for_ready:
                await self._connected()
        except BaseException:
            await self._close()
            raise
        return self

    async def _connected(self) -> None:
        while self.state is not Connectivity.READY:
            if self.state is Connectivity.TRANSIENT_FAILURE:
                raise purerpc.UnavailableError(self._why())
            self.connect()
            await self._changed.park()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        self._closed = True
        for subchannel in self._subchannels.values():
            subchannel.close()
        self.running().cancel_scope.cancel()
        self._on_change()
        # The block's own exception goes on as it is: handed to the nursery it would come out in a group.
        await self._exit.aclose()

    async def _resolve_for_ever(self, nursery: trio.Nursery) -> None:
        failures = 0
        while True:
            self._failed = trio.Event()
            try:
                addresses = await resolve(self._endpoints)
            except purerpc.UnavailableError as error:  # what was known before may still be right
                failures += 1
                self._unresolved = error.status.status_message
                self._on_change()
                await trio.sleep(self._backoff.pause_s(failures))
                continue
            failures = 0
            self._use(tuple((address,) for address in addresses), nursery)
            await trio.sleep(RESOLVE_AGAIN_S)
            with trio.move_on_after(RESOLVE_EVERY_S):
                await self._failed.wait()

    def _use(self, places: tuple[tuple[Endpoint, ...], ...], nursery: trio.Nursery) -> None:
        """Have a subchannel for each of these, and for no other."""
        for place in self._subchannels.keys() - set(places):
            self._subchannels.pop(place).retire()
        for place in places:
            if place not in self._subchannels:
                subchannel = self._subchannels[place] = self._subchannel(place, nursery)
                nursery.start_soon(subchannel.run)
        self._on_change()

    def _subchannel(self, place: tuple[Endpoint, ...], nursery: trio.Nursery) -> Subchannel:
        return Subchannel(
            ",".join(map(str, place)),
            lambda: self._transport(place),
            eager=self._policy.eager,
            nursery=nursery,
            limits=self._limits,
            keepalive=self._keepalive,
            backoff=self._backoff,
            on_change=self._on_change,
        )

    async def _transport(self, place: tuple[Endpoint, ...]) -> Transport:
        if not self._given:
            return await connect(place, self._ssl_context)
        stream, self._stream = self._stream, None
        if stream is None:
            raise purerpc.UnavailableError(self._why())
        return StreamTransport(stream, self._name)

    # ------------------------------------------------------------------ calls

    def open(
        self,
        path: str,
        request_type: type[Request],
        response_type: type[Response],
        *,
        metadata: MetadataLike = (),
        timeout_s: float | None = None,
        compression: str = "identity",
        wait_for_ready: bool | None = None,
        retry: RetryPolicy | None = None,
    ) -> ClientCall[Response, Request]:
        """A call, started by entering it: `async with channel.open(...) as call`.

        Args:
            path: `/package.Service/Method`.
            request_type: Message class of what is sent; for the type checker.
            response_type: Message class of what comes back.
            metadata: Names and values; bytes for names that end in `-bin`.
            timeout_s: From when it is started; then it ends with DEADLINE_EXCEEDED. A deadline of trio's around the
                call that is earlier counts, too, and the server is told of the earlier one.
            compression: Of what is sent: "identity" or "gzip". What comes back is read either way.
            wait_for_ready: As the channel's, which it defaults to.
            retry: As the channel's, which it defaults to.

        Raises:
            LocalError: Metadata that gRPC does not allow, or an unknown compression.
        """
        if compression not in ENCODINGS:
            raise LocalError(f"compression {compression!r}: one of {', '.join(ENCODINGS)}")
        encode_metadata(metadata := tuple(metadata))
        head = RequestHead(
            path,
            scheme="http" if self._ssl_context is None else "https",
            authority=self._endpoints[0].authority,
            timeout_s=timeout_s,
            metadata=metadata,
            encoding=compression,
        )
        waits = self._wait_for_ready if wait_for_ready is None else wait_for_ready
        policy = self._retry if retry is None else retry
        if policy is None:
            return ClientCall(self, head, response_type, wait_for_ready=waits)
        return RetryingCall(self, head, response_type, wait_for_ready=waits, policy=policy)

    async def ready_link(self, metadata: MetadataLike, *, wait_for_ready: bool) -> ClientLink:
        """A connection with room for one more call.

        Raises:
            purerpc.UnavailableError: There is none, and none is being made.
        """
        self.running()
        while not self._closed:
            subchannel = self._policy.pick(tuple(self._subchannels.values()), tuple(metadata))
            if subchannel is None:
                if self.state is Connectivity.TRANSIENT_FAILURE and not wait_for_ready:
                    raise purerpc.UnavailableError(self._why())
            elif subchannel.link is not None and subchannel.link.client.can_open:
                return subchannel.link
            await (self._changed if subchannel is None else self._full).park()
        raise purerpc.UnavailableError(LEFT)

    def running(self) -> trio.Nursery:
        """Where the channel's tasks are."""
        if self._nursery is None:
            raise RuntimeError("the channel is not open: use 'async with Channel(...) as channel'")
        return self._nursery

    def call_ended(self, link: Link) -> None:
        """Called by a call: there may be room for another one, or nothing to keep the connection for."""
        if isinstance(link, ClientLink):
            link.call_ended()
        if self._full:  # to wake all each time would be quadratic
            self._full.unpark(count=len(self._full) if self._policy.keyed else 1)

    def _why(self) -> str:
        """Why no call can begin."""
        reasons = dict.fromkeys(subchannel.reason for subchannel in self._subchannels.values())
        return "; ".join(reasons) or self._unresolved


def insecure_channel(host: str, port: int) -> Channel:
    """What purerpc calls a channel without TLS."""
    return Channel(host, port)


def secure_channel(host: str, port: int, ssl_context: ssl.SSLContext) -> Channel:
    """What purerpc calls a channel with TLS."""
    return Channel(host, port, ssl_context=ssl_context)
