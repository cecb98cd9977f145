"""The services of a server: set up with its first user, torn down with its last.

A user is whoever serves: `serve_async`, or one connection of `serve_stream`. Users come and go at the same time, so a
lock lets one of them set up or tear down while the others wait. The last one tears down in its own task, which need
not be the one that has set up: a context manager that opens a nursery is for servers with one `serve_async`. After the
last one a new first one may come, which sets up again, if the context managers allow it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Final

import trio
from purerpc import Service

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.method import Method, methods_of

if TYPE_CHECKING:
    from types import TracebackType

# A server is mostly stopped by cancelling it: what a service's teardown_fn gets for its work then.
TEARDOWN_TIMEOUT_S: Final = 5.0


class Provided:
    """A service for as long as the server runs, the way purerpc's `setup_fn` and `teardown_fn` want it."""

    def __init__(
        self,
        service: Service | None,
        setup_fn: Callable[[], Awaitable[Service]] | None,
        teardown_fn: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._service = service
        self._setup_fn = setup_fn
        self._teardown_fn = teardown_fn

    async def __aenter__(self) -> Service:
        service = self._service if self._setup_fn is None else await self._setup_fn()
        assert service is not None  # Server.add_service has seen to it
        return service

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._teardown_fn is not None:
            with trio.move_on_after(TEARDOWN_TIMEOUT_S, shield=True):
                await self._teardown_fn()


class Services:
    """See the module's text. Each user enters and leaves it: `async with services: ...`.

    Attributes:
        providers: By service name; to be filled before the first user comes.
        methods: By request path, while they are set up.
    """

    def __init__(self, metrics: EngineMetrics) -> None:
        self.providers: dict[str, AbstractAsyncContextManager[Service]] = {}
        self.methods: dict[str, Method] = {}
        self._metrics = metrics
        self._users = 0
        self._stack = AsyncExitStack()
        self._lock = trio.Lock()

    def __repr__(self) -> str:
        return f"<Services {', '.join(self.providers)}: {self._users} users>"

    @property
    def names(self) -> frozenset[str]:
        """Of the services that are set up."""
        return frozenset(method.service for method in self.methods.values())

    async def __aenter__(self) -> Services:
        async with self._lock:
            if not self._users:
                await self._set_up()
            self._users += 1
        return self

    async def _set_up(self) -> None:
        async with AsyncExitStack() as stack:  # what is set up before one fails is torn down
            for name, provider in self.providers.items():
                service = await stack.enter_async_context(provider)
                self.methods.update(methods_of(service, self._metrics, name))
            self._stack = stack.pop_all()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with trio.CancelScope(shield=True):  # nobody holds it for long: while there is a user, nobody sets up
            await self._lock.acquire()
        try:
            self._users -= 1
            if self._users:
                return False
            self.methods.clear()
            return await self._stack.__aexit__(kind, error, trace)
        finally:
            self._lock.release()
