"""Where in a log to begin."""

from __future__ import annotations

import time

import pytest

from ride_trio_cli.log_positions import EARLIEST, LATEST, Position, parse_position

NOW_S = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("earliest", EARLIEST),
        ("latest", LATEST),
        ("0", Position(0)),
        ("20260501", Position(20_260_501)),
        ("9223372036854775807", Position(2**63 - 1)),
        ("10m", Position(time_ms=1_000_000_000 - 600_000)),
        ("1h30m", Position(time_ms=1_000_000_000 - 5_400_000)),
        ("0s", Position(time_ms=1_000_000_000)),
        ("2023-11-14T22:13:20Z", Position(time_ms=1_700_000_000_000)),
        ("2023-11-14T23:13:20.5+01:00", Position(time_ms=1_700_000_000_500)),
        ("1960-01-01T00:00:00Z", Position(time_ms=1)),
        ("9999h", Position(time_ms=1)),
    ],
)
def test_a_position_is_read(text: str, position: Position) -> None:
    assert parse_position(text, NOW_S) == position


@pytest.mark.parametrize(
    "text",
    ["", "-1", "9223372036854775808", "soon", "5 m", "2023-13-01", "1e3", "5d", "1.5", "0001-01-01", "9" * 400 + "s"],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody: see `read_option`
        parse_position(text, NOW_S)


def test_only_a_certain_offset_is_another_record_in_each_partition() -> None:
    found = {text: parse_position(text, NOW_S).is_offset for text in ("earliest", "latest", "10m", "0", "7")}
    assert found == {"earliest": False, "latest": False, "10m": False, "0": True, "7": True}


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EAST-05:30")
    time.tzset()
    try:
        assert parse_position("2023-11-15T03:43:20", NOW_S) == Position(time_ms=1_700_000_000_000)
        assert parse_position("2023-11-15", NOW_S) == Position(time_ms=1_699_986_600_000)
    finally:
        monkeypatch.undo()
        time.tzset()
