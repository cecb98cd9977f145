"""What becomes of a call that ends without a gRPC status: the status that a client reports."""

from __future__ import annotations

from typing import Final

from ride_trio.wire.frames import ErrorCode

_CANCELLED: Final = 1
_UNKNOWN: Final = 2


def status_of_http(http_status: int) -> int:
    """The gRPC status for an HTTP status from something that is no gRPC server (doc/http-grpc-status-mapping.md)."""
    return {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}.get(http_status, _UNKNOWN)


def status_of_reset(code: int) -> int:
    """The gRPC status for an RST_STREAM code (PROTOCOL-HTTP2.md, "Errors")."""
    table = {ErrorCode.REFUSED_STREAM: 14, ErrorCode.CANCEL: _CANCELLED, ErrorCode.ENHANCE_YOUR_CALM: 8}
    return {**table, ErrorCode.INADEQUATE_SECURITY: 7}.get(ErrorCode(code) if code <= 0xD else ErrorCode(2), 13)
