"""A city to look at: `ride-trio demo --keep` as a process of its own, and a server that can be stopped and started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

COMMAND = [sys.executable, "-m", "ride_trio_cli"]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


@contextmanager
def demo(*options: str) -> Iterator[str]:
    """A living city while the block runs; gives the address and port of its page."""
    with printing([*COMMAND, "demo", "--keep", *options], rb"http://(127\.0\.0\.1:\d+)/") as host:
        yield host


@contextmanager
def server(*options: str) -> Iterator[str]:
    """A server without anybody in it; gives the address and port of its page."""
    with printing([*COMMAND, "serve", *options], rb" http=(127\.0\.0\.1:\d+)") as host:
        yield host


@contextmanager
def printing(command: list[str], pattern: bytes) -> Iterator[str]:
    """A process while the block runs, from the line with the pattern on; gives the pattern's group."""
    # A session of its own: what it starts is ended with it.
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True) as process:
        lines: Queue[bytes] = Queue()
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            yield _wait_for(pattern, lines)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            reader.join(STOP_TIMEOUT_S)


def _read(process: subprocess.Popen[bytes], lines: Queue[bytes]) -> None:
    """To the end, so that the process never waits for room in its pipe."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)


def _wait_for(pattern: bytes, lines: Queue[bytes]) -> str:
    said = b""
    while True:
        try:
            said += lines.get(timeout=START_TIMEOUT_S)
        except Empty:
            raise AssertionError(f"no {pattern!r} in what it said: {said.decode()}") from None
        if found := re.search(pattern, said):
            return found[1].decode()
