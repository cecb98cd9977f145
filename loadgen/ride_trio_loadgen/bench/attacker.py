"""Plays an attack (see `attacks`) against a server on this machine.

    python -m ride_trio_loadgen.bench.attacker NAME PORT SECONDS [PATIENCE]

connects anew whenever it is thrown out, and prints how often it has sent something and what it was answered. With
PATIENCE, s, it goes on for so long until it has had its answer; without, it runs at the lowest priority: what is
measured then is the server, not who gets the other CPU.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ride_trio.wire import ErrorCode, hpack
from ride_trio.wire.frames import (
    DATA,
    DEFAULT_WINDOW,
    GOAWAY,
    HEADER_BYTES,
    HEADERS,
    PREFACE,
    RST_STREAM,
    WINDOW_UPDATE,
    settings_frame,
)
from ride_trio_loadgen.bench.attacks import ATTACKS, CLOSED, NOT_READ, Attack

# No attacker waits longer for a socket than this, s.
SOCKET_TIMEOUT_S: Final = 0.5
# Between two connections of an attacker, s.
PAUSE_S: Final = 0.01


class Attacker:
    """Plays an attack on all its connections in turn.

    Attributes:
        chunks: How many it has sent.
        answers: How often it was told what: GOAWAY and RST with their code, a call's status, that it was closed or is
            not read from.
    """

    def __init__(self, attack: Attack, port: int) -> None:
        self.attack = attack
        self.chunks = 0
        self.answers: Counter[str] = Counter()
        self._port = port

    def play(self, seconds: float, patience_s: float) -> None:
        """For so long; with patience until there was the answer, if there is to be one."""
        until = time.monotonic() + seconds
        at_last = until + patience_s
        lives = [self._life() for _ in range(self.attack.connections)]
        while (now := time.monotonic()) < until or (now < at_last and not self._answered):
            for life in lives:
                next(life)
                if time.monotonic() > until and not patience_s:
                    break
            time.sleep(self.attack.pause_s)

    @property
    def _answered(self) -> bool:
        return not self.attack.answer or self.attack.answer in self.answers

    def _life(self) -> Iterator[None]:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), SOCKET_TIMEOUT_S) as sock:
                    yield from self._attack_on(sock)
            except TimeoutError:
                self.answers[NOT_READ] += 1
            except OSError:
                self.answers[CLOSED] += 1
            time.sleep(PAUSE_S)
            yield

    def _attack_on(self, sock: socket.socket) -> Iterator[None]:
        if self.attack.preface:
            sock.sendall(PREFACE + settings_frame(self.attack.settings))
        victim = Victim(self.answers)
        for chunk in self.attack.chunks():
            while self.attack.polite and not victim.has_room(chunk):
                self._read(sock, victim)
                yield
            sock.sendall(chunk)
            self.chunks += 1
            if self.attack.reads:
                self._read(sock, victim)
            yield

    @staticmethod
    def _read(sock: socket.socket, victim: Victim) -> None:
        sock.setblocking(False)
        try:
            data = sock.recv(1 << 18)
            if not data:
                raise OSError("closed")
            victim.said(data)
        except BlockingIOError:
            pass
        finally:
            sock.settimeout(SOCKET_TIMEOUT_S)


class Victim:
    """What a connection has heard: counts answers, and keeps its windows and that of stream 1.

    Args:
        answers: Where to count.
    """

    def __init__(self, answers: Counter[str]) -> None:
        self._answers = answers
        self._buffer = b""
        self._windows = {0: DEFAULT_WINDOW, 1: DEFAULT_WINDOW}
        self._decoder = hpack.Decoder(1 << 16)

    def has_room(self, chunk: bytes) -> bool:
        """Whether the windows let a chunk of DATA of stream 1 through; then it counts as sent."""
        size = sum(len(payload) for kind, _, payload in _frames(chunk)[0] if kind == DATA)
        if size > min(self._windows.values()):
            return False
        for stream in self._windows:
            self._windows[stream] -= size
        return True

    def said(self, data: bytes) -> None:
        frames, self._buffer = _frames(self._buffer + data)
        for kind, stream, payload in frames:
            if kind == GOAWAY:
                self._answers[f"GOAWAY {ErrorCode(int.from_bytes(payload[4:8], 'big')).name}"] += 1
            elif kind == RST_STREAM:
                self._answers[f"RST {ErrorCode(int.from_bytes(payload, 'big')).name}"] += 1
            elif kind == WINDOW_UPDATE and stream in self._windows:
                self._windows[stream] += int.from_bytes(payload, "big")
            elif kind == HEADERS:
                for name, value, *_ in self._decoder.decode(payload) or ():
                    if name == b"grpc-status":
                        self._answers[f"status {value.decode()}"] += 1


def _frames(data: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Whole frames, as type, stream and payload; and what is behind them."""
    found, at = [], 0
    while len(data) >= (body := at + HEADER_BYTES) and len(data) >= (
        end := body + int.from_bytes(data[at : at + 3], "big")
    ):
        found.append((data[at + 3], int.from_bytes(data[at + 5 : body], "big"), data[body:end]))
        at = end
    return found, data[at:]


def main(name: str, port: int, seconds: float, patience_s: float = 0.0) -> None:
    """Play, and print `N chunks: ANSWER xN, ...`."""
    if not patience_s:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    attacker = Attacker(ATTACKS[name], port)
    attacker.play(seconds, patience_s)
    answers = ", ".join(f"{what} x{count}" for what, count in attacker.answers.most_common())
    print(f"{attacker.chunks} chunks: {answers}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
