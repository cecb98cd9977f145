"""HTTP/2 settings of one side of a connection, checked as they arrive (RFC 9113, section 6.5.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ride_trio.wire import frames
from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode, SettingId

_ITEM = struct.Struct(">HL")


@dataclass(slots=True)
class PeerSettings:
    """What the peer announced; the defaults hold until it does.

    Attributes:
        table_shrunk: Its header table has been made smaller, if only for a moment: our next block has to begin with
            that (RFC 7541, section 4.2). To be unset then.
    """

    header_table_size: int = 4_096
    enable_push: int = 1
    max_concurrent_streams: int = frames.MAX_STREAM_ID
    initial_window_size: int = frames.DEFAULT_WINDOW
    max_frame_size: int = frames.DEFAULT_FRAME_BYTES
    max_header_list_size: int = frames.MAX_WINDOW
    table_shrunk: bool = False

    def apply(self, payload: bytes, *, from_server: bool) -> None:
        """Take over the values of a SETTINGS payload, in order; unknown identifiers are ignored.

        Raises:
            ConnectionFault: A value outside its range.
        """
        for identifier, value in parse(payload):
            name = _FIELDS.get(identifier)
            if name is None:
                continue
            check(identifier, value, from_server=from_server)
            if identifier == SettingId.HEADER_TABLE_SIZE and value < self.header_table_size:
                self.table_shrunk = True
            setattr(self, name, value)


_FIELDS = {int(identifier): identifier.name.lower() for identifier in SettingId}


def parse(payload: bytes) -> Iterator[tuple[int, int]]:
    """The (identifier, value) pairs of a SETTINGS payload, whose length is a multiple of 6."""
    return _ITEM.iter_unpack(payload)


def check(identifier: int, value: int, *, from_server: bool) -> None:
    """Refuse a value that section 6.5.2 does not allow."""
    if identifier == SettingId.ENABLE_PUSH and (value > 1 or (from_server and value)):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH is {value}")
    if identifier == SettingId.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE is {value}")
    if identifier == SettingId.MAX_FRAME_SIZE and not (
        frames.DEFAULT_FRAME_BYTES <= value <= frames.LARGEST_FRAME_BYTES
    ):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE is {value}")
