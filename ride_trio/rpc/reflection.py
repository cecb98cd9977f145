"""Server reflection, `grpc.reflection.v1` and the `v1alpha` that older tools still ask for.

With it `grpcurl list`, `describe` and `evans -r` work without a .proto file at hand.
Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor
from purerpc import Service

from ride_trio.pb.grpc.reflection.v1 import reflection_grpc as v1_grpc
from ride_trio.pb.grpc.reflection.v1 import reflection_pb2 as v1_pb2
from ride_trio.pb.grpc.reflection.v1alpha import reflection_grpc as v1alpha_grpc
from ride_trio.pb.grpc.reflection.v1alpha import reflection_pb2 as v1alpha_pb2

_NOT_FOUND: Final = 5
_INVALID_ARGUMENT: Final = 3


class Catalogue:
    """The services of a server, and the files that describe them and all that they import.

    Args:
        services: As they are added to the server. Each brings the descriptor pool of its own message types, so
            services from different pools can be listed side by side.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.names = sorted(service.name for service in services)
        self._files: dict[str, FileDescriptor] = {}
        self._symbols: dict[str, FileDescriptor] = {}
        self._messages: set[str] = set()
        for service in services:
            self._add(_pool_of(service).FindServiceByName(service.name).file)

    def _add(self, file: FileDescriptor) -> None:
        if file.name in self._files:
            return
        self._files[file.name] = file
        for message in file.message_types_by_name.values():
            self._add_message(message, file)
        for enum in file.enum_types_by_name.values():
            self._add_enum(enum, file)
        for service in file.services_by_name.values():
            self._symbols[service.full_name] = file
            self._symbols.update(dict.fromkeys((m.full_name for m in service.methods), file))
        for dependency in file.dependencies:
            self._add(dependency)

    def _add_message(self, message: Any, file: FileDescriptor) -> None:
        self._messages.add(message.full_name)
        self._symbols[message.full_name] = file
        for part in (*message.fields, *message.oneofs):
            self._symbols[part.full_name] = file
        for enum in message.enum_types:
            self._add_enum(enum, file)
        for nested in message.nested_types:
            self._add_message(nested, file)

    def _add_enum(self, enum: Any, file: FileDescriptor) -> None:
        """An enum and its values, which are named as its siblings."""
        self._symbols[enum.full_name] = file
        scope = enum.full_name.rpartition(".")[0]
        self._symbols.update(dict.fromkeys((f"{scope}.{value.name}" for value in enum.values), file))

    def by_name(self, name: str) -> list[bytes] | None:
        """A file and all that it imports, serialized, the file first; None if it is not known."""
        file = self._files.get(name)
        return None if file is None else _with_imports(file)

    def by_symbol(self, symbol: str) -> list[bytes] | None:
        """The same for the file that defines a service, method, message, field, oneof, enum or value."""
        file = self._symbols.get(symbol)
        return None if file is None else _with_imports(file)

    def has_message(self, name: str) -> bool:
        return name in self._messages


def _pool_of(service: Service) -> Any:
    return next(iter(service.methods.values())).signature.request_type.DESCRIPTOR.file.pool


def _with_imports(file: FileDescriptor) -> list[bytes]:
    found: dict[str, bytes] = {}
    queue = [file]
    while queue:
        item = queue.pop(0)
        if item.name not in found:
            found[item.name] = item.serialized_pb
            queue.extend(item.dependencies)
    return list(found.values())


def _answer(catalogue: Catalogue, pb: Any, request: Any) -> Any:
    """One response for one request, in the messages of either version."""
    response = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    if kind == "list_services":
        response.list_services_response.service.extend(pb.ServiceResponse(name=name) for name in catalogue.names)
        return response
    asked, files = _find(catalogue, kind, request)
    if files is not None:
        response.file_descriptor_response.file_descriptor_proto.extend(files)
    elif kind == "all_extension_numbers_of_type" and catalogue.has_message(asked):
        response.all_extension_numbers_response.base_type_name = asked  # proto3 messages have no extensions
    else:
        code = _NOT_FOUND if kind else _INVALID_ARGUMENT
        response.error_response.error_code = code
        response.error_response.error_message = f"{kind or 'an empty request'}: {asked!r} is not known here"
    return response


def _find(catalogue: Catalogue, kind: str | None, request: Any) -> tuple[str, list[bytes] | None]:
    if kind == "file_by_filename":
        return request.file_by_filename, catalogue.by_name(request.file_by_filename)
    if kind == "file_containing_symbol":
        return request.file_containing_symbol, catalogue.by_symbol(request.file_containing_symbol)
    if kind == "file_containing_extension":
        return request.file_containing_extension.containing_type, None
    return request.all_extension_numbers_of_type, None


class _V1(v1_grpc.ServerReflectionServicer):
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ServerReflectionInfo(self, call: Any) -> None:
        async for request in call:
            await call.send(_answer(self._catalogue, v1_pb2, request))


class _V1Alpha(v1alpha_grpc.ServerReflectionServicer):
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ServerReflectionInfo(self, call: Any) -> None:
        async for request in call:
            await call.send(_answer(self._catalogue, v1alpha_pb2, request))


def reflection_services(services: Sequence[Service]) -> list[Service]:
    """The two reflection services for a server's services; they list themselves, too."""
    own = [_V1(Catalogue(())).service, _V1Alpha(Catalogue(())).service]
    catalogue = Catalogue([*services, *own])
    return [_V1(catalogue).service, _V1Alpha(catalogue).service]
