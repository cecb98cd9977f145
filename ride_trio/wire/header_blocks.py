"""Header blocks put together from HEADERS and CONTINUATION frames, bounded while they grow.

Between HEADERS without END_HEADERS and the last CONTINUATION no other frame may come (RFC 9113, section 6.10), so
there is at most one unfinished block a connection.

A list that is larger than allowed costs its sender the stream only, since the table stays in step by decoding it all:
somebody's token or status text is too long, which is no reason to end everybody's calls. What no mistake explains ends
the connection: far too large a block, one in too many pieces, or a list many times its limit (see `hpack`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ride_trio.wire import frames
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.fields import Fields
from ride_trio.wire.frames import ErrorCode
from ride_trio.wire.hpack import Decoder

# A block of the largest allowed list fits into five default frames; 32 leaves room for peers that cut it finer and
# stops a flood of empty CONTINUATION frames (CVE-2024-27316 and its kin).
_MAX_CONTINUATIONS: Final = 32
# Blocks may be larger than lists, by this factor, so that a list that is only too large is decoded and its stream
# refused. Twice the usual 16 KiB are what a connection can be made to collect and decode in one go: 4 ms at the worst.
_BLOCK_PER_LIST: Final = 2


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """A decoded block; `fields` is None if it is too large a list. `end_stream` is the flag of its HEADERS frame."""

    fields: Fields | None
    end_stream: bool


def required(stream_id: int, fields: Fields | None) -> Fields:
    """The fields, if they are not too large.

    Raises:
        StreamFault: They are. RST_STREAM it is rather than an answer of 431: gRPC clients make RESOURCE_EXHAUSTED of
            ENHANCE_YOUR_CALM but UNKNOWN of 431, and it serves both roles.
    """
    if fields is None:
        raise StreamFault(stream_id, ErrorCode.ENHANCE_YOUR_CALM, "header list too large")
    return fields


class HeaderBlocks:
    """The connection's decoder and its unfinished block, if any (`idle` is False then)."""

    __slots__ = ("_begun", "_decoder", "_flags", "_fragments", "_max_bytes", "_size", "_stream_id", "idle")

    def __init__(self, max_list_bytes: int) -> None:
        self.idle = True
        self._decoder = Decoder(max_list_bytes)
        self._max_bytes = max_list_bytes * _BLOCK_PER_LIST
        self._fragments: list[bytes] = []
        self._size = 0
        self._stream_id = 0
        self._flags = 0
        self._begun = 0

    @property
    def open_block(self) -> int:
        """The number of the unfinished block, 1 for a connection's first; 0 if there is none."""
        return 0 if self.idle else self._begun

    def check_next(self, kind: int, stream_id: int) -> None:
        """Refuse a frame that may not come now."""
        wanted = kind == frames.CONTINUATION and stream_id == self._stream_id
        if self.idle and kind == frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        if not self.idle and not wanted:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block")

    def add(self, stream_id: int, fragment: bytes, flags: int) -> HeaderBlock | None:
        """Add a HEADERS' or CONTINUATION's fragment; the block if it is whole now."""
        if self.idle:
            self._stream_id, self._flags, self._size = stream_id, flags, 0
            self._begun += 1
        self._fragments.append(fragment)
        self._size += len(fragment)
        if self._size > self._max_bytes or len(self._fragments) > _MAX_CONTINUATIONS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        self.idle = bool(flags & frames.END_HEADERS)
        if not self.idle:
            return None
        block = b"".join(self._fragments)
        self._fragments.clear()
        return HeaderBlock(self._decoder.decode(block), bool(self._flags & frames.END_STREAM))

    @staticmethod
    def skip_priority(stream_id: int, payload: bytes) -> bytes:
        """Check the deprecated priority fields and leave them out: they have no effect on scheduling here.

        Raises:
            ConnectionFault: Too short, or a stream that depends on itself (section 5.3.1 of RFC 7540).
        """
        if len(payload) < 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority fields")
        if int.from_bytes(payload[:4], "big") & frames.MAX_STREAM_ID == stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
        return payload[5:]
