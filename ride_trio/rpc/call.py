"""A call on the server: what a handler gets, and how it is run.

A handler may be written in two styles, and the engine tells them apart by what calling it returns:

* purerpc's: an async generator (`async def M(self, messages): ... yield reply`) for streaming answers, a coroutine
  that returns the reply for a single one;
* ours: a coroutine that takes the call (`async def M(self, call)`, or `async def M(self, message, request)` where the
  request is a single message). It sends with `await call.send(...)` and returns nothing (a single response may be
  returned as well, also serialized, as bytes). When it has returned, its sink and its source are not called any more.
  trio forbids a `yield` inside a nursery, so a handler that opens one has to be of this style.

A third, for unary methods that need no task, is in `prompt`.

`Call` carries the attributes of purerpc's `RequestReceived`, so it is also what purerpc passes as `request`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import purerpc
import trio
from google.protobuf.message import Message
from purerpc import Cardinality, Status, StatusCode

from ride_trio.rpc.messages import MessageStream, Out
from ride_trio.rpc.method import Method
from ride_trio.rpc.reading import In
from ride_trio.rpc.status import OK, status_of
from ride_trio.wire import ErrorCode, LocalError
from ride_trio.wire.headers import RequestHead, response_block, trailers_block
from ride_trio.wire.metadata import Metadata, MetadataLike
from ride_trio.wire.states import CLOSED
from ride_trio.wire.stream import ENCODINGS, Stream

if TYPE_CHECKING:
    from ride_trio.rpc.server_link import ServerLink

log = logging.getLogger(__name__)

# What a client is told when a handler raises something that is not a status: nothing of its text.
HANDLER_FAILED: Final = Status(StatusCode.UNKNOWN, "the handler failed; the server's log says why")
SWALLOWED: Final = Status(StatusCode.INTERNAL, "an interceptor let no response and no error through")
CANCELLED: Final = Status(StatusCode.CANCELLED, "the call was cancelled")
_SINGLE_REQUEST: Final = (Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM)
_SINGLE_RESPONSE: Final = (Cardinality.UNARY_UNARY, Cardinality.STREAM_UNARY)


class Call(MessageStream[In, Out]):
    """One call. Iterate it for messages, `send` answers; raise a `purerpc.RpcFailedError` to end it with a status.

    Attributes:
        metadata: The request's metadata, in order; values of `-bin` names are bytes.
        peer: The client's address.
        peer_identity: Who the client's certificate says it is; None without one.
        undecodable: What the call ends with if a message can't be decoded; a service's contract may say otherwise.
        subject: Who the call has been authenticated as (see `auth`); None if nobody has looked.
        deadline: trio's clock, s; inf without grpc-timeout.
    """

    __slots__ = (
        "_around",
        "_compression",
        "_error",
        "_headers_sent",
        "_method",
        "_server_link",
        "deadline",
        "head",
        "peer",
        "peer_identity",
        "scope",
        "subject",
        "trailing_metadata",
        "undecodable",
    )

    def __init__(self, link: ServerLink, stream: Stream, head: RequestHead, method: Method) -> None:
        super().__init__(link, stream, method.request_type, method.received, method.sent, method.parse)
        self.head = head
        self.peer = link.peer
        self.peer_identity = link.transport.identity
        self.subject: str | None = None
        self.deadline = float("inf") if head.timeout_s is None else trio.current_time() + head.timeout_s
        self.scope = trio.CancelScope(deadline=self.deadline)
        self.trailing_metadata: MetadataLike = ()
        self.undecodable: type[purerpc.RpcFailedError] = purerpc.InternalError
        self._method = method
        self._around = link.around
        self._server_link = link
        self._error: Exception | None = None
        self._headers_sent = False
        self._compression = "identity"

    def __repr__(self) -> str:
        return f"<Call {self.head.path} from {self.peer}, stream {self.stream.id}>"

    # ------------------------------------------------------------------ what purerpc calls RequestReceived

    @property
    def metadata(self) -> Metadata:
        return self.head.metadata

    @property
    def custom_metadata(self) -> Metadata:
        return self.head.metadata

    @property
    def stream_id(self) -> int:
        return self.stream.id

    @property
    def scheme(self) -> str:
        return self.head.scheme

    @property
    def authority(self) -> str | None:
        return self.head.authority

    @property
    def content_type(self) -> str:
        return self.head.content_type

    @property
    def user_agent(self) -> str | None:
        return self.head.user_agent

    @property
    def message_type(self) -> str | None:
        return self.head.message_type

    @property
    def message_encoding(self) -> str:
        return self.head.encoding

    @property
    def message_accept_encoding(self) -> list[str]:
        return [name.strip() for name in self.head.accept_encoding.split(",")]

    @property
    def service_name(self) -> str:
        return self._method.service

    @property
    def method_name(self) -> str:
        return self._method.name

    @property
    def timeout(self) -> timedelta | None:
        return None if self.head.timeout_s is None else timedelta(seconds=self.head.timeout_s)

    def header(self, name: str) -> str | None:
        """The first text metadata value of that name."""
        return next((v for n, v in self.head.metadata if n == name and isinstance(v, str)), None)

    # ------------------------------------------------------------------ sending

    @property
    def compression(self) -> str:
        """The encoding of the answers: "identity", or "gzip" once that is set and if the client accepts it.

        Raises:
            LocalError: (When set) the response's headers are sent already, or there is no such encoding.
        """
        return self._compression

    @compression.setter
    def compression(self, encoding: str) -> None:
        if self._headers_sent or encoding not in ENCODINGS:
            raise LocalError(f"compression {encoding!r}: one of {', '.join(ENCODINGS)}, before anything is sent")
        self._compression = encoding if encoding in self.message_accept_encoding else "identity"
        self._compresses = self._compression != "identity"

    async def start(self, metadata: MetadataLike = ()) -> None:
        """Send the response's headers now; otherwise they go out with the first message.

        Raises:
            LocalError: They are sent already, or metadata that gRPC does not allow.
        """
        if self._headers_sent:
            raise LocalError("the response's headers are sent already")
        self._send_headers(metadata)

    def _start(self) -> None:
        if not self._headers_sent:
            self._send_headers()
        self._started = True

    def _send_headers(self, metadata: MetadataLike = ()) -> None:
        block = response_block(metadata, self._compression)
        self._headers_sent = True
        if self.stream.state is not CLOSED:
            self._link.outbound.send_headers(self.stream, block)
            self._link.mark()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.cancel()

    def cancel(self) -> None:
        """End it: the handler is cancelled."""
        self.scope.cancel()

    def _undecodable(self, data: bytes) -> purerpc.RpcFailedError:
        return self.undecodable(super()._undecodable(data).status.status_message)

    # ------------------------------------------------------------------ running

    async def run(self) -> None:
        """Run the handler and end the call. Cancelled by RST_STREAM, a lost connection, the deadline or shutdown.

        All in one coroutine, because each one that waits is 250 bytes, and there are as many as calls.
        """
        started_at, status, raised = trio.current_time(), CANCELLED, None
        self._method.started.n += 1
        try:
            try:
                # Inside the try: only the scope takes Cancelled out of a group in which there are errors beside it.
                with self.scope:
                    try:
                        await (self._handle() if self._around is None else self._around(self, self._handle))
                    finally:
                        self.detach()
                        self.release()
                    if self.stream.pending:
                        await self.wait_sent()
            except Exception as error:
                raised = error
            status = self._outcome(raised)
            self._finish(status)
        except* Exception as group:  # a fault of ours: it costs this call, no other and not the connection
            self._server_link.call_failed(self, group)
        finally:  # the connection's end cancels from outside: that call is counted, too
            raised = None  # its traceback has this frame: not to wait for the garbage collector, with all that it holds
            self._method.ended(status.status_code.name, trio.current_time() - started_at)
            self._server_link.call_ended(self)

    def _outcome(self, raised: Exception | None) -> Status:
        # Not `cancelled_caught`: a handler that swallows its cancellation is late all the same.
        if self._error is None and not self.scope.cancel_called:
            if raised is not None:
                return self._status_for(raised)
            return OK if self._started or self._method.cardinality not in _SINGLE_RESPONSE else SWALLOWED
        if raised is not None and status_of(raised) is None:
            self._log_failure(raised)
        return self._status_when_cancelled() if self._error is None else self._status_for(self._error)

    def _status_when_cancelled(self) -> Status:
        if trio.current_time() >= self.deadline:
            return Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")
        return CANCELLED

    def _status_for(self, error: Exception) -> Status:
        status = status_of(error)
        if status is not None:
            return status
        self._log_failure(error)
        return HANDLER_FAILED

    def _log_failure(self, error: Exception) -> None:
        log.error("handler of %s for %s failed", self.head.path, self.peer, exc_info=error)

    async def _handle(self) -> None:
        method = self._method
        argument = await self._single_request() if method.cardinality in _SINGLE_REQUEST else self
        result = method.function(argument, request=self)
        single = method.cardinality in _SINGLE_RESPONSE
        if not hasattr(result, "__anext__"):
            if not isinstance(result, bytes | Message):
                result = await awaitable(result)
            await self._send_reply(result, single=single)
        elif single:
            raise TypeError("an async generator answers a method that has a single response: return it instead")
        else:
            await self._send_all(result)

    async def _send_reply(self, reply: Any, *, single: bool) -> None:
        """What a coroutine returned: the single response, unless it has sent that by itself; else nothing."""
        if reply is not None:
            if not single:
                raise TypeError(f"a handler of streaming answers sends or yields them, this returned {reply!r}")
            if not (single and self._answer_whole(reply)):
                await (self.send_encoded(reply) if type(reply) is bytes else self.send(reply))
        elif single and not self._started:
            raise TypeError("the method has a single response, and its handler returned None without having sent one")

    def _answer_whole(self, reply: Any) -> bool:
        """Send headers, the single response and the status in one go, if nothing is in the way; most unary calls."""
        if self._headers_sent or self._compresses or self._around is not None or self.scope.cancel_called:
            return False
        block = response_block()
        trailers = trailers_block(OK.int_value, "", self.trailing_metadata)
        data = reply if type(reply) is bytes else reply.SerializeToString()
        if not self._link.outbound.answer_whole(self.stream, block, data, trailers):
            return False
        self._headers_sent = self._started = True
        self._sent.n += 1
        self._link.mark()
        return True

    async def _single_request(self) -> In:
        if self.stream.remote_ended and len(self.stream.inbox) == 1 and self.stream.encoding == "identity":
            message = self.take_last()
            if message is not None:
                return message
        message = await self.receive()
        if message is None:
            raise purerpc.UnimplementedError("one request message was expected, none came")
        if self._batch or await self._next_batch():  # not `receive()`: that would say that this one is worked off
            raise purerpc.UnimplementedError("one request message was expected, more came")
        return message

    async def _send_all(self, replies: AsyncIterator[Out]) -> None:
        async with aclosing(replies) as open_replies:  # type: ignore[type-var]  # an async generator
            async for reply in open_replies:
                await self.send(reply)

    def _finish(self, status: Status) -> None:
        """Send the status, and tell a client that is still sending to stop (RFC 9113, section 8.1)."""
        stream, link = self.stream, self._link
        if stream.state is CLOSED:
            return
        block = self._trailers(status)
        if not self._headers_sent:
            block = response_block() + block
        link.outbound.drop_pending(stream)  # only a call that is cut short has any
        link.outbound.end(stream, block)
        if stream.remote_ended:
            link.wire.forget_if_closed(stream)
        else:
            link.wire.reset(stream, ErrorCode.NO_ERROR)
        link.mark()

    def _trailers(self, status: Status) -> bytes:
        try:
            return trailers_block(status.int_value, status.status_message, self.trailing_metadata)
        except Exception:  # a message that is no text, metadata that gRPC does not allow: this call's fault only
            log.exception("the status of %s for %s cannot be sent: %r", self.head.path, self.peer, status)
            return trailers_block(HANDLER_FAILED.int_value, HANDLER_FAILED.status_message)


def awaitable(result: Any) -> Awaitable[Any]:
    """What a handler returned, with a clear error if it is nothing to await."""
    if not hasattr(result, "__await__"):
        raise TypeError(f"a handler has to be an async function or an async generator, this returned {result!r}")
    awaitable: Awaitable[Any] = result
    return awaitable
