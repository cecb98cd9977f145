from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import purerpc
from ride_trio.pb.ride.v1 import ride_pb2

class RideStreamServiceServicer(purerpc.Servicer):
    @property
    def service(self) -> purerpc.Service: ...

class RideStreamServiceStub:
    def __init__(self, channel: object) -> None: ...
    Connect: Callable[..., Any]
