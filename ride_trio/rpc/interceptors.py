"""What runs around calls, on the server and on the client: authentication, metrics, tracing.

    async def timed(call, proceed):
        began = trio.current_time()
        try:
            await proceed()
        finally:
            print(call.head.path, trio.current_time() - began)

    server = Server(7443, interceptors=[timed])

An interceptor of a server runs in the call's own task, under its deadline, before the first message is read. It refuses
a call by raising a `purerpc.RpcFailedError` instead of `await proceed()`; what `proceed` raises is the handler's error.

An interceptor of a client runs in a task of the channel's. Before `await proceed()`, which begins the call and returns
when it is over, it may change `call.metadata`, or refuse the call by raising; afterwards `call.status` says how it
went.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import purerpc

if TYPE_CHECKING:
    from ride_trio.rpc.call import Call
    from ride_trio.rpc.client_call import ClientCall

AnyCall = TypeVar("AnyCall")
Proceed = Callable[[], Awaitable[None]]
Interceptor = Callable[[AnyCall, Proceed], Awaitable[None]]
ServerInterceptor = Callable[["Call[Any, Any]", Proceed], Awaitable[None]]
ClientInterceptor = Callable[["ClientCall[Any, Any]", Proceed], Awaitable[None]]


class _Step(Generic[AnyCall]):
    """One interceptor around the rest of a call."""

    __slots__ = ("_call", "_interceptor", "_rest", "_went_on")

    def __init__(self, interceptor: Interceptor[AnyCall], call: AnyCall, rest: Proceed) -> None:
        self._interceptor = interceptor
        self._call = call
        self._rest = rest
        self._went_on = False

    async def __call__(self) -> None:
        await self._interceptor(self._call, self._proceed)
        if not self._went_on:
            raise purerpc.InternalError(f"interceptor {_name(self._interceptor)} neither went on nor refused the call")

    async def _proceed(self) -> None:
        if self._went_on:
            raise RuntimeError(f"interceptor {_name(self._interceptor)} has called proceed() twice")
        self._went_on = True
        await self._rest()


def around(interceptors: Sequence[Interceptor[AnyCall]]) -> Interceptor[AnyCall]:
    """One interceptor that is all of them, the first one outermost."""

    async def run(call: AnyCall, handler: Proceed) -> None:
        step = handler
        for interceptor in reversed(interceptors):
            step = _Step(interceptor, call, step)
        await step()

    return run


def _name(interceptor: Interceptor[Any]) -> str:
    return getattr(interceptor, "__qualname__", None) or type(interceptor).__qualname__
