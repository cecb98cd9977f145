"""`bench log`: how much is measured, what a figure is, and the servers that measurements start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.log_servers import MODULE, SERVE

# Data directories, and the files of what stands beside them, are below the system's folder for such things (TMPDIR).
FOLDER_PREFIX: Final = "ride-trio-bench-log-"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Args:
        rounds: Times that every measurement has its turn.
        seconds: Of each stretch that has a length.
        records: Read in the rows about consuming from files.
        hot_records: Read in those from memory; of 1 KB each they have to fit into the log's cache.
        tails: Consumers in the rows about tails.
        deliveries: To each of them.
        stopped: Consumers that stop reading.
        filling_bytes: Produced before their memory is looked at: enough to fill the log's cache, and what the kernel
            has for their sockets.
    """

    rounds: int = 5
    seconds: float = 5.0
    records: int = 300_000
    hot_records: int = 50_000
    tails: int = 1_000
    deliveries: int = 500
    stopped: int = 1_000
    filling_bytes: int = 300_000_000


class Figure(NamedTuple):
    """What was measured in a round: ours, and what stands beside it if anything does."""

    ours: float
    beside: float | None = None


Figures = dict[str, Figure]


class LogServer(NamedTuple):
    """A running server and the folder that it keeps its data in."""

    child: Child
    folder: Path

    @property
    def port(self) -> int:
        return self.child.port


@dataclass(frozen=True, slots=True)
class Setup:
    """What a measurement gets.

    Args:
        scale: How much.
        cpu: Where servers have to run; anywhere if there is none.
    """

    scale: Scale
    cpu: int | None = None

    @contextmanager
    def log_server(self, **settings: str) -> Iterator[LogServer]:
        """The whole server on an empty data directory, which goes with it."""
        given = [f"{name}={value}" for name, value in settings.items()]
        with (
            TemporaryDirectory(prefix=FOLDER_PREFIX) as folder,
            child(MODULE, SERVE, folder, *given, cpu=self.cpu) as server,
        ):
            yield LogServer(server, Path(folder))

    @contextmanager
    def other_server(self, *arguments: str) -> Iterator[Child]:
        """One of the others of `log_servers`."""
        with child(MODULE, *arguments, cpu=self.cpu) as server:
            yield server
