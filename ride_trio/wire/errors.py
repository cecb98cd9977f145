"""What can go wrong on the wire.

    WireError
    ├── ConnectionFault   the connection cannot go on: GOAWAY with `code`, then close (RFC 9113, section 5.4.1)
    ├── StreamFault       one stream cannot go on: RST_STREAM with `code` (section 5.4.2)
    └── LocalError        the caller asked for what the protocol does not allow now; nothing was sent

`Connection.receive` never raises the first two: it answers the peer itself and reports an event.
"""

from __future__ import annotations

from ride_trio.wire.frames import ErrorCode


class WireError(Exception):
    """Base of everything that `ride_trio.wire` raises."""


class ConnectionFault(WireError):
    """The peer broke the connection's rules.

    Args:
        code: The GOAWAY error code to answer with.
        message: What was wrong; goes into the GOAWAY's debug data.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


class StreamFault(WireError):
    """The peer broke one stream's rules.

    Args:
        stream_id: The stream to reset.
        code: The RST_STREAM error code to answer with.
        message: What was wrong, for the log.
    """

    def __init__(self, stream_id: int, code: ErrorCode, message: str) -> None:
        super().__init__(f"stream {stream_id}: {code.name}: {message}")
        self.stream_id = stream_id
        self.code = code
        self.message = message


class LocalError(WireError):
    """A command that the stream's or connection's state does not allow."""
