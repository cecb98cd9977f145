from __future__ import annotations

import pytest

from ride_trio.metrics import Counts, Histogram, Histograms, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_cell_counts_under_its_labels() -> None:
    metrics = Metrics()
    metrics.rides.ingress("heartbeat", "grpc").n += 3
    metrics.rides.ingress("location", "grpc").n += 1
    assert value(metrics, "ride_stream_ingress_total", type="heartbeat", transport="grpc") == 3
    assert value(metrics, "ride_stream_ingress_total", type="location", transport="grpc") == 1


def test_the_same_labels_are_the_same_cell() -> None:
    counts = Counts("x_total", "x", ("a", "b"))
    assert counts("1", "2") is counts("1", "2")
    assert counts("1", "2") is not counts("2", "1")


def test_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="x_total"):
        Counts("x_total", "x", ("a",))("1", "2")
    with pytest.raises(ValueError, match="x_seconds"):
        Histograms("x_seconds", "x", (1.0,), ("a",))()


def test_a_histogram_counts_a_bound_as_within_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == pytest.approx(8.0)


@pytest.mark.parametrize(
    "name",
    [
        "ride_stream_active_sessions",
        "ride_stream_ingress_total",
        "ride_stream_egress_total",
        "ride_stream_dropped_total",
        "ride_stream_session_duration_seconds",
        "ride_stream_queue_depth",
        "ride_stream_heartbeat_miss_total",
        "grpc_server_started_total",
        "grpc_server_handled_total",
        "grpc_server_handling_seconds",
        "grpc_server_msg_received_total",
        "grpc_server_msg_sent_total",
    ],
)
def test_the_names_that_dashboards_know_are_there_before_the_first_event(name: str) -> None:
    body, content_type = Metrics().exposition()
    assert f"# TYPE {name} " in body.decode()
    assert content_type.startswith("text/plain")


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.engine.connections.n += 1
    assert value(first, "grpc_server_connections") == 1
    assert value(second, "grpc_server_connections") == 0
