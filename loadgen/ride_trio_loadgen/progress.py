"""What a person sees while a run lasts: a changing line in a terminal, else a plain one every few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

# Seconds between lines where nothing can be overwritten, as in a CI log.
PLAIN_INTERVAL_S = 5.0
# Characters: the bar's width.
BAR_CHARS = 24


class Snapshot(Protocol):
    """How a run goes. Times are seconds by the wall clock."""

    @property
    def stage(self) -> str: ...

    @property
    def elapsed_s(self) -> float: ...

    @property
    def total_s(self) -> float:
        """Of the stage that the bar is for."""

    def describe(self) -> str:
        """The figures in words."""


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[Snapshot], None]]:
    """Show a run's progress on `console`; the value is what `run_rides` and `run_log` take as `progress`."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda snapshot: live.update(_line(snapshot), refresh=True)


class PlainProgress:
    """Prints a line when the stage changes, and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._next_s = 0.0

    def __call__(self, snapshot: Snapshot) -> None:
        if snapshot.stage == self._stage and snapshot.elapsed_s < self._next_s:
            return
        self._stage = snapshot.stage
        self._next_s = snapshot.elapsed_s + PLAIN_INTERVAL_S
        text = f"{snapshot.elapsed_s:6.1f} s  {snapshot.stage}: {snapshot.describe()}"
        self._console.print(text, highlight=False, soft_wrap=True)


def _line(snapshot: Snapshot) -> Table:
    grid = Table.grid(padding=(0, 1))
    done_s = min(snapshot.elapsed_s, snapshot.total_s)
    bar = ProgressBar(total=snapshot.total_s, completed=done_s, width=BAR_CHARS)
    grid.add_row(bar, f"{snapshot.elapsed_s:.0f} s", snapshot.stage, snapshot.describe())
    return grid
