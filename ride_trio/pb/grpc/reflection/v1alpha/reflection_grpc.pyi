from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import purerpc
from ride_trio.pb.grpc.reflection.v1alpha import reflection_pb2

class ServerReflectionServicer(purerpc.Servicer):
    @property
    def service(self) -> purerpc.Service: ...

class ServerReflectionStub:
    def __init__(self, channel: object) -> None: ...
    ServerReflectionInfo: Callable[..., Any]
