"""The writing half by itself: streams that are open on it, and what it has sent."""

from __future__ import annotations

from ride_trio.wire.frames import DATA
from ride_trio.wire.limits import Limits
from ride_trio.wire.loans import Loans
from ride_trio.wire.outbound import Outbound
from ride_trio.wire.states import Input
from ride_trio.wire.stream import Stream
from tests.wire.peers import Frame, read_frames

LIMITS = Limits(write_high_water=50_000)
TRAILERS = b"\x88"
PLENTY = 2**30


def outbound(limits: Limits = LIMITS, window: int = PLENTY) -> Outbound:
    out = Outbound(limits, Loans(limits.shared_lent), {})
    out.window = window
    return out


def opened(out: Outbound, stream_id: int = 1, window: int = PLENTY) -> Stream:
    stream = Stream(stream_id, 65_535, window)
    stream.happened(Input.RECV_HEADERS)
    out.streams[stream_id] = stream
    return stream


def sent(out: Outbound) -> list[Frame]:
    return read_frames(out.take_output())


def payload_of(found: list[Frame], stream_id: int = 1) -> bytes:
    return b"".join(frame.payload for frame in found if frame.kind == DATA and frame.stream_id == stream_id)


def drain(out: Outbound) -> list[Frame]:
    found: list[Frame] = []
    while out.output:
        found += sent(out)
        out.resume()
    return found


def move(out: Outbound, stream: Stream, delta: int) -> None:
    """What WINDOW_UPDATE and SETTINGS do."""
    stream.window_moved(delta)
    out.line_up(stream)
    out.resume()
