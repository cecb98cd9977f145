"""A client that knows nothing but an address, as grpcurl does: messages by reflection, requests and answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PATIENCE_S = 20.0


class Reflected:
    """Calls on one channel.

    Args:
        channel: To the server.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """`grpcurl HOST list`."""
        return list(self._database.get_services())

    def describe(self, service: str) -> ServiceDescriptor:
        """`grpcurl HOST describe SERVICE`."""
        return self._pool.FindServiceByName(service)

    def call(self, path: str, request: str = "{}", metadata: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
        """`grpcurl -d REQUEST HOST SERVICE/METHOD`, for one answer."""
        method, read = self._method(path)
        unary = self._channel.unary_unary(f"/{path}", _serialize, read.FromString)
        return _as_dict(unary(self._message(method, request), timeout=PATIENCE_S, metadata=list(metadata)))

    def stream(self, path: str, request: str = "{}") -> Iterator[dict[str, Any]]:
        """The same for a stream of answers; the call is cancelled with the iterator."""
        method, read = self._method(path)
        answers = self._channel.unary_stream(f"/{path}", _serialize, read.FromString)(
            self._message(method, request), timeout=PATIENCE_S
        )
        try:
            for answer in answers:
                yield _as_dict(answer)
        finally:
            answers.cancel()

    def both_ways(self, path: str, requests: Iterable[str]) -> list[dict[str, Any]]:
        """`grpcurl -d @`: all requests, then all answers."""
        method, read = self._method(path)
        call = self._channel.stream_stream(f"/{path}", _serialize, read.FromString)
        messages = iter([self._message(method, request) for request in requests])
        return [_as_dict(answer) for answer in call(messages, timeout=PATIENCE_S)]

    def _method(self, path: str) -> tuple[MethodDescriptor, Any]:
        service, name = path.split("/")
        method = self.describe(service).methods_by_name[name]
        return method, GetMessageClass(method.output_type)

    def _message(self, method: MethodDescriptor, request: str) -> Any:
        return json_format.ParseDict(json.loads(request), GetMessageClass(method.input_type)())


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _as_dict(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found
