"""Unary methods that need no task: plain functions, called in the read pass as soon as their request is there.

A task a call is a third of what a small unary call costs. A service names the methods that do without in
`service.prompt_methods` (a set of names); their handlers are plain functions that take the request, and the call as
`request` if they like, must be quick, as sinks are, and return

* the response, as a message or serialized, or
* a `Later`, if something else on this thread will have it in a while, or
* an awaitable: then the call goes on in a task like any other.

Only what is plain sailing goes this way: one uncompressed request, no deadline (that takes a scope, and so a task), no
interceptors. Otherwise the handler is run in a task, which waits for its `Later`; so it need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

import trio
from google.protobuf.message import Message
from purerpc import Status

from ride_trio.rpc.call import CANCELLED, Call, awaitable
from ride_trio.rpc.method import Method
from ride_trio.rpc.status import OK
from ride_trio.rpc.wakeup import Wakeup
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.states import CLOSED
from ride_trio.wire.stream import Stream

if TYPE_CHECKING:
    from ride_trio.rpc.server_link import ServerLink

_NOTHING_YET: Final = object()


class Later:
    """A response that will be `set` on this thread, once. Whoever makes it sees to it that it is, in bounded time."""

    __slots__ = ("_tell", "_value")

    def __init__(self) -> None:
        self._value: Any = _NOTHING_YET
        self._tell: Callable[[Any], None] | None = None

    def set(self, value: Any) -> None:
        """It is there; a second one is ignored."""
        if self._value is _NOTHING_YET:
            self._value = value
            if self._tell is not None:
                self._tell(value)

    def then(self, tell: Callable[[Any], None]) -> None:
        """Call `tell` with it, at once if it is there. Once only."""
        if self._value is _NOTHING_YET:
            self._tell = tell
        else:
            tell(self._value)

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._value is _NOTHING_YET:
            wakeup = Wakeup()
            self._tell = lambda _: wakeup.set()
            yield from wakeup.wait().__await__()
        return self._value


class PromptCall(Call[Any, Any]):
    """A call of such a method."""

    __slots__ = ("_asked", "_began_at", "_over", "_result")

    def begin(self) -> None:
        """The headers have come."""
        self._began_at = trio.current_time()
        self._asked = self._over = False
        self._result: Any = _NOTHING_YET
        self._method.started.n += 1
        self.on_ready()

    def on_ready(self) -> None:
        if self._asked or self._over:
            return
        stream = self.stream
        if stream.remote_ended and len(stream.inbox) == 1 and stream.failure is None:
            self._ask()
        elif stream.remote_ended or stream.failure is not None or len(stream.inbox) > 1:
            self._go_on_in_a_task(_NOTHING_YET)  # it will say what is wrong

    def _ask(self) -> None:
        """Run the handler, and answer if it has the answer."""
        self._asked = True
        try:
            result = self._method.function(self.take_last(), request=self)
        except Exception as error:
            self._conclude(self._status_for(error))
            return
        if type(result) is Later:
            result.then(self._answer)
        elif isinstance(result, bytes | Message):
            self._answer(result)
        else:
            self._go_on_in_a_task(result)

    def _answer(self, reply: Any) -> None:
        """Send the response, and be done; in a task if windows or buffers are in the way."""
        if self._over:
            return
        if self.stream.state is CLOSED:
            self._conclude(CANCELLED)
        elif self._answer_whole(reply):
            self._conclude(OK)
        else:
            self._go_on_in_a_task(reply)

    def _go_on_in_a_task(self, result: Any) -> None:
        self._over = True  # with what is prompt about it
        self._method.started.n -= 1  # the task counts it
        self._result = result
        nursery = self._server_link.nursery
        assert nursery is not None
        nursery.start_soon(self.run, name=self.head.path)

    async def _handle(self) -> None:
        result = self._result
        if result is _NOTHING_YET:
            await super()._handle()
            return
        await self._send_reply(result if isinstance(result, bytes | Message) else await awaitable(result), single=True)

    def cancel(self) -> None:
        super().cancel()
        if not self._over:
            self._conclude(CANCELLED if self._error is None else self._status_for(self._error))

    def on_closed(self) -> None:
        super().on_closed()
        if not self._over:
            self._conclude(CANCELLED)

    def _conclude(self, status: Status) -> None:
        self._over = True
        try:
            self._finish(status)
        finally:
            self._method.ended(status.status_code.name, trio.current_time() - self._began_at)
            self._server_link.call_ended(self)


def is_prompt(method: Method, link: ServerLink, stream: Stream, head: RequestHead) -> bool:
    """Whether a call can go this way."""
    return method.prompt and link.around is None and head.timeout_s is None and stream.encoding == "identity"
