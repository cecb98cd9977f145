"""`bench log`: medians, ratios and bounds as a table, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from rich.table import Table

from ride_trio_loadgen.bench.log_rows import ROWS, Bound, Row
from ride_trio_loadgen.bench.log_setup import Figure

# Figures of all rounds by row name.
Results = Mapping[str, Sequence[Figure]]

NO_ROOM: Final = "no room"


def ours(figures: Sequence[Figure]) -> float:
    return median(figure.ours for figure in figures)


def beside(figures: Sequence[Figure]) -> float | None:
    """The median of what ours stands beside; None if it stands alone."""
    values = [figure.beside for figure in figures if figure.beside is not None]
    return median(values) if values else None


def ratio(figures: Sequence[Figure]) -> float | None:
    """Ours, of what stands beside it: the median of the rounds' ratios, as both meet the same disk and neighbours."""
    ratios = [figure.ours / figure.beside for figure in figures if figure.beside]
    return median(ratios) if ratios else None


def is_asked(figures: Sequence[Figure], bound: Bound) -> bool:
    """Whether what stands beside leaves room for a bound."""
    other = beside(figures)
    return other is None or bound.room * other >= bound.least


def value_of(figures: Sequence[Figure], bound: Bound) -> float | None:
    """What a bound is about."""
    return ratio(figures) if bound.of_beside else ours(figures)


def holds(figures: Sequence[Figure], bound: Bound) -> bool | None:
    """Whether a bound holds; None if it is not asked for."""
    value = value_of(figures, bound)
    if value is None or not is_asked(figures, bound):
        return None
    return bound.least <= value <= bound.most


def broken(results: Results) -> list[str]:
    """A sentence for each bound that does not hold."""
    found = []
    for row in _measured(results):
        for bound in row.bounds:
            if holds(results[row.name], bound) is False:
                of = f" of {row.beside}" if bound.of_beside else f" {row.unit}"
                found.append(f"{row.name}: {value_of(results[row.name], bound):.4g}{of}, {_allowed(bound)} is allowed")
    return found


def _allowed(bound: Bound) -> str:
    return f"at most {bound.most:g}" if bound.most < math.inf else f"at least {bound.least:g}"


def _measured(results: Results) -> Iterator[Row]:
    return (row for row in ROWS if row.name in results)


def table(results: Results, *, details: bool = False) -> Table:
    """A line a row: medians (with details min - max below), what stands beside, the ratio, bounds."""
    out = Table(title="bench log: medians of the rounds")
    out.add_column("row", min_width=37)
    for heading in ("unit", "ours", "beside", "", "ours of\nbeside", "bound"):
        out.add_column(heading, justify="right" if heading.startswith(("ours", "beside")) else "left")
    for row in _measured(results):
        figures = results[row.name]
        shares = ratio(figures)
        out.add_row(
            row.title,
            row.unit,
            _cell([figure.ours for figure in figures], details),
            _cell([figure.beside for figure in figures if figure.beside is not None], details),
            row.beside,
            "" if shares is None else f"{shares:.2f}",
            "\n".join(_bound(figures, bound) for bound in row.bounds),
        )
    return out


def _cell(values: list[float], details: bool) -> str:
    if not values:
        return ""
    spread = f"\n{_number(min(values))} - {_number(max(values))}" if details and len(values) > 1 else ""
    return _number(median(values)) + spread


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _bound(figures: Sequence[Figure], bound: Bound) -> str:
    limit = f"<= {bound.most:,g}" if bound.most < math.inf else f">= {bound.least:,g}"
    if bound.of_beside:
        limit += " of beside"
    match holds(figures, bound):
        case None:
            return f"[dim]{limit}: {NO_ROOM}[/dim]"
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
            "ours": [figure.ours for figure in results[row.name]],
            "beside": [figure.beside for figure in results[row.name]],
            "beside_is": row.beside,
            "medians": {"ours": ours(results[row.name]), "beside": beside(results[row.name])},
            "ratio": ratio(results[row.name]),
            "bounds": [_bound_as_json(results[row.name], bound) for bound in row.bounds],
        }
        for row in _measured(results)
    ]
    return json.dumps(rows, indent=2)


def _bound_as_json(figures: Sequence[Figure], bound: Bound) -> dict[str, object]:
    limits = {"least": bound.least, "most": bound.most}
    given = {name: limit for name, limit in limits.items() if math.isfinite(limit)}
    return {**given, "of_beside": bound.of_beside, "holds": holds(figures, bound)}
