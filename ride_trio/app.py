"""The composition root: builds the server's parts, joins them, and holds the one top-level nursery.

Metrics <── everything counts
RideContext (broker, dispatcher, envelopes) <── RideStreamService <── rpc.Server (GRPC_LISTEN_ADDR)
     └──> RideJournal ──> EventLog <── TakhinService <──┘
dispatcher <── matching loop       Web (HTTP_LISTEN_ADDR, METRICS_LISTEN_ADDR) ──> RideContext, Metrics
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from ride_trio.config import Settings
from ride_trio.errors import DataDirError, ListenError
from ride_trio.eventlog import EventLog, LogOptions
from ride_trio.matching import run_matching
from ride_trio.metrics import Metrics
from ride_trio.rpc.health import HealthService
from ride_trio.rpc.reflection import reflection_services
from ride_trio.services import RideContext, RideJournal, RideStreamService, TakhinService
from ride_trio.serving import caller_tokens, grpc_server, operator_check, operator_tokens
from ride_trio.values import Address
from ride_trio.web import Web

log = logging.getLogger(__name__)

# When the collector runs: container objects made since, beyond those that went, before the young ones are looked at;
# collections of these before the middle ones are, too; and of those before all are. A session leaves no circle behind,
# so there is little to find, but what is looked at stops everybody: 0.4 to 1 us an object, and a session is 50 of
# them. Each object is looked at twice while it is young, however small the steps are; hence small ones, at most 900
# objects (1 ms) at a time, and a look at all of them (1 s at 50,000 sessions) only after 50 million.
GC_THRESHOLDS: Final = (300, 2, 83_000)
# Files for which the kernel has room from the start: 8 bytes each.
FILE_TABLE_SIZE: Final = 65_536
# Of the grace time, seconds that stay for cancelled calls to send their status and for the process to exit.
EXIT_RESERVE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the server really listens."""

    grpc: Address
    metrics: Address
    http: Address | None


class App:
    """The parts of one server.

    Args:
        settings: the effective ones.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        now = trio.lowlevel.current_clock().current_time
        self.health = HealthService()
        self.log = EventLog(Path(settings.data_dir), self.metrics.log, _log_options(settings))
        self.journal = RideJournal(self.log, locations=settings.log_locations)
        self.rides = RideContext.build(settings, self.metrics.rides, now, self.journal)
        tokens, operators = caller_tokens(settings), operator_tokens(settings)
        self.web = Web(settings, self.metrics, self.rides, self.log, tokens, operators)
        self.server = grpc_server(settings, self.metrics.engine, tokens)
        rides = RideStreamService(self.rides, operator_check(settings, tokens, operators))
        self._services = [rides.service, TakhinService(self.log).service, self.health.service]
        for service in (*self._services, *reflection_services(self._services)):
            self.server.add_service(service)

    async def run(self, task_status: trio.TaskStatus[Bound]) -> None:
        """Serve until SIGTERM or SIGINT; the second one doesn't wait for the grace time."""
        async with trio.open_nursery() as below:  # outlives all who write to it
            await below.start(self.log.run)
            await below.start(self.journal.run)
            async with trio.open_nursery() as nursery:
                with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                    bound = await self._start(nursery)
                    self._announce()
                    tune_gc()
                    log.info("listening: grpc=%s metrics=%s http=%s", bound.grpc, bound.metrics, bound.http)
                    task_status.started(bound)
                    await self._until_stopped(nursery, signals)
                nursery.cancel_scope.cancel()
            await self.journal.settle()
            below.cancel_scope.cancel()

    async def _start(self, nursery: trio.Nursery) -> Bound:
        settings = self.settings
        nursery.start_soon(self.rides.city.run, name="city")
        nursery.start_soon(self.rides.ack_timer.run, name="ack timer")
        nursery.start_soon(
            run_matching,
            self.rides.dispatcher,
            self.metrics.rides,
            settings.match_window_s,
            lambda: not self.journal.is_slow,
            name="matching",
        )
        port: int = await _listening(
            "GRPC_LISTEN_ADDR", settings.grpc_listen_addr, lambda: nursery.start(self.server.serve_async)
        )
        metrics, http = settings.metrics_listen_addr, settings.http_listen_addr
        metrics_port = await _listening("METRICS_LISTEN_ADDR", metrics, lambda: self.web.start_metrics(nursery))
        bound = Bound(Address(settings.grpc_listen_addr.host, port), Address(metrics.host, metrics_port), None)
        if http is None:
            return bound
        http_port = await _listening("HTTP_LISTEN_ADDR", http, lambda: self.web.start(http, nursery))
        return replace(bound, http=Address(http.host, http_port))

    def _announce(self) -> None:
        self.web.probes.ready = True
        for name in ("", *(service.name for service in self._services)):
            self.health.set(name, serving=True)

    async def _until_stopped(self, nursery: trio.Nursery, signals: AsyncIterator[int]) -> None:
        """Stop at the first signal, and at once at the second."""
        async with trio.open_nursery() as stopping:
            async for number in signals:
                log.info("%s: stopping", signal.Signals(number).name)
                if stopping.child_tasks:
                    nursery.cancel_scope.cancel()
                else:
                    stopping.start_soon(self._stop, stopping.cancel_scope)

    async def _stop(self, scope: trio.CancelScope) -> None:
        """Send nobody new here, end every session and every call, within the grace time."""
        self.web.probes.ready = False
        self.health.stop()
        grace_s = max(0.0, self.settings.shutdown_grace_s - EXIT_RESERVE_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.rides.broker.drain)
            async with trio.open_nursery() as transports:
                transports.start_soon(self.web.websockets.wait_all_closed, grace_s)
                transports.start_soon(self.server.shutdown, grace_s)
            nursery.cancel_scope.cancel()
        log.info("stopped: %s", self.server.statistics())
        scope.cancel()


def _log_options(settings: Settings) -> LogOptions:
    return LogOptions(
        segment_bytes=settings.log_segment_bytes,
        buffer_bytes=settings.log_buffer_bytes,
        cache_bytes=settings.log_cache_bytes,
        keep_every_s=settings.log_keep_interval_s,
    )


async def serve(settings: Settings, *, task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED) -> None:
    """Run a server until SIGTERM or SIGINT.

    Args:
        settings: the effective ones.
        task_status: gets where it listens, once it does.

    Raises:
        ListenError: an address can't be listened on.
        DataDirError: the data directory can't be used.
    """
    raise_open_files_limit()
    failure: Exception | None = None
    try:
        await App(settings).run(task_status)
    except* (ListenError, DataDirError) as group:
        failure = _first(group)
    if failure is not None:
        raise failure


def raise_open_files_limit() -> None:
    """Let the process open as many files as it may: each connection is one, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The kernel's table of them grows when a number is beyond its end, and each time all threads stop for about 10 ms.
    with open(os.devnull) as any_file:
        os.close(fcntl.fcntl(any_file, fcntl.F_DUPFD_CLOEXEC, min(hard, FILE_TABLE_SIZE) - 1))


def tune_gc() -> None:
    """What has been built by now lives as long as the process: let the collector never look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _listening(setting: str, address: Address, start: Callable[[], Awaitable[int]]) -> int:
    """Start to listen; the port.

    Raises:
        ListenError: it can't be done.
    """
    try:
        return await start()
    except OSError as error:
        what = error if error.filename or not error.strerror else error.strerror
        raise ListenError(f"{setting}={address}: {what}") from error


def _first(group: BaseExceptionGroup[ListenError | DataDirError]) -> ListenError | DataDirError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
