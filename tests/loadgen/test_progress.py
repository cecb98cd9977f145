from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from ride_trio_loadgen.plan import Snapshot
from ride_trio_loadgen.progress import PLAIN_INTERVAL_S, show_progress

SNAPSHOT = Snapshot(
    stage="running",
    elapsed_s=0.0,
    total_s=30.0,
    live=12,
    sent=3456,
    acked=3450,
    broadcasts=99,
    requests=5,
    open_requests=1,
    matches=4,
    no_driver=0,
    errors=0,
)


def test_a_file_gets_a_plain_line_now_and_then_and_at_each_stage() -> None:
    out = io.StringIO()
    with show_progress(Console(file=out)) as progress:
        for quarter in range(int(4 * 2 * PLAIN_INTERVAL_S)):
            progress(replace(SNAPSHOT, elapsed_s=quarter / 4))
        progress(replace(SNAPSHOT, elapsed_s=9.9, stage="leaving"))
    lines = out.getvalue().splitlines()
    assert [line.split(":")[0].split("  ")[-1] for line in lines] == ["running", "running", "leaving"]
    assert "12 live, 3,456 sent, 3,450 acked" in lines[0]


def test_a_terminal_gets_a_line_that_changes() -> None:
    out = io.StringIO()
    with show_progress(Console(file=out, force_terminal=True, width=200)) as progress:
        progress(SNAPSHOT)
        progress(replace(SNAPSHOT, elapsed_s=15.0, matches=44))
    assert "44 matches" in out.getvalue()
    assert "15 s" in out.getvalue()
