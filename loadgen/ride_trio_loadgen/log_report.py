"""What a load on the durable log was like: as data for a program, and as a table for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ride_trio_loadgen.log_plan import LogPlan
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.report import LAG_SUSPECT_MS, error_rows, spread

# A generator that uses more of its CPU than this tells more about itself than about the server.
CPU_SUSPECT = 0.95
# What the check of the log itself finds, beside errors that the server has told of.
CHECKED = (
    "missing",
    "doubled",
    "out_of_order",
    "wrong_record",
    "wrong_partition",
    "damaged",
    "offsets_not_dense",
    "offset_backward",
    "offset_answered_twice",
    "answer_unexpected",
    "not_checked",
)


@dataclass(frozen=True, slots=True)
class LogReport:
    """The figures of a finished run.

    Args:
        plan: what was asked for.
        tally: what was counted.
        partitions: of the topic.
        lag_ms: as `Latencies.summary_ms`: by how much the generator was late with what was due.
        behind: records that were due and not sent when the time was over.
        unacknowledged: records that were read and are not acknowledged.
        held_s: seconds for which producers waited because too much waited to be read.
        wall_s: seconds in all.
        cpu_s: seconds of CPU that the generator has used.
        cpu_share: of one core, while records were sent.
    """

    plan: LogPlan
    tally: LogTally
    partitions: int
    lag_ms: dict[str, float]
    behind: int
    unacknowledged: int
    held_s: float
    wall_s: float
    cpu_s: float
    cpu_share: float

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.tally.errors)

    @property
    def errors(self) -> dict[str, int]:
        return {kind: error.count for kind, error in sorted(self.tally.errors.items())}

    @property
    def check(self) -> str:
        """What the check of the log has come to: "ok", or kinds and how often."""
        found = [f"{self.errors[kind]:,} {kind}" for kind in CHECKED if kind in self.errors]
        return ", ".join(found) or "ok"

    @property
    def acked_per_s(self) -> float:
        return _rate(self.tally.acked, self.tally.last_acked_s - self.tally.first_s)

    @property
    def consumed_per_s(self) -> float:
        return _rate(self.tally.consumed, self.tally.last_consumed_s - self.tally.first_s)

    @property
    def cpu_us_per_record(self) -> float:
        """The generator's CPU for each record that it has produced, or, if it has not, consumed."""
        return 1e6 * self.cpu_s / max(1, self.tally.acked or self.tally.consumed)

    @property
    def doubts(self) -> str:
        """Why the figures may not be the server's alone; empty if there is no reason."""
        doubts = []
        if self.cpu_share > CPU_SUSPECT:
            doubts.append("the generator had no CPU left")
        if self.lag_ms["p99"] > LAG_SUSPECT_MS:
            doubts.append("the generator ran late (lag)")
        if self.held_s:
            doubts.append(f"producers waited for {self.held_s:.1f} s because consumers were behind")
        return f"{', '.join(doubts)}: these figures are not the server's alone" if doubts else ""

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, ready for `json.dump`."""
        tally = self.tally
        return {
            "plan": self.plan.to_json(),
            "partitions": self.partitions,
            "wall_s": round(self.wall_s, 3),
            "sent": tally.sent,
            "acked": tally.acked,
            "unanswered": tally.unanswered,
            "consumed": tally.consumed,
            "foreign": tally.foreign,
            "unacknowledged": self.unacknowledged,
            "records_per_s": round(self.acked_per_s, 1),
            "mb_per_s": round(self._acked_mb_per_s, 3),
            "consumed_per_s": round(self.consumed_per_s, 1),
            "consumed_mb_per_s": round(self._consumed_mb_per_s, 3),
            "produce_ms": tally.produce.summary_ms(),
            "end_to_end_ms": tally.end_to_end.summary_ms(),
            "lag_ms": self.lag_ms,
            "behind": self.behind,
            "held_s": round(self.held_s, 3),
            "cpu_us_per_record": round(self.cpu_us_per_record, 3),
            "cpu_share": round(self.cpu_share, 3),
            "check": self.check,
            "errors": self.errors,
            "error_examples": {kind: error.example for kind, error in sorted(tally.errors.items())},
        }

    def table(self) -> Table:
        """The report for a person."""
        plan = self.plan
        title = f"{plan.producers:,} producers, {self.partitions:,} partitions of {plan.topic}, {self.wall_s:.1f} s"
        table = Table(title=title, title_justify="left", show_header=False, caption_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, value)
        table.add_section()
        table.add_row("check", f"[green]{self._checked}[/green]" if self.check == "ok" else f"[red]{self.check}[/red]")
        examples = {kind: error.example for kind, error in self.tally.errors.items()}
        for name, value in error_rows(self.errors, examples):
            table.add_row(name, value)
        table.caption = self.doubts or None
        return table

    def _rows(self) -> list[tuple[str, str]]:
        tally = self.tally
        rows = [
            ("sent", f"{tally.sent:,}"),
            ("acked", f"{tally.acked:,} ({self.acked_per_s:,.0f}/s, {self._acked_mb_per_s:,.1f} MB/s)"),
            ("consumed", f"{tally.consumed:,} ({self.consumed_per_s:,.0f}/s, {self._consumed_mb_per_s:,.1f} MB/s)"),
            ("produce latency", spread(tally.produce.summary_ms())),
            ("end-to-end latency", spread(tally.end_to_end.summary_ms())),
            ("generator lag", spread(self.lag_ms)),
            ("generator CPU", f"{self.cpu_us_per_record:.1f} us a record, {self.cpu_share:.0%} of a core"),
        ]
        seldom = {
            "others' records": tally.foreign,
            "never answered": tally.unanswered,
            "  of these stored": self.unacknowledged,
            "due and not sent": self.behind,
        }
        return rows + [(name, f"{count:,}") for name, count in seldom.items() if count]

    @property
    def _checked(self) -> str:
        if not self.plan.consumers:
            return "the offsets answered fit the topic's ends (nobody has read the records)"
        if not self.plan.producers:
            return "offsets are dense"
        return "every acknowledged record was read, once, in order, at its offset"

    @property
    def _acked_mb_per_s(self) -> float:
        return self.acked_per_s * self.plan.record_bytes / 1e6

    @property
    def _consumed_mb_per_s(self) -> float:
        return _rate(self.tally.consumed_bytes / 1e6, self.tally.last_consumed_s - self.tally.first_s)


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds if seconds > 0 else 0.0
