"""What makes a header list malformed, whatever message it begins or ends (RFC 9113, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ride_trio.wire.errors import StreamFault
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.hpack_static import Field

Fields = Sequence[Field]

# RFC 9113, section 8.2.2: the connection-specific ones; te, which may only say this; and Host.
_TE: Final = (b"te", b"trailers")
_LOOKED_AT: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"host")
)
# RFC 9113, section 8.2.1: no upper case, no control, no space, no non-ASCII, no colon past the first.
_BAD_NAME_BYTES: Final = bytes(b for b in range(256) if b <= 0x20 or 0x41 <= b <= 0x5A or b >= 0x7F or b == 0x3A)
_BAD_VALUE_BYTES: Final = b"\x00\r\n"
# A method, a scheme, an authority, a path or a status has no space inside, either.
_BAD_PSEUDO_BYTES: Final = b"\x00\r\n\t "
# More than any stream could carry.
_CONTENT_LENGTH_DIGITS: Final = 18


def malformed(stream_id: int, what: str) -> StreamFault:
    return StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, f"malformed message: {what}")


def check_fields(stream_id: int, fields: Fields, allowed_pseudo: frozenset[bytes]) -> dict[bytes, bytes]:
    """Check names, values and order (RFC 9113, sections 8.2 and 8.3).

    Returns:
        The pseudo-header fields. Host is one of them, as :authority: it has to say the same, or take its place (8.3.1).
    """
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for name, value, _ in fields:
        if name[:1] == b":":
            if regular or name not in allowed_pseudo or name in pseudo:
                raise malformed(stream_id, f"pseudo-header field {name!r} is unknown, doubled or late")
            if value.translate(None, _BAD_PSEUDO_BYTES) != value:
                raise malformed(stream_id, f"value of field {name!r}")
            pseudo[name] = value
            continue
        regular = True
        if not name or name.translate(None, _BAD_NAME_BYTES) != name:
            raise malformed(stream_id, f"field name {name!r}")
        if name in _LOOKED_AT and (name, value) != _TE:
            _look_at(stream_id, name, value, pseudo)
        if value.translate(None, _BAD_VALUE_BYTES) != value or value != value.strip(b" \t"):
            raise malformed(stream_id, f"value of field {name!r}")
    return pseudo


def _look_at(stream_id: int, name: bytes, value: bytes, pseudo: dict[bytes, bytes]) -> None:
    if name == b"host":
        if pseudo.setdefault(b":authority", value).lower() != value.lower():
            raise malformed(stream_id, "host and :authority differ")
    else:
        raise malformed(stream_id, f"connection-specific field {name!r}")


def content_length(stream_id: int, fields: Fields) -> int | None:
    """How many bytes of DATA are announced; None if that is left open.

    Raises:
        StreamFault: Not a number, or several different ones (RFC 9110, section 8.6).
    """
    values = {value for name, value, _ in fields if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not value.isdigit() or len(value) > _CONTENT_LENGTH_DIGITS:
        raise malformed(stream_id, f"content-length {value[:20]!r}")
    return int(value)
