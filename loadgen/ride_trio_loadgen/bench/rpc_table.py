"""`bench rpc`: medians, ratios and bounds as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final

from rich.table import Table

from ride_trio_loadgen.bench.echo import BARE_TRIO, CORO, GENERATOR, GRPC_AIO, GRPCLIB, PURERPC, SINK
from ride_trio_loadgen.bench.rpc_rows import ACKS_ONLY, ORIENTATION, ROWS, SERVE, Bound, Row

# Figures of all rounds by row name, then engine.
Results = Mapping[str, Mapping[str, list[float]]]

# The product and its peer stand in the columns of the engines that they run on.
_COLUMN_OF: Final = {SERVE: CORO, ACKS_ONLY: GRPC_AIO}
_HEADINGS: Final = {
    CORO: "ours, co-\nroutine",
    GENERATOR: "ours, ge-\nnerator",
    SINK: "ours,\nsink",
    GRPC_AIO: "grpc.aio",
    GRPCLIB: "grpclib",
    PURERPC: "purerpc",
    BARE_TRIO: "bare\ntrio",
}
# A ratio below this reads better as a fraction.
_SMALL_RATIO: Final = 0.5


def columns(results: Results, name: str) -> dict[str, list[float]]:
    """A row's figures by the engine whose column they stand in."""
    return {_COLUMN_OF.get(engine, engine): values for engine, values in results[name].items()}


def ratio(results: Results, name: str, of: str | None = GRPC_AIO) -> float | None:
    """Our median, of another engine's in the same row (or as it is); None if one of them was not measured."""
    figures = columns(results, name)
    if CORO not in figures or (of is not None and of not in figures):
        return None
    return median(figures[CORO]) / (1 if of is None else median(figures[of]))


def holds(results: Results, name: str, bound: Bound) -> bool | None:
    """Whether a bound holds; None if that was not measured."""
    value = ratio(results, name, bound.of)
    return None if value is None else value <= bound.at_most


def broken(results: Results) -> list[str]:
    """A sentence for each bound that does not hold."""
    found = []
    for row in _measured(results):
        for bound in row.bounds:
            value = ratio(results, row.name, bound.of)
            if value is not None and value > bound.at_most:
                beside = f" of {bound.of}" if bound.of else ""
                found.append(f"{row.name}: {value:.3g}{beside}, at most {bound.at_most:.3g} is allowed")
    return found


def _measured(results: Results) -> Iterator[Row]:
    return (row for row in ROWS if row.name in results)


def table(results: Results, *, details: bool = False) -> Table:
    """A line a row: medians (with details min - max below), our ratio to grpc.aio, bounds."""
    shown = [e for e in _HEADINGS if any(e in columns(results, row.name) for row in _measured(results))]
    out = Table(title="bench rpc: server CPU, medians of the rounds", caption=ORIENTATION)
    out.add_column("row", min_width=36)
    for heading in (*(_HEADINGS[e] for e in shown), "of\ngrpc.aio"):
        out.add_column(heading, justify="right")
    out.add_column("bound", min_width=26)
    out.add_column("proto-\ntype", justify="right", style="dim")
    out.add_column("grpc-\ngo", justify="right", style="dim")
    for row in _measured(results):
        figures = columns(results, row.name)
        cells = [_cell(figures.get(engine), details) for engine in shown]
        bounds = "\n".join(_bound(results, row.name, bound) for bound in row.bounds)
        own = _fraction(ratio(results, row.name))
        out.add_row(f"{row.title}, {row.unit}", *cells, own, bounds, row.prototype, row.grpc_go)
    return out


def _cell(values: list[float] | None, details: bool) -> str:
    if not values:
        return ""
    spread = f"\n{_number(min(values))} - {_number(max(values))}" if details and len(values) > 1 else ""
    return _number(median(values)) + spread


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _fraction(value: float | None) -> str:
    if value is None:
        return ""
    return f"1/{1 / value:.1f}" if 0 < value < _SMALL_RATIO else f"{value:.2f}"


def _bound(results: Results, name: str, bound: Bound) -> str:
    beside = f" of {bound.of}" if bound.of not in (None, GRPC_AIO) else ""
    limit = f"<= {_fraction(bound.at_most).removesuffix('.0')}{beside}"
    match holds(results, name, bound):
        case None:
            return f"[dim]{limit}: not measured[/dim]"
        case True:
            return f"[green]{limit}: holds[/green]"
        case False:
            return f"[red]{limit}: BROKEN[/red]"


def as_json(results: Results) -> str:
    """Every figure of every round, and what became of the bounds."""
    rows = [
        {
            "row": row.name,
            "unit": row.unit,
            "rounds": dict(results[row.name]),
            "medians": {engine: median(values) for engine, values in results[row.name].items() if values},
            "of_grpc_aio": ratio(results, row.name),
            "bounds": [
                {"at_most": bound.at_most, "of": bound.of, "holds": holds(results, row.name, bound)}
                for bound in row.bounds
            ],
        }
        for row in _measured(results)
    ]
    return json.dumps(rows, indent=2)
