"""HEADERS and CONTINUATION put together, and bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.wire import frames, hpack
from ride_trio.wire.errors import ConnectionFault, StreamFault
from ride_trio.wire.frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, ErrorCode
from ride_trio.wire.header_blocks import HeaderBlock, HeaderBlocks, required
from tests.wire.peers import REQUEST

BLOCK = hpack.encode(REQUEST)
LIST_BYTES = 65_536


def add_all(blocks: HeaderBlocks, fragments: list[bytes], *, end: bool = False) -> list[HeaderBlock | None]:
    flags = [0] * (len(fragments) - 1) + [END_HEADERS]
    flags[0] |= END_STREAM if end else 0
    return [blocks.add(1, fragment, flag) for fragment, flag in zip(fragments, flags, strict=True)]


@given(st.lists(st.integers(0, len(BLOCK)), max_size=20), st.booleans())
def test_a_block_may_be_cut_anywhere(cuts: list[int], end: bool) -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    edges = [0, *sorted(cuts), len(BLOCK)]
    fragments = [BLOCK[start:stop] for start, stop in pairwise(edges)]
    *unfinished, block = add_all(blocks, fragments, end=end)
    assert set(unfinished) <= {None}
    assert block is not None
    assert [(name, value) for name, value, _ in block.fields] == list(REQUEST)
    assert block.end_stream is end
    assert blocks.idle


def test_blocks_follow_each_other() -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    assert add_all(blocks, [BLOCK[:3], BLOCK[3:]], end=True)[-1]
    (block,) = add_all(blocks, [BLOCK])
    assert block is not None
    assert not block.end_stream
    assert len(block.fields) == len(REQUEST)


def test_end_stream_is_a_flag_of_headers_only() -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    blocks.add(1, BLOCK[:3], 0)
    block = blocks.add(1, BLOCK[3:], END_HEADERS | END_STREAM)
    assert block is not None
    assert not block.end_stream


@pytest.mark.parametrize(
    ("kind", "stream_id"), [(DATA, 1), (HEADERS, 1), (CONTINUATION, 3), (frames.PING, 0), (0xFA, 1)]
)
def test_nothing_else_may_come_inside_a_block(kind: int, stream_id: int) -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    blocks.add(1, BLOCK[:3], 0)
    blocks.check_next(CONTINUATION, 1)
    with pytest.raises(ConnectionFault, match="inside a header block") as caught:
        blocks.check_next(kind, stream_id)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


def test_continuation_needs_headers_before_it() -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    for _ in range(2):
        blocks.check_next(HEADERS, 1)
        with pytest.raises(ConnectionFault, match="without HEADERS"):
            blocks.check_next(CONTINUATION, 1)
        blocks.add(1, BLOCK, END_HEADERS)


def test_a_block_far_larger_than_a_list_may_be_is_not_collected() -> None:
    blocks = HeaderBlocks(1_000)
    blocks.add(1, bytes(1_200), 0)
    with pytest.raises(ConnectionFault) as caught:
        blocks.add(1, bytes(1_200), 0)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_a_list_that_is_too_large_is_a_streams_fault() -> None:
    (block,) = add_all(HeaderBlocks(100), [BLOCK], end=True)
    assert block == HeaderBlock(None, True)
    with pytest.raises(StreamFault, match="too large") as caught:
        required(7, None)
    assert (caught.value.stream_id, caught.value.code) == (7, ErrorCode.ENHANCE_YOUR_CALM)
    assert required(7, []) == []


def test_a_flood_of_empty_continuations_is_stopped() -> None:
    blocks = HeaderBlocks(LIST_BYTES)
    for _ in range(32):
        blocks.add(1, b"", 0)
    with pytest.raises(ConnectionFault) as caught:
        blocks.add(1, b"", 0)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_priority_fields_are_left_out() -> None:
    assert HeaderBlocks.skip_priority(3, b"\x80\x00\x00\x01\x10rest") == b"rest"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
        (b"\0\0\0\3\x10", ErrorCode.PROTOCOL_ERROR),
        (b"\x80\0\0\3\x10", ErrorCode.PROTOCOL_ERROR),
    ],
    ids=["short", "itself", "itself, exclusively"],
)
def test_malformed_priority_fields(payload: bytes, code: ErrorCode) -> None:
    with pytest.raises(ConnectionFault) as caught:
        HeaderBlocks.skip_priority(3, payload)
    assert caught.value.code is code
