"""What a run was like: as data for a program, and as a table for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ride_trio_loadgen.tally import Tally

# Milliseconds: when the generator's own p99 lag is above this, its latencies tell more about it than about
# the server.
LAG_SUSPECT_MS = 10.0
# How an error's example is cut in the table; the JSON has all of it.
EXAMPLE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a finished run.

    `ack_ms`, `match_ms` and `lag_ms` have the keys p50, p99, p999, max (milliseconds) and count. `ack_ms`
    counts from when an envelope was due, `match_ms` from when the LOOKING was due; `lag_ms` is by how much
    the generator itself was late with what was due.
    """

    scenario: dict[str, Any]
    wall_s: float
    connections: int
    sessions: int
    sent: int
    acked: int
    broadcasts: int
    requests: int
    matches: int
    no_driver: int
    driver_lost: int
    bytes_sent: int
    bytes_received: int
    ack_ms: dict[str, float]
    match_ms: dict[str, float]
    lag_ms: dict[str, float]
    errors: dict[str, int]
    error_examples: dict[str, str]

    @classmethod
    def of(
        cls,
        tally: Tally,
        *,
        lag_ms: dict[str, float],
        wall_s: float,
        connections: int,
        scenario: dict[str, Any],
    ) -> Report:
        """Sum up a run.

        Args:
            lag_ms: as `Latencies.summary_ms`.
            wall_s: seconds from the first session's opening to the last one's end.
            scenario: what was asked for, as plain data.
        """
        return cls(
            scenario=scenario,
            wall_s=wall_s,
            connections=connections,
            sessions=tally.sessions,
            sent=tally.sent,
            acked=tally.acked,
            broadcasts=tally.broadcasts,
            requests=tally.requests,
            matches=tally.matches,
            no_driver=tally.no_driver,
            driver_lost=tally.driver_lost,
            bytes_sent=tally.bytes_sent,
            bytes_received=tally.bytes_received,
            ack_ms=tally.ack.summary_ms(),
            match_ms=tally.match.summary_ms(),
            lag_ms=lag_ms,
            errors={kind: error.count for kind, error in sorted(tally.errors.items())},
            error_examples={kind: error.example for kind, error in sorted(tally.errors.items())},
        )

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.errors)

    @property
    def lagged(self) -> bool:
        """Whether the generator ran behind its own schedule: latencies are not the server's alone then."""
        return self.lag_ms["p99"] > LAG_SUSPECT_MS

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, ready for `json.dump`."""
        return {
            "scenario": self.scenario,
            "wall_s": round(self.wall_s, 3),
            "connections": self.connections,
            "sessions": self.sessions,
            "sent": self.sent,
            "sent_per_s": round(self._rate(self.sent), 1),
            "acked": self.acked,
            "broadcasts": self.broadcasts,
            "requests": self.requests,
            "matches": self.matches,
            "no_driver": self.no_driver,
            "driver_lost": self.driver_lost,
            "bytes": {"sent": self.bytes_sent, "received": self.bytes_received},
            "ack_ms": self.ack_ms,
            "match_ms": self.match_ms,
            "lag_ms": self.lag_ms,
            "errors": self.errors,
            "error_examples": self.error_examples,
        }

    def table(self) -> Table:
        """The report for a person."""
        title = f"{self.sessions:,} sessions on {self.connections} connections, {self.wall_s:.1f} s"
        table = Table(title=title, title_justify="left", show_header=False, caption_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        table.add_section()
        for name, value in error_rows(self.errors, self.error_examples):
            table.add_row(name, value)
        if self.lagged:
            table.caption = "the generator ran late (lag): these latencies are not the server's alone"
        return table

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("sent", self._flow(self.sent, self.bytes_sent)),
            ("acked", f"{self.acked:,}"),
            ("broadcasts received", f"{self.broadcasts:,} ({self._rate(self.broadcasts):,.0f}/s)"),
            ("received in all", f"{self.bytes_received / 1e6:,.1f} MB"),
            ("requests", f"{self.requests:,}"),
            (
                "matches",
                f"{self.matches:,}" + (f", {self.driver_lost:,} drivers lost" if self.driver_lost else ""),
            ),
            ("no-driver answers", f"{self.no_driver:,}"),
            ("ack RTT", spread(self.ack_ms)),
            ("time to match", spread(self.match_ms)),
            ("generator lag", spread(self.lag_ms)),
        ]

    def _flow(self, messages: int, size: int) -> str:
        return f"{messages:,} ({self._rate(messages):,.0f}/s), {size / 1e6:,.1f} MB"

    def _rate(self, events: int) -> float:
        return events / self.wall_s if self.wall_s > 0 else 0.0


def spread(summary_ms: dict[str, float]) -> str:
    """A distribution in one line: `p50 0.41   p99 2.30   p99.9 7.12   max 9.80 ms`."""
    if not summary_ms["count"]:
        return "-"
    in_seconds = summary_ms["p50"] >= 1000
    names = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
    values = {shown: summary_ms[key] / (1000 if in_seconds else 1) for key, shown in names.items()}
    return "   ".join(f"{shown} {value:.2f}" for shown, value in values.items()) + (" s" if in_seconds else " ms")


def error_rows(errors: dict[str, int], examples: dict[str, str]) -> list[tuple[str, str]]:
    """Rows that tell what went wrong: in all, then by kind with an example of each."""
    if not errors:
        return [("errors", "[green]0[/green]")]
    rows = [("errors", f"[red]{sum(errors.values()):,}[/red]")]
    for kind, times in errors.items():
        example = examples[kind][:EXAMPLE_CHARS].replace("[", "\\[")
        rows.append((f"  {kind}", f"[red]{times:,}[/red]  {example}"))
    return rows
