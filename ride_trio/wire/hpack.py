"""Header compression (RFC 7541): a library's decoder, and an encoder that keeps no state.

Decoding is jh2's (Rust: 2.5 us for ten repeated headers, constant cost for table and integer attacks). For sending,
every field is a "literal without indexing" (section 6.2.2) or one of a few static-table entries, so a block means
the same wherever and whenever it is sent: it can be built once, cached and shared between connections. That costs
some bytes a call and saves all encoder state; a long-lived stream sends two blocks in its life.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

# The Rust decoder; `jh2.hpack` is the old pure-Python one, ten times slower and open to slow-decode attacks.
from jh2._hazmat import Decoder as _Decoder
from jh2._hazmat import HPACKError as _HPACKError
from jh2._hazmat import OversizedHeaderListError as _OversizedHeaderListError

from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode

Header = tuple[bytes, bytes]

# RFC 7541, appendix A: the indexed entries that gRPC uses whole.
_STATIC: Final[dict[Header, bytes]] = {
    (b":method", b"POST"): b"\x83",
    (b":scheme", b"http"): b"\x86",
    (b":scheme", b"https"): b"\x87",
    (b":status", b"200"): b"\x88",
}
# A process talks to few methods, peers and statuses; what varies (user ids) is not worth remembering beyond this.
_CACHED_FIELDS: Final = 1024


class Decoder:
    """Decodes the header blocks of one connection, in order.

    Args:
        max_list_bytes: Largest decoded header list (sum of name + value + 32 a field, RFC 9113 section 6.5.2).
    """

    __slots__ = ("_decoder",)

    def __init__(self, max_list_bytes: int) -> None:
        self._decoder = _Decoder(max_list_bytes)

    def decode(self, block: bytes) -> list[tuple[bytes, bytes, bool]]:
        """The fields of a block, in order; the third item says "never indexed".

        Raises:
            ConnectionFault: The block is malformed or larger than allowed; the table is lost with it.
        """
        try:
            fields: list[tuple[bytes, bytes, bool]] = self._decoder.decode(
                block, True
            )  # raw: bytes, not text
        except _OversizedHeaderListError:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too large") from None
        except _HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        return fields


def _integer(value: int, prefix_bits: int) -> bytes:
    """RFC 7541, section 5.1; the bits above the prefix stay 0."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((value,))
    out = bytearray((limit,))
    value -= limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache(_CACHED_FIELDS)
def _field(name: bytes, value: bytes) -> bytes:
    known = _STATIC.get((name, value))
    if known is not None:
        return known
    return b"\x00" + _integer(len(name), 7) + name + _integer(len(value), 7) + value


def encode(headers: Iterable[Header]) -> bytes:
    """A header block that no earlier block changes the meaning of."""
    return b"".join([_field(name, value) for name, value in headers])
