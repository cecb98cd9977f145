"""Every Prometheus name of the server, in one place.

The hot paths count with plain integers (`Count.n += 1`, 30 ns) and a collector turns them into samples when
somebody scrapes; a prometheus_client `Counter.inc()` costs 0.4 us, which at 100,000 messages a second is 4 % of
a core. The two `ride_stream_*` summaries of today's dashboards are histograms here, because the Python client has
no quantiles: `histogram_quantile()` over `_bucket` gives what `{quantile=...}` gave.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

Kind = Literal["counter", "gauge"]

# Seconds. From one scheduler pass (tens of microseconds) to a long-lived stream.
CALL_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0)
# Seconds. A session lives from a failed reconnect (under a second) to a driver's shift.
SESSION_BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
# Messages. Up to the default OUTBOUND_BUFFER of 256, and twice that.
DEPTH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
# Seconds a rider waits: within one window, and up to the default MATCH_TIMEOUT of 30 s.
WAIT_BUCKETS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
# Seconds to an ack: from what handling a heartbeat takes (20 us) to a client that hardly reads.
ACK_BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# Seconds of work in one matching window.
WINDOW_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
# Seconds of a write or a sync of the log: from the page cache (20 us) to a disk that is in trouble.
COMMIT_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
# Bytes of records in one commit of the log.
COMMIT_BUCKETS_BYTES = (1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0)


class Count:
    """One integer sample. `cell.n += 1` is the whole interface."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    def __repr__(self) -> str:
        return f"Count({self.n})"


class Histogram:
    """Bucket counts and a sum, for values in the unit that the metric's name ends in."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative buckets as the exposition format wants them, `+Inf` last."""
        rows: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            rows.append(("+Inf" if bound == float("inf") else repr(bound), float(running)))
        return rows


class Counts:
    """All cells of one counter or gauge, by label values. `family("grpc")` is that cell, made when first asked for."""

    __slots__ = ("cells", "documentation", "kind", "labels", "name")

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = (), kind: Kind = "counter") -> None:
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        self.kind = kind
        self.cells: dict[tuple[str, ...], Count] = {}

    def __call__(self, *values: str) -> Count:
        cell = self.cells.get(values)
        if cell is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
            cell = self.cells[values] = Count()
        return cell

    def collect(self) -> Metric:
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.documentation, labels=self.labels)
        for values, cell in list(self.cells.items()):
            family.add_metric(values, cell.n)
        return family


