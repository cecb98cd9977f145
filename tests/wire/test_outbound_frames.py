"""The writing half: messages that share a frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.wire.outbounds import PLENTY, drain, move, opened, outbound, payload_of, sent
from tests.wire.peers import framed


def total(messages: list[bytes]) -> int:
    return len(b"".join(map(framed, messages)))


def test_messages_that_fit_share_a_frame() -> None:
    out = outbound()
    stream = opened(out, window=1_000)
    messages = [b"one", b"", b"three"]
    out.send_messages(stream, list(messages), total(messages))
    assert out.size == len(b"".join(out.output))
    (frame,) = sent(out)
    assert frame.payload == b"".join(map(framed, messages))
    assert (stream.send_window, out.window) == (1_000 - total(messages), PLENTY - total(messages))


def test_the_one_that_does_not_fit_has_a_frame_of_its_own() -> None:
    out = outbound()
    stream = opened(out)
    messages = [b"one", b"two", bytes(16_380)]
    out.send_messages(stream, list(messages), total(messages))
    assert [len(frame.payload) for frame in sent(out)] == [16, 16_384, 1]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.integers(0, 3_000), st.integers(0, 3_000))
def test_whatever_the_windows_all_of_it_goes_out_in_order_when_they_open(
    messages: list[bytes], stream_window: int, window: int
) -> None:
    out = outbound(window=window)
    stream = opened(out, window=stream_window)
    out.send_messages(stream, list(messages), total(messages))
    found = sent(out)
    assert len(payload_of(found)) <= min(stream_window, window)
    assert min(stream.send_window, out.window) >= 0
    out.window = PLENTY
    move(out, stream, PLENTY)
    assert payload_of(found + drain(out)) == b"".join(map(framed, messages))
