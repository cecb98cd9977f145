"""The standard health service, `grpc.health.v1.Health` (Check and Watch).

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

from typing import Any

import purerpc
import trio

from ride_trio.pb.grpc.health.v1 import health_grpc, health_pb2

_Status = health_pb2.HealthCheckResponse.ServingStatus


class HealthService(health_grpc.HealthServicer):
    """Serving states by service name; "" stands for the whole server."""

    def __init__(self) -> None:
        self._states: dict[str, health_pb2.HealthCheckResponse.ServingStatus] = {}
        self._changed = trio.Event()
        self._stopping = False

    def set(self, name: str, serving: bool) -> None:
        """Announce a service's state to those who ask and those who watch."""
        self._states[name] = _Status.SERVING if serving else _Status.NOT_SERVING
        self._wake_watchers()

    def stop(self) -> None:
        """Nothing serves any more; who watches is told so, and its call ends (it would hold up a shutdown)."""
        self._states = dict.fromkeys(self._states, _Status.NOT_SERVING)
        self._stopping = True
        self._wake_watchers()

    def _wake_watchers(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def Check(self, input_message: Any) -> Any:
        state = self._states.get(input_message.service)
        if state is None:
            raise purerpc.NotFoundError(f"no service {input_message.service!r}")
        return health_pb2.HealthCheckResponse(status=state)

    async def Watch(self, input_message: Any) -> Any:
        """The state now and at each change; an unknown service is SERVICE_UNKNOWN until it is known."""
        told: health_pb2.HealthCheckResponse.ServingStatus | None = None
        while True:
            changed = self._changed
            state = self._states.get(input_message.service, _Status.SERVICE_UNKNOWN)
            if state != told:
                told = state
                yield health_pb2.HealthCheckResponse(status=state)
            if self._stopping:
                raise purerpc.UnavailableError("the server is stopping")
            await changed.wait()
