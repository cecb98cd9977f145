"""The cases, played by grpcio."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from tests.integration.interop import messages as m

PATIENCE_S = 20
LARGE_REQUEST, LARGE_RESPONSE = 271_828, 314_159
SIZES_IN = (27_182, 8, 1_828, 45_904)
SIZES_OUT = (31_415, 9, 2_653, 58_979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
GZIP = grpc.Compression.Gzip


class Stub:
    """TestService's methods of a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        for name, (request, response, many_in, many_out) in m.METHODS.items():
            kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"
            make = getattr(channel, kind)
            setattr(self, name, make(f"/{m.SERVICE}/{name}", request.SerializeToString, response.FromString))
        self.channel = channel

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def missing(self, path: str) -> Any:
        return self.channel.unary_unary(path, m.Empty.SerializeToString, m.Empty.FromString)


def payload(size: int) -> Any:
    return m.Payload(body=bytes(size))


def code_of(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


def empty_unary(stub: Any) -> None:
    assert stub.EmptyCall(m.Empty(), timeout=PATIENCE_S) == m.Empty()


def large_unary(stub: Any) -> None:
    request = m.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    assert stub.UnaryCall(request, timeout=PATIENCE_S).payload.body == bytes(LARGE_RESPONSE)


def client_streaming(stub: Any) -> None:
    requests = [m.InputRequest(payload=payload(size)) for size in SIZES_IN]
    assert stub.StreamingInputCall(iter(requests), timeout=PATIENCE_S).aggregated_payload_size == sum(SIZES_IN)


def _asking(*sizes: int, **more: Any) -> Any:
    return m.OutputRequest(response_parameters=[m.ResponseParameters(size=size, **more) for size in sizes])


def server_streaming(stub: Any) -> None:
    replies = stub.StreamingOutputCall(_asking(*SIZES_OUT), timeout=PATIENCE_S)
    assert [len(reply.payload.body) for reply in replies] == list(SIZES_OUT)


def ping_pong(stub: Any) -> None:
    turn = threading.Semaphore(1)

    def requests() -> Iterator[Any]:
        for size_in, size_out in zip(SIZES_IN, SIZES_OUT, strict=True):
            assert turn.acquire(timeout=PATIENCE_S)
            request = _asking(size_out)
            request.payload.body = bytes(size_in)
            yield request

    got = []
    for reply in stub.FullDuplexCall(requests(), timeout=PATIENCE_S):
        got.append(len(reply.payload.body))
        turn.release()
    assert got == list(SIZES_OUT)


def empty_stream(stub: Any) -> None:
    assert list(stub.FullDuplexCall(iter(()), timeout=PATIENCE_S)) == []


def timeout_on_sleeping_server(stub: Any) -> None:
    def requests() -> Iterator[Any]:
        yield m.OutputRequest(payload=payload(27_182))
        threading.Event().wait(0.5)

    code, _ = code_of(lambda: list(stub.FullDuplexCall(requests(), timeout=0.05)))
    assert code == "DEADLINE_EXCEEDED"


def cancel_after_begin(stub: Any) -> None:
    stop = threading.Event()
    call = stub.StreamingInputCall.future(iter(lambda: stop.wait(PATIENCE_S) or m.InputRequest(), None))
    call.cancel()
    stop.set()
    assert call.code() is grpc.StatusCode.CANCELLED


def cancel_after_first_response(stub: Any) -> None:
    stop = threading.Event()

    def requests() -> Iterator[Any]:
        yield _asking(31_415)
        stop.wait(PATIENCE_S)

    call = stub.FullDuplexCall(requests(), timeout=PATIENCE_S)
    assert len(next(call).payload.body) == 31_415
    call.cancel()
    stop.set()
    assert call.code() is grpc.StatusCode.CANCELLED


def _status(stub: Any, code: int, text: str) -> list[tuple[str, str]]:
    wanted = m.EchoStatus(code=code, message=text)
    unary = code_of(lambda: stub.UnaryCall(m.SimpleRequest(response_status=wanted), timeout=PATIENCE_S))
    duplex = m.OutputRequest(response_status=wanted)
    return [unary, code_of(lambda: list(stub.FullDuplexCall(iter([duplex]), timeout=PATIENCE_S)))]


def status_code_and_message(stub: Any) -> None:
    assert _status(stub, 2, "test status message") == [("UNKNOWN", "test status message")] * 2


def special_status_message(stub: Any) -> None:
    assert _status(stub, 2, SPECIAL) == [("UNKNOWN", SPECIAL)] * 2


def unimplemented_method(stub: Any) -> None:
    call = stub.missing(f"/{m.SERVICE}/UnimplementedCall")
    assert code_of(lambda: call(m.Empty(), timeout=PATIENCE_S))[0] == "UNIMPLEMENTED"


def unimplemented_service(stub: Any) -> None:
    call = stub.missing("/grpc.testing.UnimplementedService/UnimplementedCall")
    assert code_of(lambda: call(m.Empty(), timeout=PATIENCE_S))[0] == "UNIMPLEMENTED"


def custom_metadata(stub: Any) -> None:
    metadata = ((m.ECHO_INITIAL, "test_initial_metadata_value"), (m.ECHO_TRAILING, b"\xab\xab\xab"))
    _, unary = stub.UnaryCall.with_call(m.SimpleRequest(response_size=1), metadata=metadata, timeout=PATIENCE_S)
    duplex = stub.FullDuplexCall(iter([_asking(1)]), metadata=metadata, timeout=PATIENCE_S)
    assert len(list(duplex)) == 1
    for call in (unary, duplex):
        assert metadata[0] in tuple(call.initial_metadata())
        assert metadata[1] in tuple(call.trailing_metadata())


def _expecting(compressed: bool, **more: Any) -> Any:
    return m.SimpleRequest(expect_compressed=m.BoolValue(value=compressed), payload=payload(LARGE_REQUEST), **more)


def client_compressed_unary(stub: Any) -> None:
    assert code_of(lambda: stub.UnaryCall(_expecting(True), timeout=PATIENCE_S))[0] == "INVALID_ARGUMENT"
    stub.UnaryCall(_expecting(True), compression=GZIP, timeout=PATIENCE_S)
    stub.UnaryCall(_expecting(False), timeout=PATIENCE_S)


def server_compressed_unary(stub: Any) -> None:
    for compressed in (True, False):
        wanted = m.SimpleRequest(
            response_compressed=m.BoolValue(value=compressed), response_size=LARGE_RESPONSE, payload=payload(1)
        )
        assert stub.UnaryCall(wanted, timeout=PATIENCE_S).payload.body == bytes(LARGE_RESPONSE)


def client_compressed_streaming(stub: Any) -> None:
    """grpcio compresses a call's messages all or none (but for those that would grow), so there are two calls."""
    for compressed, options in ((True, {"compression": GZIP}), (False, {})):
        requests = [_input(size, compressed and size > 8) for size in SIZES_IN]
        reply = stub.StreamingInputCall(iter(requests), timeout=PATIENCE_S, **options)
        assert reply.aggregated_payload_size == sum(SIZES_IN)


def _input(size: int, compressed: bool) -> Any:
    return m.InputRequest(expect_compressed=m.BoolValue(value=compressed), payload=payload(size))


def server_compressed_streaming(stub: Any) -> None:
    request = _asking(31_415, compressed=m.BoolValue(value=True))
    request.response_parameters.add(size=92_653, compressed=m.BoolValue(value=False))
    replies = stub.StreamingOutputCall(request, timeout=PATIENCE_S)
    assert [len(reply.payload.body) for reply in replies] == [31_415, 92_653]


CASES: dict[str, Callable[[Any], None]] = {
    case.__name__: case
    for case in (
        empty_unary, large_unary, client_streaming, server_streaming, ping_pong, empty_stream,
        timeout_on_sleeping_server, cancel_after_begin, cancel_after_first_response, status_code_and_message,
        special_status_message, unimplemented_method, unimplemented_service, custom_metadata, client_compressed_unary,
        server_compressed_unary, client_compressed_streaming, server_compressed_streaming,
    )
}  # fmt: skip
# What the frames have to show: messages that the client, and that the server, has compressed, in order.
COMPRESSED: dict[str, tuple[list[bool], list[bool]]] = {
    "client_compressed_unary": ([False, True, False], [False, False]),
    "server_compressed_unary": ([False, False], [True, False]),
    "client_compressed_streaming": ([True, False, True, True] + [False] * 4, [False, False]),
    "server_compressed_streaming": ([False], [True, False]),
}


def play(port: int, name: str) -> None:
    """One case against a server on this machine."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", (("grpc.enable_http_proxy", 0),)) as channel:
        CASES[name](Stub(channel))
