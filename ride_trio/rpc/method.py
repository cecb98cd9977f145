"""A method of a purerpc service as the engine runs it: looked up once, with its metric cells beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from purerpc import Cardinality, Service

from ride_trio.metrics import Count, EngineMetrics

_TYPES: Final = {
    Cardinality.UNARY_UNARY: "unary",
    Cardinality.UNARY_STREAM: "server_stream",
    Cardinality.STREAM_UNARY: "client_stream",
    Cardinality.STREAM_STREAM: "bidi_stream",
}


class Method:
    """One method. `function(argument, request=call)` is purerpc's wrapped handler."""

    __slots__ = (
        "_handled",
        "_handling",
        "_labels",
        "_metrics",
        "cardinality",
        "function",
        "name",
        "parse",
        "prompt",
        "received",
        "request_type",
        "sent",
        "service",
        "started",
    )

    def __init__(self, service: str, name: str, bound: Any, metrics: EngineMetrics) -> None:
        self.service = service
        self.name = name
        self.function: Callable[..., Any] = bound.method_fn
        self.cardinality: Cardinality = bound.signature.cardinality
        self.request_type: Any = bound.signature.request_type
        self.prompt = False  # see `prompt`
        self.parse: Callable[[bytes], Any] = self.request_type.FromString
        self._labels = (_TYPES[self.cardinality], service, name)
        self._metrics = metrics
        self.started = metrics.started(*self._labels)
        self.received = metrics.received(*self._labels)
        self.sent = metrics.sent(*self._labels)
        self._handling = metrics.handling(*self._labels)
        self._handled: dict[str, Count] = {}

    def ended(self, code: str, seconds: float) -> None:
        """Count a call's end."""
        cell = self._handled.get(code)
        if cell is None:
            cell = self._handled[code] = self._metrics.handled(*self._labels, code)
        cell.n += 1
        self._handling.observe(seconds)


def methods_of(service: Service, metrics: EngineMetrics, name: str | None = None) -> dict[str, Method]:
    """A service's methods by request path (`/package.Service/Method`)."""
    service_name = name or service.name
    methods = {
        f"/{service_name}/{method}": Method(service_name, method, bound, metrics)
        for method, bound in service.methods.items()
    }
    for method in getattr(service, "prompt_methods", ()):
        methods[f"/{service_name}/{method}"].prompt = True
    return methods
