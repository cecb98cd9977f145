"""The static table of HPACK (RFC 7541, appendix A)."""

from __future__ import annotations

from typing import Final

# What an entry counts for besides its name and value (RFC 7541, section 4.1).
ENTRY_OVERHEAD_BYTES: Final = 32

# Name, value, and size as section 4.1 counts it: an entry of a table, and a field of a header list.
Field = tuple[bytes, bytes, int]


def field(name: bytes, value: bytes) -> Field:
    return name, value, len(name) + len(value) + ENTRY_OVERHEAD_BYTES


_VALUED: Final = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
)
_NAMES: Final = (
    b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
    b"content-disposition content-encoding content-language content-length content-location content-range content-type "
    b"cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
    b"last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh "
    b"retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
).split()

# Indexes start at 1; the entry at 0 is not one.
STATIC_TABLE: Final = (
    field(b"", b""),
    *(field(name, value) for name, value in _VALUED),
    *(field(name, b"") for name in _NAMES),
)
STATIC_ENTRIES: Final = 61
