"""How records are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ride_trio.pb.takhin.v1.takhin_pb2 import Record, RecordHeader
from ride_trio_cli.log_records import as_details, as_json, as_safe_text, as_text, printable

NOT_UTF8 = b"a\xff\x00"


def record(value: bytes, **fields: Any) -> Record:
    return Record(value=value, **{"offset": 15, "partition": 2, "timestamp": 1_700_000_000_123, **fields})


@pytest.mark.parametrize(
    ("value", "text", "safe"),
    [
        (b"hello", "hello", "hello"),
        ("Zürich 🚕".encode(), "Zürich 🚕", "Zürich 🚕"),
        (b"", "", ""),
        (b"two\nlines\tand tabs", "two\nlines\tand tabs", "two\nlines\tand tabs"),
        (b"a\xff", "a\\xff", "a\\xff"),
        (b"\x1b[2Jgone\x07\r", "\x1b[2Jgone\x07\r", "\\x1b[2Jgone\\x07\\x0d"),
        (b"\xc2\x9b2J", "\x9b2J", "\\x9b2J"),
    ],
)
def test_a_value_is_a_line(value: bytes, text: str, safe: str) -> None:
    assert as_text("t", record(value)) == text.encode() + b"\n"
    assert as_safe_text("t", record(value)) == safe.encode() + b"\n"


def test_details_are_columns_between_tabs() -> None:
    headers = [RecordHeader(key="trace", value=b"7"), RecordHeader(key="raw", value=b"\xff")]
    shown = as_details("t", record(b"v\tw", key=b"ann", headers=headers))
    assert shown == b"2:15\t2023-11-14T22:13:20.123Z\tann\ttrace=7 raw=\\xff\tv\tw\n"


def test_columns_of_details_stay_columns() -> None:
    shown = as_details("t", record(b"v\x1b", key=b"a\tb\nc"))
    assert shown == b"2:15\t2023-11-14T22:13:20.123Z\ta\\x09b\\x0ac\t\tv\\x1b\n"


@pytest.mark.parametrize("timestamp", [2**62, -(2**62)])
def test_a_time_that_is_no_date_is_shown_as_the_number(timestamp: int) -> None:
    assert as_details("t", record(b"", timestamp=timestamp)).split(b"\t")[1] == str(timestamp).encode()


def test_json_has_every_field_and_is_one_line() -> None:
    headers = [RecordHeader(key="h", value=b"1"), RecordHeader(key="h", value=NOT_UTF8)]
    shown = as_json("rides", record("two\nlines ü".encode(), key=b"ann", headers=headers))
    assert shown.count(b"\n") == 1
    assert json.loads(shown) == {
        "topic": "rides",
        "partition": 2,
        "offset": 15,
        "timestamp": 1_700_000_000_123,
        "key": "ann",
        "value": "two\nlines ü",
        "headers": [{"key": "h", "value": "1"}, {"key": "h", "value_base64": "Yf8A"}],
    }


def test_bytes_that_are_not_utf8_are_base64_in_fields_that_say_so() -> None:
    shown = json.loads(as_json("rides", record(NOT_UTF8, key=NOT_UTF8)))
    assert (shown["key_base64"], shown["value_base64"]) == ("Yf8A", "Yf8A")
    assert shown.keys() & {"key", "value"} == set()


def test_no_key_is_null_and_no_value_is_empty() -> None:
    shown = json.loads(as_json("rides", record(b"")))
    assert (shown["key"], shown["value"], shown["headers"]) == (None, "", [])


def test_text_from_elsewhere_stays_on_its_line() -> None:
    assert printable("a\nb\tc\x1b[0m\x85é") == "a\\x0ab\\x09c\\x1b[0m\\x85é"
