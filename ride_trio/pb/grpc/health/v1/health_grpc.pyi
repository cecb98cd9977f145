from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import purerpc
from ride_trio.pb.grpc.health.v1 import health_pb2

class HealthServicer(purerpc.Servicer):
    @property
    def service(self) -> purerpc.Service: ...

class HealthStub:
    def __init__(self, channel: object) -> None: ...
    Check: Callable[..., Awaitable[health_pb2.HealthCheckResponse]]
    Watch: Callable[..., AsyncGenerator[health_pb2.HealthCheckResponse, None]]
