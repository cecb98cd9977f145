"""What the engine's tests and foreign servers have shown about the wire."""

from __future__ import annotations

from ride_trio.wire.headers import parse_response


def test_a_status_without_a_content_type_is_known_to_be_there() -> None:
    """grpclib refuses a call for an unknown method with trailers-only headers that have no content-type."""
    fields = [(b":status", b"200", False), (b"grpc-status", b"12", False)]
    head = parse_response(1, fields)
    assert (head.content_type, head.has_status) == ("", True)
    assert not parse_response(1, fields[:1]).has_status