class Histograms:
    """All cells of one histogram, by label values."""

    __slots__ = ("bounds", "cells", "documentation", "labels", "name")

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.bounds = bounds
        self.labels = tuple(labels)
        self.cells: dict[tuple[str, ...], Histogram] = {}

    def __call__(self, *values: str) -> Histogram:
        cell = self.cells.get(values)
        if cell is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
            cell = self.cells[values] = Histogram(self.bounds)
        return cell

    def collect(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, cell in list(self.cells.items()):
            family.add_metric(values, cell.buckets(), cell.total)
        return family


class EngineMetrics:
    """The RPC engine: the names that gRPC dashboards know, and what HTTP/2 adds."""

    def __init__(self) -> None:
        method = ("grpc_type", "grpc_service", "grpc_method")
        self.started = Counts("grpc_server_started_total", "Calls started.", method)
        self.handled = Counts("grpc_server_handled_total", "Calls ended, by status.", (*method, "grpc_code"))
        self.handling = Histograms(
            "grpc_server_handling_seconds",
            "Time from a call's headers to its status.",
            CALL_BUCKETS_S,
            method,
        )
        self.received = Counts("grpc_server_msg_received_total", "Messages received.", method)
        self.sent = Counts("grpc_server_msg_sent_total", "Messages sent.", method)
        self._connections = Counts("grpc_server_connections", "Open connections.", kind="gauge")
        self._accepted = Counts("grpc_server_connections_accepted_total", "Connections accepted.")
        self.connection_errors = Counts(
            "grpc_server_connection_errors_total",
            "Connections ended for an HTTP/2 error, by its code, or for silence (KEEPALIVE_TIMEOUT).",
            ("code",),
        )
        self.refused = Counts(
            "grpc_server_connections_refused_total",
            "Connections ended before their first byte of HTTP/2: tls, peer_limit.",
            ("reason",),
        )
        self.tls_reloads = Counts(
            "grpc_server_tls_reloads_total", "Times that changed TLS files were read: ok, failed.", ("result",)
        )
        self._bytes_in = Counts("grpc_server_received_bytes_total", "Bytes read from connections.")
        self._bytes_out = Counts("grpc_server_sent_bytes_total", "Bytes written to connections.")
        self._stalls = Counts(
            "grpc_server_flow_control_stalls_total",
            "Times that a message had to wait because the peer's flow-control window or the socket was full.",
        )
        self.connections = self._connections()
        self.accepted = self._accepted()
        self.bytes_in = self._bytes_in()
        self.bytes_out = self._bytes_out()
        self.stalls = self._stalls()


class RideMetrics:
    """Sessions and matching. The names up to `heartbeat_miss` are those of today's dashboards."""

    def __init__(self) -> None:
        self._active = Counts("ride_stream_active_sessions", "Live sessions.", kind="gauge")
        self.ingress = Counts("ride_stream_ingress_total", "Envelopes received.", ("type", "transport"))
        self.egress = Counts("ride_stream_egress_total", "Envelopes sent.", ("type", "transport"))
        self.dropped = Counts("ride_stream_dropped_total", "Envelopes not delivered, by reason.", ("reason",))
        self._duration = Histograms(
            "ride_stream_session_duration_seconds", "Length of ended sessions.", SESSION_BUCKETS_S
        )
        self._depth = Histograms(
            "ride_stream_queue_depth", "Messages waiting when a session's buffer is drained.", DEPTH_BUCKETS
        )
        self.ack_time = Histograms(
            "ride_stream_ack_seconds",
            "Time from an envelope's turn to its ack handed to the connection, of a sample.",
            ACK_BUCKETS_S,
            ("transport",),
        )
        self._miss = Counts("ride_stream_heartbeat_miss_total", "Sessions closed for silence.")
        self.ended = Counts("ride_stream_sessions_ended_total", "Sessions ended, by reason.", ("reason",))
        self.match_outcome = Counts("ride_match_total", "Ride requests answered, by outcome.", ("outcome",))
        self._wait = Histograms("ride_match_wait_seconds", "Time from a request to its match.", WAIT_BUCKETS_S)
        self._window = Histograms("ride_match_window_seconds", "Work in one matching window.", WINDOW_BUCKETS_S)
        self._waiting = Counts("ride_match_waiting_riders", "Riders waiting for a driver.", kind="gauge")
        self._free = Counts("ride_match_free_drivers", "Drivers that can be matched.", kind="gauge")
        self._observers = Counts("ride_city_observers", "Sessions that observe the city.", kind="gauge")
        self.active = self._active()
        self.session_duration = self._duration()
        self.queue_depth = self._depth()
        self.heartbeat_miss = self._miss()
        self.match_wait = self._wait()
        self.match_window = self._window()
        self.waiting_riders = self._waiting()
        self.free_drivers = self._free()
        self.observers = self._observers()


class HttpMetrics:
    """HTTP, and WebSockets as connections; what sessions over them do is with the rides."""

    def __init__(self) -> None:
        self.requests = Counts("ride_http_requests_total", "HTTP requests answered, by status.", ("code",))
        self._connections = Counts("ride_http_connections", "Open connections that speak HTTP.", kind="gauge")
        self.refused = Counts(
            "ride_http_refused_total",
            "Connections closed and WebSockets refused before they began, by reason.",
            ("reason",),
        )
        self._websockets = Counts("ride_websocket_connections", "Open WebSockets.", kind="gauge")
        self.closed = Counts("ride_websocket_closed_total", "WebSockets ended, by close code.", ("code",))
        self._held = Counts(
            "ride_websocket_held_total", "Times that a WebSocket's input had to wait for room for its answer."
        )
        self.tls_reloads = Counts(
            "ride_http_tls_reloads_total", "Times that changed TLS files were read: ok, failed.", ("result",)
        )
        self.connections = self._connections()
        self.websockets = self._websockets()
        self.held = self._held()


class LogMetrics:
    """The durable log.

    Attributes:
        ends: Yields (topic, partition, end offset) when somebody scrapes; set by the log.
        lags: Yields (group, topic, partition, records) then.
        buffered_bytes: Tells how much is not on disk yet.
    """

    def __init__(self) -> None:
        topic = ("topic",)
        self.produced = Counts("takhin_produced_records_total", "Records stored.", topic)
        self.produced_bytes = Counts("takhin_produced_bytes_total", "Bytes of these records.", topic)
        self.duplicates = Counts(
            "takhin_duplicate_records_total", "Records that a producer sent again, stored already.", topic
        )
        self.refused = Counts("takhin_produce_errors_total", "Produce requests answered with an error.", ("code",))
        self.consumed = Counts("takhin_consumed_records_total", "Records sent to consumers.", topic)
        self.consumed_bytes = Counts("takhin_consumed_bytes_total", "Bytes of these records.", topic)
        self._consumers = Counts("takhin_open_consumers", "ConsumeMessages calls that are open.", kind="gauge")
        self._commit_bytes = Histograms(
            "takhin_commit_bytes", "Bytes of records written together.", COMMIT_BUCKETS_BYTES
        )
        self._commit_time = Histograms(
            "takhin_commit_seconds", "From a commit's first record until it is on disk.", COMMIT_BUCKETS_S
        )
        self._write_time = Histograms("takhin_write_seconds", "Writes of commits to files.", COMMIT_BUCKETS_S)
        self._sync_time = Histograms("takhin_fdatasync_seconds", "Syncs of these files.", COMMIT_BUCKETS_S)
        self._failures = Counts("takhin_commit_failures_total", "Commits that could not be written.")
        self._cold_reads = Counts("takhin_cold_reads_total", "Reads of older records from files.")
        self.retention = Counts("takhin_retention_segments_total", "Segments deleted or compacted.", ("work",))
        self._freed = Counts("takhin_retention_freed_bytes_total", "Bytes given back to the disk.")
        self.journal_dropped = Counts("ride_log_dropped_total", "Ride events not written to the log, by topic.", topic)
        self._journal_queue = Counts("ride_log_queue", "Ride events that are not on disk yet.", kind="gauge")
        self.consumers = self._consumers()
        self.commit_bytes = self._commit_bytes()
        self.commit_time = self._commit_time()
        self.write_time = self._write_time()
        self.sync_time = self._sync_time()
        self.commit_failures = self._failures()
        self.cold_reads = self._cold_reads()
        self.freed = self._freed()
        self.journal_queue = self._journal_queue()
        self.ends: Callable[[], Iterable[tuple[str, int, int]]] = tuple
        self.lags: Callable[[], Iterable[tuple[str, str, int, int]]] = tuple
        self.buffered_bytes: Callable[[], int] = int

    def gauges(self) -> Iterator[Metric]:
        """What is looked up when somebody scrapes."""
        ends = GaugeMetricFamily(
            "takhin_log_end_offset", "Offset of a partition's next record.", labels=("topic", "partition")
        )
        for topic, partition, end in self.ends():
            ends.add_metric((topic, str(partition)), end)
        lags = GaugeMetricFamily(
            "takhin_group_lag", "Records that a group has yet to commit.", labels=("group", "topic", "partition")
        )
        for group, topic, partition, lag in self.lags():
            lags.add_metric((group, topic, str(partition)), lag)
        buffered = GaugeMetricFamily("takhin_buffered_bytes", "Bytes of records that are not on disk yet.")
        buffered.add_metric((), self.buffered_bytes())
        yield from (ends, lags, buffered)


def _families(group: EngineMetrics | RideMetrics | HttpMetrics | LogMetrics) -> Iterator[Counts | Histograms]:
    return (value for value in vars(group).values() if isinstance(value, Counts | Histograms))


class _Collector:
    """Hands the families' present values to a prometheus_client registry."""

    def __init__(self, families: Iterable[Counts | Histograms], gauges: Callable[[], Iterable[Metric]]) -> None:
        self._families = tuple(families)
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield from (family.collect() for family in self._families)
        yield from self._gauges()


class Metrics:
    """The metrics of one server: build one, hand its groups to those who count, expose the rest."""

    def __init__(self) -> None:
        self.engine = EngineMetrics()
        self.rides = RideMetrics()
        self.http = HttpMetrics()
        self.log = LogMetrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        groups = (self.engine, self.rides, self.http, self.log)
        families = [family for group in groups for family in _families(group)]
        self.registry.register(_Collector(families, self.log.gauges))

    def exposition(self) -> tuple[bytes, str]:
        """The body of `/metrics` and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
