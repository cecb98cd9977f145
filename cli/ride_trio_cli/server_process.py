"""A server of our own in a child process, for `ride-trio demo`."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from subprocess import PIPE

import trio

from ride_trio.config import SETTINGS
from ride_trio.values import Address, parse_address

_READY = re.compile(rb"^ready grpc=(\S+) metrics=(\S+) http=(\S+)$", re.MULTILINE)
_START_TIMEOUT_S = 15.0  # importing and binding take under one; a loaded CI machine gets its time
_KILL_TIMEOUT_S = 5.0  # beyond the shutdown grace, for what the process does after it
_READ_BYTES = 4096  # far more than the ready line


class ServerFailedError(Exception):
    """The server ended, or said nothing for too long, instead of becoming ready."""


@dataclass(slots=True)
class ServerProcess:
    """A running server. `grpc`, `metrics` and `http` are where it really listens; the last is None if it does not."""

    process: trio.Process
    grpc: Address
    metrics: Address
    http: Address | None

    async def stop(self, grace_s: float) -> int:
        """End it with SIGTERM, with SIGKILL if that takes longer than it should.

        Args:
            grace_s: the server's own SHUTDOWN_GRACE, in seconds.

        Returns:
            Its exit code; negative is the signal that ended it.
        """
        self.process.terminate()
        with trio.move_on_after(grace_s + _KILL_TIMEOUT_S):
            return await self.process.wait()
        self.process.kill()
        return await self.process.wait()


@asynccontextmanager
async def server_process(overrides: Mapping[str, str]) -> AsyncIterator[ServerProcess]:
    """Run `ride-trio serve` while the block runs.

    It is ended whatever happens to the block, and even if this process is killed. A terminal's Ctrl-C doesn't reach it:
    the block decides when it ends.

    Args:
        overrides: settings as text, by field name.

    Raises:
        ServerFailedError: it did not become ready. What it had to say stands on standard error.
    """
    options = [word for s in SETTINGS if s.name in overrides for word in (s.option, overrides[s.name])]
    command = [sys.executable, "-m", "ride_trio_cli", "serve", "--stop-with-stdin", *options]
    process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        yield await _when_ready(process)
    finally:
        process.kill()
        with trio.move_on_after(_KILL_TIMEOUT_S, shield=True):
            await process.wait()
            await _close_pipes(process)


async def _when_ready(process: trio.Process) -> ServerProcess:
    assert process.stdout is not None
    said = b""
    with trio.move_on_after(_START_TIMEOUT_S):
        while chunk := await process.stdout.receive_some(_READ_BYTES):
            said += chunk
            if match := _READY.search(said):
                grpc, metrics, http = (text.decode() for text in match.groups())
                found = None if http == "off" else parse_address(http)
                return ServerProcess(process, parse_address(grpc), parse_address(metrics), found)
        raise ServerFailedError("the server ended before it was ready")
    raise ServerFailedError(f"the server was not ready within {_START_TIMEOUT_S:.0f} s")


async def _close_pipes(process: trio.Process) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            await pipe.aclose()
