"""A call on the client."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import purerpc
import trio
from purerpc import Status

from ride_trio.metrics import Count
from ride_trio.rpc.messages import MessageStream, Out
from ride_trio.rpc.reading import In
from ride_trio.rpc.status import error_for, status_of
from ride_trio.wire import ErrorCode
from ride_trio.wire.events import ResponseReceived, StreamReset, TrailersReceived
from ride_trio.wire.headers import RequestHead, is_grpc
from ride_trio.wire.metadata import Metadata, MetadataLike, encode_metadata
from ride_trio.wire.states import CLOSED, OPEN, RECV_RST
from ride_trio.wire.statuses import status_of_http, status_of_reset
from ride_trio.wire.stream import Stream

if TYPE_CHECKING:
    from types import TracebackType

    from ride_trio.rpc.channel import Channel
    from ride_trio.rpc.client_link import ClientLink
    from ride_trio.rpc.interceptors import ClientInterceptor

log = logging.getLogger(__name__)

DEADLINE_HAS_PASSED: Final = "the deadline has passed"
# The least that can be said to a server, s.
_LEAST_S: Final = 1e-9
# What has passed since the call was started is not worth a header of its own: servers know alike ones again.
_ALIKE_S: Final = 1e-3


class ClientCall(MessageStream[In, Out]):
    """A call: `async with channel.open(...) as call`. Leaving the block before the call has ended sends RST_STREAM.

    Attributes:
        metadata: What is sent with the request; an interceptor may change it before the call begins.
        status: How it ended; None while it lives.
        initial_metadata: The response headers'; empty until they have come.
        trailing_metadata: What came with the status.
    """

    __slots__ = (
        "_channel",
        "_deadline",
        "_ended",
        "_expires",
        "_head",
        "_wait_for_ready",
        "initial_metadata",
        "status",
        "trailing_metadata",
    )

    def __init__(self, channel: Channel, head: RequestHead, response_type: type[In], *, wait_for_ready: bool) -> None:
        self._channel = channel
        self._head = head
        self._in_type = response_type
        self._wait_for_ready = wait_for_ready
        self._expires = self._deadline = math.inf  # by its own time; by that or trio's around it, whichever is earlier
        self.status: Status | None = None
        self.initial_metadata: Metadata = ()
        self.trailing_metadata: Metadata = ()
        self._ended = trio.Event()

    def __repr__(self) -> str:
        return f"<ClientCall {self._head.path}, {self.status or 'open'}>"

    @property
    def path(self) -> str:
        """`/package.Service/Method`."""
        return self._head.path

    @property
    def metadata(self) -> Metadata:
        return self._head.metadata

    @metadata.setter
    def metadata(self, metadata: MetadataLike) -> None:
        encode_metadata(metadata := tuple(metadata))
        self._head.metadata = metadata

    async def __aenter__(self) -> ClientCall[In, Out]:
        """Start the call; waits while the server allows no more streams.

        Raises:
            purerpc.UnavailableError: There is no connection, and none is being made.
            purerpc.DeadlineExceededError: Its time was up before it could begin.
            RpcFailedError: An interceptor has refused it.
        """
        await self.start()
        return self

    async def start(self) -> None:
        """Start the call without a block around it: the caller sees to `cancel()`."""
        if self._head.timeout_s is not None:
            self._expires = trio.current_time() + self._head.timeout_s
        self._deadline = min(self._expires, trio.current_effective_deadline())
        if self._channel.around is None:
            await self._begin()
        else:
            await self._channel.running().start(self._run_around, self._channel.around)

    async def _run_around(self, around: ClientInterceptor, *, task_status: trio.TaskStatus[None]) -> None:
        """The call inside the channel's interceptors, a task of its own until its end."""
        begun = False

        async def proceed() -> None:
            nonlocal begun
            await self._begin()
            begun = True
            task_status.started()
            await self._ended.wait()

        try:
            await around(self, proceed)
        except Exception:
            if not begun:
                raise
            log.exception("an interceptor around %r failed", self)

    async def _begin(self) -> None:
        with trio.CancelScope(deadline=self._expires) as scope:
            link = await self._channel.ready_link(self._head.metadata, wait_for_ready=self._wait_for_ready)
            self._start_on(link)
        if scope.cancelled_caught:
            raise purerpc.DeadlineExceededError("the deadline has passed before there was a connection")
        if self._expires < math.inf:
            self._channel.running().start_soon(self._expire)

    async def _expire(self) -> None:
        """End the call when its time is up."""
        with trio.move_on_at(self._expires):
            await self._ended.wait()
        if self.status is None:
            self.fail(purerpc.DeadlineExceededError(DEADLINE_HAS_PASSED))

    def _start_on(self, link: ClientLink) -> None:
        stream = self._open_on(link)
        super().__init__(link, stream, self._in_type, Count(), Count())
        self._started = True
        self._compresses = self._head.encoding != "identity"

    def _open_on(self, link: ClientLink) -> Stream:
        head = self._head
        if self._deadline < math.inf:
            left_s = max(self._deadline - trio.current_time(), _LEAST_S)
            if head.timeout_s is None or abs(head.timeout_s - left_s) > _ALIKE_S:
                head.timeout_s = left_s
        return link.open(head)

    def expect(self, response_type: type[In]) -> None:
        """Change what answers are decoded as, before the first has been received."""
        self._in_type = response_type
        self._parse = response_type.FromString  # type: ignore[attr-defined]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Give the call up: RST_STREAM(CANCEL), unless it has ended."""
        self.release()
        if self.status is None:
            self._link.reset(self.stream, ErrorCode.CANCEL)
            late = trio.current_time() >= self._deadline  # a scope of trio's around the call has ended it
            self._end(Status(4, DEADLINE_HAS_PASSED) if late else Status(1, "cancelled by this client"))

    def abandon(self) -> None:
        """`cancel()` in the next pass, from any thread."""
        self._link.soon(self.cancel)

    async def done_sending(self) -> None:
        """Half-close, after everything sent is out."""
        await self.wait_sent()
        if self.stream.state is OPEN:
            self._link.outbound.end(self.stream)
            self._link.wire.forget_if_closed(self.stream)
            self._link.mark()

    async def wait_status(self) -> Status:
        """Wait for the call's end."""
        await self._ended.wait()
        assert self.status is not None
        return self.status

    # ------------------------------------------------------------------ called by the link

    def on_response(self, event: ResponseReceived) -> None:
        head = event.head
        self.initial_metadata = head.metadata
        if not head.has_status and (head.http_status != 200 or not is_grpc(head.content_type)):
            text = f"no gRPC answer: HTTP {head.http_status}, content-type {head.content_type!r}"
            self._link.reset(self.stream, ErrorCode.CANCEL)
            self._end(Status(status_of_http(head.http_status), text))

    def on_trailers(self, event: TrailersReceived) -> None:
        trailers, failure = event.trailers, self.stream.failure
        self.trailing_metadata = trailers.metadata
        if self.stream.state is not CLOSED:
            self._link.reset(self.stream, ErrorCode.NO_ERROR)
        if trailers.code == 0 and failure is not None:  # OK is not true: there was a message we could not take
            self._end(Status(*failure))
        else:
            self._end(Status(trailers.code, trailers.message))

    def on_reset(self, event: StreamReset) -> None:
        by = "the server" if event.by_peer else "this client"
        code = ErrorCode(event.code).name if event.code <= ErrorCode.HTTP_1_1_REQUIRED else hex(event.code)
        detail = f": {event.reason}" if event.reason else ""
        self._end(Status(status_of_reset(event.code), f"the stream was reset by {by} with {code}{detail}"))

    def on_lost(self, reason: str) -> None:
        self.stream.happened(RECV_RST)
        self.stream.pending = None
        self._end(Status(14, reason))

    def fail(self, error: Exception) -> None:
        self._link.reset(self.stream, ErrorCode.CANCEL)
        self._end(status_of(error) or Status(2, repr(error)))
        self._tell_end()

    def _tell_end(self) -> None:
        """A sink hears of the end after a failure, too, although there are messages that it has not taken."""
        if self._sink is not None and not self._told_end:
            self._told_end = True
            try:
                self._sink(None)
            except Exception:
                log.exception("the sink of %r failed at the call's end", self)

    def _end(self, status: Status) -> None:
        if self.status is None:
            self.status = status
            self.stream.remote_ended = True
            self.release()
            self._ended.set()
            self._channel.call_ended(self._link)
            self.on_writable()
            self.on_ready()
            self.stream.owner = None  # a circle less for the garbage collector

    def _undecodable(self, data: bytes) -> purerpc.RpcFailedError:
        """The call has failed, also if OK has come behind the message."""
        error = super()._undecodable(data)
        if self.status is not None and not self.status.int_value:
            self.status = error.status
        self._batch.clear()
        self.stream.inbox.clear()
        self.fail(error)
        return error

    def at_end(self) -> bool:
        if self.status is None and self.stream.failure is not None:
            error = error_for(*self.stream.failure)
            self.fail(error)
            raise error
        if self.status is not None and self.status.int_value and self._sink is None:
            raise error_for(self.status.int_value, self.status.status_message)
        return self.status is not None

    async def closed_while_sending(self) -> None:
        """The call has ended: raise its status, or that it takes no more."""
        await trio.lowlevel.checkpoint()
        status: Any = self.status
        if status is not None and status.int_value:
            raise error_for(status.int_value, status.status_message)
        raise trio.ClosedResourceError("the call is over: nothing more can be sent")
