"""The serving side of `child.py`: says the port, then answers questions from stdin in a thread, for any engine."""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

# A figure by its question.
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class CollectorPauses:
    """Watches the garbage collector: its longest pause so far, s."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on_phase)

    def _on_phase(self, phase: str, _info: dict[str, int]) -> None:
        now = perf_counter()
        if phase == "start":
            self._began = now
        else:
            self.longest_s = max(self.longest_s, now - self._began)


def cpu_s() -> float:
    """User and system time of this process, s."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> float:
    """Resident memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def peak_bytes() -> float:
    """The most that this process has had resident since it was asked last (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    return peak_kb * 1_024


def _answer(questions: dict[str, Callable[[], float]]) -> None:
    for line in sys.stdin:
        print(questions[line.strip()](), flush=True)


def ready(port: int, **more: Callable[[], float]) -> None:
    """Tell the parent the port, and answer it from now on.

    Args:
        port: It.
        more: What else can be asked, by name; called in another thread than this.
    """
    pauses = CollectorPauses()
    questions = {"cpu": cpu_s, "rss": resident_bytes, "peak": peak_bytes, "gc": lambda: pauses.longest_s, **more}
    print(port, flush=True)
    threading.Thread(target=_answer, args=(questions,), daemon=True).start()
