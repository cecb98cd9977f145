"""Reflection in our own process; what official tools make of it is in tests/integration."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from ride_trio.pb.grpc.reflection.v1 import reflection_pb2 as v1
from ride_trio.pb.grpc.reflection.v1alpha import reflection_pb2 as v1alpha
from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceServicer
from ride_trio.rpc import Channel, Server
from ride_trio.rpc.health import HealthService
from ride_trio.rpc.reflection import reflection_services

VERSIONS = [("grpc.reflection.v1", v1), ("grpc.reflection.v1alpha", v1alpha)]
RIDE = "ride.v1.RideStreamService"


@pytest.fixture
def server() -> Server:
    services = [RideStreamServiceServicer().service, HealthService().service]
    server = Server(0)
    for service in (*services, *reflection_services(services)):
        server.add_service(service)
    return server


@pytest.fixture(params=VERSIONS, ids=["v1", "v1alpha"])
def version(request: Any) -> Any:
    return request.param


async def ask(channel: Channel, version: Any, **question: Any) -> Any:
    """The answer to one question, which names itself and repeats the question."""
    package, pb = version
    request = pb.ServerReflectionRequest(host="here", **question)
    path = f"/{package}.ServerReflection/ServerReflectionInfo"
    with trio.fail_after(5):
        async with channel.open(path, pb.ServerReflectionRequest, pb.ServerReflectionResponse) as call:
            await call.send(request)
            answer = await call.receive()
            await call.done_sending()
            assert await call.receive() is None
    assert (answer.valid_host, answer.original_request) == ("here", request)
    return answer


def pool_of(answer: Any) -> DescriptorPool:
    """A pool filled as a tool would: what is imported first."""
    found = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    pool = DescriptorPool()
    for file in reversed(found):
        pool.Add(file)  # type: ignore[attr-defined]
    return pool


async def test_all_services_are_listed(channel: Channel, version: Any) -> None:
    answer = await ask(channel, version, list_services="*")
    assert [service.name for service in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        RIDE,
    ]


@pytest.mark.parametrize(
    "symbol",
    [
        RIDE,
        f"{RIDE}.Connect",
        "ride.v1.ClientEnvelope",
        "ride.v1.Hello.Role",
        "ride.v1.Heartbeat.seq",
        "ride.v1.ClientEnvelope.body",
        "ride.v1.RideStatusUpdate.STATUS_LOOKING",
    ],
)
async def test_a_symbols_file_describes_the_service(channel: Channel, version: Any, symbol: str) -> None:
    pool = pool_of(await ask(channel, version, file_containing_symbol=symbol))
    connect = pool.FindServiceByName(RIDE).methods_by_name["Connect"]
    assert (connect.input_type.full_name, connect.output_type.full_name) == (
        "ride.v1.ClientEnvelope",
        "ride.v1.ServerEnvelope",
    )


@pytest.mark.parametrize(
    "name", ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
)
async def test_the_standard_services_are_described(channel: Channel, version: Any, name: str) -> None:
    pool = pool_of(await ask(channel, version, file_containing_symbol=name))
    assert pool.FindServiceByName(name).full_name == name


async def test_a_file_can_be_asked_for_by_name(channel: Channel, version: Any) -> None:
    pool = pool_of(await ask(channel, version, file_by_filename="ride/v1/ride.proto"))
    assert pool.FindMessageTypeByName("ride.v1.Ack").full_name == "ride.v1.Ack"


async def test_our_messages_have_no_extensions(channel: Channel, version: Any) -> None:
    answer = await ask(channel, version, all_extension_numbers_of_type="ride.v1.Ack")
    assert answer.all_extension_numbers_response.base_type_name == "ride.v1.Ack"
    assert not answer.all_extension_numbers_response.extension_number


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"file_containing_symbol": "no.Such"}, 5),
        ({"file_by_filename": "no/such.proto"}, 5),
        ({"all_extension_numbers_of_type": RIDE}, 5),
        ({"file_containing_extension": {"containing_type": "ride.v1.Ack", "extension_number": 7}}, 5),
        ({}, 3),
    ],
)
async def test_what_is_not_known_is_an_answer_not_the_end(
    channel: Channel, version: Any, question: dict[str, Any], code: int
) -> None:
    answer = await ask(channel, version, **question)
    assert answer.error_response.error_code == code
    assert answer.error_response.error_message
