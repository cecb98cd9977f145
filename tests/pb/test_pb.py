"""The generated package: names, wire facts, and that it lives beside other copies of the same protos."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor

from ride_trio.pb.grpc.health.v1 import health_grpc, health_pb2
from ride_trio.pb.grpc.reflection.v1 import reflection_pb2
from ride_trio.pb.grpc.reflection.v1alpha import reflection_pb2 as reflection_alpha_pb2
from ride_trio.pb.ride.v1 import ride_grpc, ride_pb2

ROOT = Path(__file__).parents[2]
OURS = (
    "ride_trio.pb.ride.v1.ride_pb2",
    "ride_trio.pb.grpc.health.v1.health_pb2",
    "ride_trio.pb.grpc.reflection.v1.reflection_pb2",
    "ride_trio.pb.grpc.reflection.v1alpha.reflection_pb2",
)
THEIRS = {
    "grpc_health.v1.health_pb2": health_pb2,
    "grpc_reflection.v1alpha.reflection_pb2": reflection_alpha_pb2,
}


def python(code: str, *path: Path) -> None:
    """Run code in an interpreter of its own, `path` before all else on its import path."""
    setup = f"import sys; sys.path[:0] = {[str(entry) for entry in (*path, ROOT)]}\n"
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def messages(file: FileDescriptor) -> Iterator[Descriptor]:
    yield from file.message_types_by_name.values()


def wire_facts(file: FileDescriptor) -> dict[str, object]:
    """What two programs must agree on: names, numbers and types of fields and enum values."""
    facts: dict[str, object] = {}
    for message in messages(file):
        for one in message.fields:
            facts[one.full_name] = (
                one.number,
                one.type,
                one.is_repeated,
                one.message_type and one.message_type.full_name,
            )
        for enum in message.enum_types:
            facts[enum.full_name] = {value.name: value.number for value in enum.values}
    for service in file.services_by_name.values():
        for method in service.methods:
            streams = (method.client_streaming, method.server_streaming)
            facts[method.full_name] = (method.input_type.full_name, method.output_type.full_name, streams)
    return facts


@pytest.mark.parametrize("name", OURS)
def test_files_keep_their_canonical_names(name: str) -> None:
    file = importlib.import_module(name).DESCRIPTOR
    path = name.removeprefix("ride_trio.pb.").replace(".", "/").removesuffix("_pb2")
    assert file.name == f"{path}.proto"
    assert file.package == path.rpartition("/")[0].replace("/", ".")


@pytest.mark.parametrize("name", THEIRS)
def test_the_standard_protocols_are_the_same_on_the_wire_as_those_of_grpcio(name: str) -> None:
    pytest.importorskip(name.partition(".")[0], reason="grpcio's own packages are needed to compare with")
    theirs = wire_facts(importlib.import_module(name).DESCRIPTOR)
    ours = wire_facts(THEIRS[name].DESCRIPTOR)
    assert ours
    assert {key: theirs.get(key) for key in ours} == ours


def test_both_reflections_have_the_same_shapes() -> None:
    alpha = reflection_alpha_pb2.DESCRIPTOR.serialized_pb.replace(b"v1alpha", b"v1")
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="a.B")
    assert len(alpha) == len(reflection_pb2.DESCRIPTOR.serialized_pb)
    parsed = reflection_alpha_pb2.ServerReflectionRequest.FromString(request.SerializeToString())
    assert parsed.file_containing_symbol == "a.B"


@pytest.mark.parametrize("envelope", ["ClientEnvelope", "ServerEnvelope"])
def test_each_body_field_is_its_messages_name_in_snake_case(envelope: str) -> None:
    oneof = ride_pb2.DESCRIPTOR.message_types_by_name[envelope].oneofs_by_name["body"]
    for field in oneof.fields:
        assert field.message_type is not None
        assert field.name.replace("_", "") == field.message_type.name.lower()
        if field.name not in ("observe", "city_view"):  # an operator's, a few a second
            assert field.number <= 15, "a hot field has a tag of one byte"


def test_the_field_numbers_of_the_first_release_stay() -> None:
    numbers = {
        message.name: {field.name: field.number for field in message.fields}
        for message in messages(ride_pb2.DESCRIPTOR)
    }
    first_release: dict[str, dict[str, int]] = {
        "ClientEnvelope": {
            "message_id": 1,
            "heartbeat": 2,
            "location_update": 3,
            "ride_status_update": 4,
            "hello": 5,
        },
        "Heartbeat": {"user_id": 1, "seq": 2, "sent_at_unix_millis": 3},
        "LocationUpdate": {
            "user_id": 1,
            "latitude": 2,
            "longitude": 3,
            "bearing": 4,
            "speed_mps": 5,
            "sequence": 6,
            "sent_at_unix_millis": 7,
        },
        "RideStatusUpdate": {"ride_id": 1, "user_id": 2, "status": 3, "sent_at_unix_millis": 4},
        "Hello": {"role": 1, "vehicle_plate": 2},
        "ServerEnvelope": {
            "correlation_id": 1,
            "lamport_time": 2,
            "ack": 3,
            "match_event": 4,
            "broadcast_event": 5,
            "welcome": 6,
            "error": 7,
            "disconnect": 8,
        },
        "Ack": {"correlation_id": 1, "success": 2, "detail": 3},
        "MatchEvent": {
            "ride_id": 1,
            "driver_id": 2,
            "rider_id": 3,
            "vehicle_plate": 4,
            "eta_seconds": 5,
            "surge_multiplier": 6,
        },
        "BroadcastEvent": {"topic": 1, "payload": 2, "user_id": 3},
        "Welcome": {"session_id": 1, "heartbeat_interval_ms": 2, "heartbeat_timeout_ms": 3},
        "Error": {"code": 1, "message": 2, "temporary": 3},
        "Disconnect": {"code": 1, "reconnect": 2, "backoff_ms": 3, "jitter_ms": 4},
    }
    for name, fields in first_release.items():
        assert fields.items() <= numbers[name].items(), name


def test_the_status_values_of_the_first_release_stay() -> None:
    assert dict(ride_pb2.RideStatusUpdate.Status.items()) == {
        "STATUS_UNSPECIFIED": 0,
        "STATUS_LOOKING": 1,
        "STATUS_AVAILABLE": 2,
        "STATUS_OFFLINE": 3,
        "STATUS_EN_ROUTE_TO_PICKUP": 4,
        "STATUS_AT_PICKUP": 5,
        "STATUS_ON_TRIP": 6,
        "STATUS_CANCELLED": 7,
    }
    assert dict(ride_pb2.Hello.Role.items()) == {"ROLE_UNSPECIFIED": 0, "ROLE_RIDER": 1, "ROLE_DRIVER": 2}


def test_a_message_can_be_pickled() -> None:
    sent = ride_pb2.ClientEnvelope(heartbeat=ride_pb2.Heartbeat(user_id="ada", seq=7))
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_servicers_know_their_services() -> None:
    assert ride_grpc.RideStreamServiceServicer().service.name == "ride.v1.RideStreamService"
    assert set(health_grpc.HealthServicer().service.methods) == {"Check", "Watch"}


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
def test_grpcio_health_checking_and_reflection_live_in_the_same_process(ours_first: bool) -> None:
    for package in ("grpc_health", "grpc_reflection"):
        pytest.importorskip(package, reason="grpcio's own packages are needed for a clash")
    modules = (*OURS, *THEIRS) if ours_first else (*THEIRS, *OURS)
    python("\n".join(f"import {module}" for module in modules))


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("include", ["proto", "proto/ride", "proto/ride/v1"])
def test_a_users_own_compile_of_the_same_file_lives_in_the_same_process(
    include: str, ours_first: bool, tmp_path: Path
) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is needed to compile a .proto file")
    proto = (ROOT / "proto/ride/v1/ride.proto").relative_to(ROOT / include)
    compile_proto = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{ROOT / include}",
        f"--python_out={tmp_path}",
    ]
    subprocess.run([*compile_proto, str(proto)], check=True, timeout=60)
    theirs = ".".join(proto.with_suffix("").parts) + "_pb2"
    order = f"{OURS[0]} as ours", f"{theirs} as theirs"
    imports = [f"import {module}" for module in (order if ours_first else reversed(order))]
    exchange = "assert theirs.Heartbeat.FromString(ours.Heartbeat(seq=5).SerializeToString()).seq == 5"
    python("\n".join([*imports, exchange]), tmp_path)
