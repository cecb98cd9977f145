"""The peer's settings."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode, SettingId
from ride_trio.wire.settings import PeerSettings, parse

ENABLE_PUSH, WINDOW, FRAME = SettingId.ENABLE_PUSH, SettingId.INITIAL_WINDOW_SIZE, SettingId.MAX_FRAME_SIZE


def payload(*items: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">HL", *item) for item in items)


def applied(*items: tuple[int, int], from_server: bool = False) -> PeerSettings:
    settings = PeerSettings()
    settings.apply(payload(*items), from_server=from_server)
    return settings


def test_a_header_table_that_becomes_smaller_even_for_a_moment_is_noted() -> None:
    assert not applied((1, 4_096), (1, 8_192)).table_shrunk
    assert applied((1, 0), (1, 4_096)).table_shrunk


def test_the_defaults_are_the_protocols() -> None:
    assert applied() == PeerSettings(4_096, 1, 2**31 - 1, 65_535, 16_384, 2**31 - 1)


def test_each_setting_has_its_field() -> None:
    items = ((1, 10), (2, 0), (3, 30), (4, 40), (5, 20_000), (6, 60))
    assert applied(*items) == PeerSettings(10, 0, 30, 40, 20_000, 60, table_shrunk=True)


def test_the_last_of_a_setting_counts() -> None:
    assert applied((WINDOW, 1), (WINDOW, 2)).initial_window_size == 2


@given(st.lists(st.tuples(st.integers(7, 65_535), st.integers(0, 2**32 - 1))))
def test_unknown_settings_are_ignored(items: list[tuple[int, int]]) -> None:
    assert applied(*items) == PeerSettings()
    assert list(parse(payload(*items))) == items


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR),
        (WINDOW, 2**31, ErrorCode.FLOW_CONTROL_ERROR),
        (WINDOW, 2**32 - 1, ErrorCode.FLOW_CONTROL_ERROR),
        (FRAME, 16_383, ErrorCode.PROTOCOL_ERROR),
        (FRAME, 2**24, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_value_out_of_range_is_a_connection_fault(identifier: int, value: int, code: ErrorCode) -> None:
    with pytest.raises(ConnectionFault) as caught:
        applied((identifier, value))
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("identifier", "value"), [(WINDOW, 0), (WINDOW, 2**31 - 1), (FRAME, 2**24 - 1), (FRAME, 16_384)]
)
def test_the_ends_of_the_ranges_are_allowed(identifier: int, value: int) -> None:
    applied((identifier, value))


def test_only_a_client_may_ask_for_pushes() -> None:
    assert applied((ENABLE_PUSH, 1)).enable_push == 1
    assert applied((ENABLE_PUSH, 0), from_server=True).enable_push == 0
    with pytest.raises(ConnectionFault):
        applied((ENABLE_PUSH, 1), from_server=True)
