"""What a load on the durable log counts while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from ride_trio_loadgen.tally import ErrorCounts, Latencies


@dataclass(slots=True)
class LogTally(ErrorCounts):
    """The counters of a run. Written by producers and consumers, read by progress and report."""

    sent: int = 0  # records, each once
    acked: int = 0  # answered without an error
    unanswered: int = 0  # lost with their connection: stored or not
    consumed: int = 0  # records
    consumed_bytes: int = 0  # of their values
    foreign: int = 0  # records among them that are not of this run
    first_s: float = 0.0  # when the first record could be sent, trio clock
    last_acked_s: float = 0.0
    last_consumed_s: float = 0.0
    produce: Latencies = field(default_factory=Latencies)  # from when a record was sent, or due, to its answer
    end_to_end: Latencies = field(default_factory=Latencies)  # to when it was read

    def fold(self) -> None:
        """Have the latencies count what has come; a few times a second, to bound what waits."""
        self.produce.fold()
        self.end_to_end.fold()
