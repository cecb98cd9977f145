"""Health and reflection as grpcio's own client classes, and tools such as grpcurl, use them.

The official packages are imported into the same process: their descriptors and ours must not clash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import pytest
import trio
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceServicer
from ride_trio.rpc import Server
from ride_trio.rpc.health import HealthService
from ride_trio.rpc.reflection import reflection_services

RIDE = "ride.v1.RideStreamService"
PATIENCE_S = 10.0
T = TypeVar("T")
Status = health_pb2.HealthCheckResponse


@pytest.fixture
def health() -> HealthService:
    health = HealthService()
    health.set("", True)
    health.set(RIDE, False)
    return health


@pytest.fixture
async def port(nursery: trio.Nursery, health: HealthService) -> int:
    services = [RideStreamServiceServicer().service, health.service]
    server = Server(0, host="127.0.0.1")
    for service in (*services, *reflection_services(services)):
        server.add_service(service)
    port: int = await nursery.start(server.serve_async)
    return port


async def with_grpcio(port: int, client: Callable[[grpc.Channel], T]) -> T:
    """Run a blocking client in a thread."""

    def run() -> T:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            return client(channel)

    with trio.fail_after(PATIENCE_S):
        return await trio.to_thread.run_sync(run, abandon_on_cancel=True)


# ---------------------------------------------------------------- health


async def test_health_check(port: int) -> None:
    def client(channel: grpc.Channel) -> list[Any]:
        stub = health_pb2_grpc.HealthStub(channel)
        found = [
            stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S).status for name in ("", RIDE)
        ]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=PATIENCE_S)
        return [*found, caught.value.code()]  # type: ignore[attr-defined]

    assert await with_grpcio(port, client) == [Status.SERVING, Status.NOT_SERVING, grpc.StatusCode.NOT_FOUND]


async def test_health_watch(port: int, health: HealthService) -> None:
    token = trio.lowlevel.current_trio_token()

    def client(channel: grpc.Channel) -> list[Any]:
        stub = health_pb2_grpc.HealthStub(channel)
        watching = stub.Watch(health_pb2.HealthCheckRequest(service=RIDE), timeout=PATIENCE_S)
        seen = [next(watching).status]
        trio.from_thread.run_sync(health.set, RIDE, True, trio_token=token)
        seen.append(next(watching).status)
        watching.cancel()
        return seen

    assert await with_grpcio(port, client) == [Status.NOT_SERVING, Status.SERVING]


# ---------------------------------------------------------------- reflection


async def test_the_official_reflection_client_describes_our_service(port: int) -> None:
    def client(channel: grpc.Channel) -> tuple[list[str], str, list[str]]:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        connect = pool.FindServiceByName(RIDE).methods_by_name["Connect"]
        return list(database.get_services()), connect.output_type.full_name, list(connect.input_type.fields_by_name)

    services, output, fields = await with_grpcio(port, client)
    assert services == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        RIDE,
    ]
    assert output == "ride.v1.ServerEnvelope"
    assert {"message_id", "heartbeat", "location_update", "ride_status_update"} <= set(fields)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_a_call_can_be_made_from_reflection_alone(port: int, version: str) -> None:
    """As grpcurl does it: list, find the file, build the messages, call."""

    def client(channel: grpc.Channel) -> str:
        package = f"grpc.reflection.{version}"
        # grpcio ships no v1, which has the same messages under another name: so do its stubs call it.
        info = channel.stream_stream(
            f"/{package}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health")
        (answer,) = info(iter([request]), timeout=PATIENCE_S)
        pool = DescriptorPool()
        for data in reversed(answer.file_descriptor_response.file_descriptor_proto):
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))  # type: ignore[attr-defined]
        check = pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
        make, read = GetMessageClass(check.input_type), GetMessageClass(check.output_type)
        call = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=make.SerializeToString,
            response_deserializer=read.FromString,
        )
        status = call(make(service=RIDE), timeout=PATIENCE_S).status  # type: ignore[call-arg]
        return str(check.output_type.fields_by_name["status"].enum_type.values_by_number[status].name)

    assert await with_grpcio(port, client) == "NOT_SERVING"


async def test_an_unknown_symbol_is_an_error_answer(port: int) -> None:
    def client(channel: grpc.Channel) -> int:
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=PATIENCE_S)
        return int(answer.error_response.error_code)

    assert await with_grpcio(port, client) == grpc.StatusCode.NOT_FOUND.value[0]
