"""`bench rpc`: server CPU of the same work under each engine, with the same client for all.

Each engine's server runs in a process of its own, client and server on a core each if there are two. Rounds are
interleaved (every engine once a round), so that a noisy neighbour hits all of them; a figure is the median of the
rounds, our ratio is to grpc.aio's median.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console

from ride_trio_loadgen.bench.child import child, client_on_its_own_cpu
from ride_trio_loadgen.bench.rpc_rows import ENGINES, MEASUREMENTS, ROWS, Measurement, Scale
from ride_trio_loadgen.bench.rpc_table import as_json, broken, table

# Narrower, its cells would break; a terminal that is wraps whole lines.
TABLE_WIDTH: Final = 210
ROW_NAMES: Final = tuple(row.name for row in ROWS)

Figures = dict[str, dict[str, list[float]]]


def run(
    scale: Scale,
    rows: Iterable[str] = ROW_NAMES,
    engines: Iterable[str] = ENGINES,
    say: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Measure: round by round, and in a round engine by engine.

    Args:
        scale: How much.
        rows: Names of rows.
        engines: Names of engines; rows that they do not have are left out.
        say: Is told what goes on.
    """
    wanted, chosen = set(rows), set(engines)
    results: Figures = {}
    with client_on_its_own_cpu() as cpu:
        for number in range(scale.rounds):
            due = [m for m in MEASUREMENTS if wanted & set(m.rows) and number < m.most_rounds]
            for _, group in groupby(due, key=lambda m: (m.server, m.alone)):
                together = list(group)
                for engine in together[0].engines if len(together) == 1 else ENGINES:
                    if engine in chosen:
                        say(f"round {number + 1} of {scale.rounds}: {engine}, {together[0].rows[0]}")
                        _measure(together, engine, scale, cpu, results)
    return {name: results[name] for name in ROW_NAMES if name in results and name in wanted}


def _measure(together: list[Measurement], engine: str, scale: Scale, cpu: int | None, results: Figures) -> None:
    """All that one server process is asked."""
    asked = [measurement for measurement in together if engine in measurement.engines]
    if not asked:
        return
    with child(asked[0].server, engine, *asked[0].arguments(scale), cpu=cpu) as server:
        for measurement in asked:
            for name, value in measurement.measure(server, engine, scale).items():
                results.setdefault(name, {}).setdefault(engine, []).append(value)


def main(
    scale: Scale,
    rows: Iterable[str] = ROW_NAMES,
    engines: Iterable[str] = ENGINES,
    *,
    details: bool = False,
    json_file: Path | None = None,
) -> bool:
    """Run and print; True if every bound that was measured holds."""
    console = Console()
    console = Console(width=max(console.width, TABLE_WIDTH))
    with console.status("") as status:
        results = run(scale, rows, engines, status.update)
    console.print(table(results, details=details))
    if json_file is not None:
        json_file.write_text(as_json(results) + "\n")
    failures = broken(results)
    for failure in failures:
        console.print(f"does not hold: {failure}", highlight=False)
    return not failures
