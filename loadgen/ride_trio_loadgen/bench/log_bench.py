"""`bench log`: the durable log, each figure beside what the same disk or the same machine gives in the same round.

Each measurement has servers of its own, with an empty data directory. Client and server have a core each if there are
two. Rounds are interleaved (every measurement once a round), so that a noisy neighbour hits all of them; a figure is
the median of the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from rich.console import Console

from ride_trio_loadgen.bench.child import client_on_its_own_cpu
from ride_trio_loadgen.bench.log_rows import MEASUREMENTS, ROWS
from ride_trio_loadgen.bench.log_setup import Figure, Scale, Setup
from ride_trio_loadgen.bench.log_table import as_json, broken, table

# Narrower, its cells would break; a terminal that is wraps whole lines.
TABLE_WIDTH: Final = 160
ROW_NAMES: Final = tuple(row.name for row in ROWS)


def run(
    scale: Scale,
    results: dict[str, list[Figure]],
    rows: Iterable[str] = ROW_NAMES,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Measure, round by round.

    Args:
        scale: How much.
        results: Gets the figures by row, as they come: those that are there stay if a later measurement fails.
        rows: Names of rows; those that come with them are measured, too.
        say: Is told what goes on.
    """
    wanted = set(rows)
    with client_on_its_own_cpu() as cpu:
        setup = Setup(scale, cpu)
        for number in range(scale.rounds):
            for measurement in MEASUREMENTS:
                if wanted & set(measurement.rows) and number < measurement.most_rounds:
                    say(f"round {number + 1} of {scale.rounds}: {measurement.rows[0]}")
                    for name, figure in measurement.measure(setup).items():
                        results.setdefault(name, []).append(figure)


def main(
    scale: Scale, rows: Iterable[str] = ROW_NAMES, *, details: bool = False, json_file: Path | None = None
) -> bool:
    """Run and print; True if every bound that was measured holds."""
    console = Console()
    console = Console(width=max(console.width, TABLE_WIDTH))
    results = dict[str, list[Figure]]()
    try:
        with console.status("") as status:
            run(scale, results, rows, status.update)
    finally:
        console.print(table(results, details=details))
        if json_file is not None:
            json_file.write_text(as_json(results) + "\n")
    failures = broken(results)
    for failure in failures:
        console.print(f"does not hold: {failure}", highlight=False)
    return not failures
