"""The labels that dashboards know."""

from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope
from ride_trio.services.ride_counts import INGRESS_LABELS, RideCounts


def test_every_body_of_the_contract_has_a_label() -> None:
    fields = {field.name for field in ClientEnvelope.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert INGRESS_LABELS.keys() == {*fields, None}


def test_cells_are_those_of_the_metrics() -> None:
    metrics = RideMetrics()
    counts = RideCounts(metrics, "websocket")
    counts.ingress["location_update"].n += 1
    counts.outbox.conflated.n += 1
    assert metrics.ingress("location", "websocket").n == 1
    assert metrics.dropped("conflated").n == 1
