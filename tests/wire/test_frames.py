"""Frames as bytes."""

from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire import frames
from tests.wire.peers import read_frames


def test_a_frame_is_nine_bytes_and_its_payload() -> None:
    assert (
        frames.frame(frames.PING, 0x5A, 0x1020304, b"payload!") == bytes.fromhex("000008 06 5a 01020304") + b"payload!"
    )


def test_the_largest_frame_has_a_length_of_24_bits() -> None:
    assert frames.frame(0, 0, 1, bytes(frames.LARGEST_FRAME_BYTES))[:9] == bytes.fromhex("ffffff 00 00 00000001")


def test_settings() -> None:
    expected = bytes.fromhex("00000c 04 00 00000000  0003 00000064  0004 0000ffff")
    assert frames.settings_frame({3: 100, 4: 65_535}) == expected


def test_rst_stream() -> None:
    assert frames.rst_stream_frame(5, frames.ErrorCode.CANCEL) == bytes.fromhex("000004 03 00 00000005 00000008")


def test_ping() -> None:
    assert frames.ping_frame(b"01234567") == bytes.fromhex("000008 06 00 00000000") + b"01234567"
    assert frames.ping_frame(b"01234567", ack=True)[4] == frames.ACK


def test_goaway() -> None:
    assert frames.goaway_frame(7, 2, b"why") == bytes.fromhex("00000b 07 00 00000000 00000007 00000002") + b"why"


def test_window_update() -> None:
    assert frames.window_update_frame(3, 1000) == bytes.fromhex("000004 08 00 00000003 000003e8")


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_a_header_block_of_any_size_is_headers_and_continuations(block: bytes, end: bool, max_frame: int) -> None:
    first, *rest = read_frames(frames.headers_frames(9, block, end_stream=end, max_frame=max_frame))
    assert first.kind == frames.HEADERS
    assert {f.kind for f in rest} <= {frames.CONTINUATION}
    assert {f.stream_id for f in (first, *rest)} == {9}
    assert b"".join(f.payload for f in (first, *rest)) == block
    assert bool(first.flags & frames.END_STREAM) is end
    assert [bool(f.flags & frames.END_HEADERS) for f in (first, *rest)] == [False] * len(rest) + [True]
    assert all(len(f.payload) == max_frame for f in (first, *rest)[:-1])
