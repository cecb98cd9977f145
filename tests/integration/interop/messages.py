"""The messages of `interop.proto`, made when first imported; no generated code is committed for a test."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

HERE = Path(__file__).parent


def _compile() -> Any:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        assert protoc.main(["protoc", f"-I{HERE}", f"--descriptor_set_out={out}", "interop.proto"]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    return pool.AddSerializedFile(files.file[0].SerializeToString()), pool


_FILE, POOL = _compile()


def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"grpc.testing.{name}"))


Empty = message("Empty")
BoolValue = message("BoolValue")
EchoStatus = message("EchoStatus")
Payload = message("Payload")
ResponseParameters = message("ResponseParameters")
SimpleRequest = message("SimpleRequest")
SimpleResponse = message("SimpleResponse")
InputRequest = message("StreamingInputCallRequest")
InputResponse = message("StreamingInputCallResponse")
OutputRequest = message("StreamingOutputCallRequest")
OutputResponse = message("StreamingOutputCallResponse")

SERVICE = "grpc.testing.TestService"
# Method: request, response, does each stream.
METHODS: dict[str, tuple[Any, Any, bool, bool]] = {
    "EmptyCall": (Empty, Empty, False, False),
    "UnaryCall": (SimpleRequest, SimpleResponse, False, False),
    "StreamingOutputCall": (OutputRequest, OutputResponse, False, True),
    "StreamingInputCall": (InputRequest, InputResponse, True, False),
    "FullDuplexCall": (OutputRequest, OutputResponse, True, True),
}
ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
