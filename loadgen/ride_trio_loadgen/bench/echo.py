"""The service that every engine serves for `bench rpc`: its paths, its message, and how broadcasts go.

All messages are google.protobuf.BytesValue.

* Bidi: each message comes back.
* Unary: the request comes back.
* Join (bidi): the first message comes back as a welcome; from then on everything that anybody publishes.
* Publish (bidi): each message goes to all that have joined, then comes back.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.wrappers_pb2 import BytesValue

SERVICE: Final = "bench.Echo"
METHOD: Final = "Bidi"
PATH: Final = f"/{SERVICE}/{METHOD}"
UNARY_PATH: Final = f"/{SERVICE}/Unary"
JOIN_PATH: Final = f"/{SERVICE}/Join"
PUBLISH_PATH: Final = f"/{SERVICE}/Publish"
# A position with its ids is about as long.
MESSAGE: Final = BytesValue(value=b"x" * 64)
ENCODED: Final = MESSAGE.SerializeToString()

CORO: Final = "ride-trio (coroutine)"
GENERATOR: Final = "ride-trio (generator)"
SINK: Final = "ride-trio (sink)"
GRPC_AIO: Final = "grpc.aio"
GRPCLIB: Final = "grpclib"
PURERPC: Final = "purerpc"
# Plain bytes on trio's own streams: what one message at a time costs before there is any gRPC.
BARE_TRIO: Final = "bare trio"
