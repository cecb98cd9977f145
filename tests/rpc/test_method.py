from __future__ import annotations

from ride_trio.metrics import EngineMetrics
from ride_trio.rpc.method import methods_of
from tests.rpc.echo import HANDLERS, NAME, service_of


def test_methods_are_found_by_path() -> None:
    methods = methods_of(service_of(HANDLERS), EngineMetrics())
    assert methods.keys() == {f"/{NAME}/{name}" for name in HANDLERS}
    method = methods[f"/{NAME}/echo"]
    assert (method.service, method.name, method.cardinality) == (NAME, "echo", HANDLERS["echo"][0])


def test_a_service_can_be_served_under_another_name() -> None:
    methods = methods_of(service_of(HANDLERS), EngineMetrics(), "other.Name")
    assert methods["/other.Name/unary"].service == "other.Name"


def test_calls_are_counted_by_kind_of_method() -> None:
    metrics = EngineMetrics()
    methods = methods_of(service_of(HANDLERS), metrics)
    kinds = {"unary": "unary", "split": "server_stream", "join": "client_stream", "echo": "bidi_stream"}
    for name, kind in kinds.items():
        methods[f"/{NAME}/{name}"].ended("OK", 0.02)
        assert metrics.handled(kind, NAME, name, "OK").n == 1
        assert metrics.handling(kind, NAME, name).total == 0.02
