"""A server in a process of its own, whose CPU time can be asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Final

# A server that has not said its port by then is broken: it is killed, and that is an error.
START_TIMEOUT_S: Final = 30.0


class Child:
    """A running server: its port, its process id, its CPU time."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid

    def ask(self, question: str) -> float:
        """Ask for a figure: cpu (s since the process began), gc (longest pause, s), rss (bytes), peak (its most since
        this was asked last)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


@contextmanager
def client_on_its_own_cpu() -> Iterator[int | None]:
    """Keep this process to one CPU until the block ends, and give another one for the server; None if there is one."""
    allowed = os.sched_getaffinity(0)
    ours, theirs, *_ = [*sorted(allowed), None, None]
    if ours is None or theirs is None:
        yield None
        return
    os.sched_setaffinity(0, {ours})
    try:
        yield theirs
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def child(module: str, *arguments: str, cpu: int | None = None) -> Iterator[Child]:
    """Run `python -m module arguments` until the block ends; it is killed then, whatever happened.

    A server of ours finds a data directory in its environment (DATA_DIR), which goes with it.

    Args:
        module: Which says its port when it is ready.
        arguments: Its own.
        cpu: Where it has to run, all threads of it; anywhere if there is none.
    """
    command = [sys.executable, "-m", module, *arguments]
    folder = TemporaryDirectory(prefix="ride-trio-bench-", ignore_cleanup_errors=True)
    environment = {**os.environ, "DATA_DIR": folder.name}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    if cpu is not None:
        os.sched_setaffinity(process.pid, {cpu})  # long before it has imported what starts threads
    too_late = Timer(START_TIMEOUT_S, process.kill)
    too_late.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        too_late.cancel()
        if not first.isdigit():
            raise RuntimeError(f"{module} {' '.join(arguments)} did not start: it said {first!r}")
        yield Child(process, int(first))
    finally:
        too_late.cancel()
        process.kill()
        process.wait()
        folder.cleanup()
