"""HTTP/2 and gRPC framing without I/O: bytes in, events out; commands in, bytes out (RFC 9113, RFC 7541)."""

from ride_trio.wire.client import ClientConnection
from ride_trio.wire.connection import Connection
from ride_trio.wire.errors import ConnectionFault, LocalError, StreamFault, WireError
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.limits import Limits
from ride_trio.wire.server import ServerConnection
from ride_trio.wire.stream import Stream

__all__ = [
    "ClientConnection",
    "Connection",
    "ConnectionFault",
    "ErrorCode",
    "Limits",
    "LocalError",
    "ServerConnection",
    "Stream",
    "StreamFault",
    "WireError",
]
