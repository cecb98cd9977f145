"""gRPC metadata and the header values that gRPC gives a form of its own.

Source: "gRPC over HTTP/2", https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ride_trio.wire.errors import LocalError

Metadata = tuple[tuple[str, str | bytes], ...]
MetadataLike = Iterable[tuple[str, str | bytes]]

_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_NAME_BYTES: Final = b"0123456789abcdefghijklmnopqrstuvwxyz_.-"
# gRPC wants printable ASCII. But what else HTTP allows may come, and who has got it may send it back.
_TEXT_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NOT_TEXT_BYTES: Final = bytes((*range(0x09), *range(0x0A, 0x20), 0x7F))
_OUTER_SPACES: Final = re.compile(r"^ +| +$")
_HALF_ESCAPE: Final = re.compile(rb"%[0-9A-F]?\Z")
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# grpc-timeout has at most 8 digits; each unit is used up to there, the finest first.
_UNITS_FINEST_FIRST: Final = (
    (b"n", 1e9),
    (b"u", 1e6),
    (b"m", 1e3),
    (b"S", 1.0),
    (b"M", 1 / 60),
    (b"H", 1 / 3600),
)
_LARGEST_TIMEOUT: Final = 99_999_999
# Names with gRPC's prefix that are the application's, or its libraries', all the same: rich errors, when to retry,
# tracing.
OF_APPLICATIONS: Final = frozenset(
    (b"grpc-status-details-bin", b"grpc-retry-pushback-ms", b"grpc-trace-bin", b"grpc-tags-bin")
)
# Names that HTTP/2 or gRPC fill themselves: a second value would make the request malformed.
_RESERVED: Final = frozenset(
    (
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    )
)
# Printable ASCII except "%" stays as it is in grpc-message.
_MESSAGE_SAFE: Final = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) != "%")


def decode_field(name: bytes, value: bytes) -> Metadata:
    """A received metadata field: bytes for a `-bin` name, of which one field may hold several, text otherwise.

    None at all if it is a field that `encode_metadata` would not send: not every header field is metadata.

    Raises:
        ValueError: A `-bin` value that is not base64.
    """
    if name.translate(None, _NAME_BYTES):
        return ()
    text = name.decode("ascii")
    if not name.endswith(b"-bin"):
        return ((text, value.decode("latin-1")),) if value.translate(None, _NOT_TEXT_BYTES) == value else ()
    try:
        return tuple((text, _decode_binary(part)) for part in value.split(b","))
    except Base64Error as error:
        raise ValueError(f"metadata {text!r} is not base64: {error}") from None


def _decode_binary(value: bytes) -> bytes:
    value = value.strip()
    return b64decode(value + b"=" * (-len(value) % 4), validate=True)


def encode_metadata(metadata: MetadataLike) -> list[tuple[bytes, bytes]]:
    """Metadata as header fields.

    Raises:
        LocalError: A name or value that gRPC does not allow, or a name that gRPC reserves for itself.
    """
    return [(name.encode(), _encode_value(name, value)) for name, value in metadata]


def _encode_value(name: str, value: str | bytes) -> bytes:
    if not _NAME.fullmatch(name) or (name.startswith("grpc-") and name.encode() not in OF_APPLICATIONS):
        raise LocalError(f"metadata name {name!r} is not allowed: use 0-9 a-z _ . - and no 'grpc-' prefix")
    if name in _RESERVED:
        raise LocalError(f"metadata name {name!r} is not allowed: HTTP/2 and gRPC use it themselves")
    if name.endswith("-bin"):
        return b64encode(value if isinstance(value, bytes) else value.encode()).rstrip(b"=")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not _TEXT_VALUE.fullmatch(text):
        raise LocalError(f"metadata {name!r} has a value that no header can hold: use a '-bin' name for bytes")
    return text.strip(" \t").encode("latin-1")


def decode_timeout(value: bytes) -> float:
    """Seconds of a grpc-timeout.

    Raises:
        ValueError: Not 1 to 8 digits and a unit.
    """
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise ValueError(f"grpc-timeout {value.decode('latin-1')!r} is not 1 to 8 digits and one of H M S m u n")
    return int(match[1]) * _UNIT_S[match[2]]


def encode_timeout(seconds: float) -> bytes:
    """A grpc-timeout of at least 1 ns, rounded down to the finest unit that holds it; infinity is 11,415 years."""
    seconds = min(seconds, _LARGEST_TIMEOUT * 3600.0)
    for unit, per_second in _UNITS_FINEST_FIRST:
        amount = int(seconds * per_second)
        if amount <= _LARGEST_TIMEOUT:
            return b"%d%s" % (max(amount, 1), unit)
    return b"%dH" % _LARGEST_TIMEOUT


def encode_message(text: str) -> bytes:
    """A status message as grpc-message: UTF-8, percent-encoded; spaces at its ends, too, which no field may have."""
    quoted = quote_from_bytes(text.encode("utf-8", "replace"), safe=_MESSAGE_SAFE)
    return _OUTER_SPACES.sub(lambda spaces: "%20" * len(spaces[0]), quoted).encode("ascii")


def cut_message(encoded: bytes, size: int) -> bytes:
    """The first bytes of a grpc-message, at most `size`, that end with a whole character and no space."""
    cut = _HALF_ESCAPE.sub(b"", encoded[: max(size, 0)])
    return encode_message(decode_message(cut, "ignore").rstrip(" "))


def decode_message(value: bytes, errors: str = "replace") -> str:
    """The inverse of `encode_message`; what is not valid shows as U+FFFD instead of failing the call."""
    return unquote_to_bytes(value).decode("utf-8", errors)
