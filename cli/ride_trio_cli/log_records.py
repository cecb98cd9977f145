"""How records are shown: as text for people, as JSON for programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ride_trio.pb.takhin.v1.takhin_pb2 import Record

# Makes a line of a topic's record, with its line feed.
Render = Callable[[str, "Record"], bytes]

_SECOND_MS: Final = 1000
# What a terminal would obey rather than show: the control characters of ASCII and of Latin-1 (ECMA-48).
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_CONTROLS_OF_TEXT: Final = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    r"""Text from elsewhere, fit for a line on a terminal: control characters as \xNN."""
    return text.translate(_CONTROLS)


def as_text(topic: str, record: Record) -> bytes:
    r"""The value; bytes that are not UTF-8 as \xNN."""
    return _encoded(_text(record.value))


def as_safe_text(topic: str, record: Record) -> bytes:
    """As `as_text`, for a terminal: it obeys nothing of it but tabs and line feeds."""
    return _encoded(_text(record.value).translate(_CONTROLS_OF_TEXT))


def as_details(topic: str, record: Record) -> bytes:
    """Partition and offset, time, key, headers and value, with tabs between."""
    headers = " ".join(f"{header.key}={_text(header.value)}" for header in record.headers)
    columns = (f"{record.partition}:{record.offset}", _time(record.timestamp), _text(record.key), headers)
    value = _text(record.value).translate(_CONTROLS_OF_TEXT)
    return _encoded("\t".join([*map(printable, columns), value]))


def as_json(topic: str, record: Record) -> bytes:
    """One JSON object: topic, partition, offset, timestamp (Unix ms), key (null if it has none), value, headers.

    Bytes that are not UTF-8 are base64, in a field that says so: `value_base64` in place of `value`.
    """
    shown = {
        "topic": topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **(_field("key", record.key) if record.key else {"key": None}),
        **_field("value", record.value),
        "headers": [{"key": header.key, **_field("value", header.value)} for header in record.headers],
    }
    return _encoded(json.dumps(shown, ensure_ascii=False))


def _field(name: str, data: bytes) -> dict[str, Any]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _encoded(line: str) -> bytes:
    return line.encode() + b"\n"


def _time(timestamp_ms: int) -> str:
    """ISO 8601 in UTC; a number that is no date of this calendar as it is."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms // _SECOND_MS, UTC)
    except (OverflowError, ValueError, OSError):
        return str(timestamp_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % _SECOND_MS:03}Z"
