"""Every foreign client has the same conversation with our server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import purerpc
import pytest
import trio
from purerpc import Cardinality

from ride_trio.rpc import Server
from tests.integration import echo_clients
from tests.rpc.echo import HANDLERS, service_of
from tests.rpc.echo import value as bytes_value


async def meta(call: Any) -> None:
    """Answers with the metadata that it was called with."""
    user, trace = (data for name, data in call.metadata if name in {"user-id", "trace-bin"})
    await call.start((("echo-user-id", user), ("echo-trace-bin", trace)))
    call.trailing_metadata = (("echo-last", "yes"),)
    async for message in call:
        await call.send(message)


async def slow(message: Any) -> Any:
    await trio.sleep(30)
    return message


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    server = Server(0, host="127.0.0.1")
    extra = {"meta": (Cardinality.STREAM_STREAM, meta), "slow": (Cardinality.UNARY_UNARY, slow)}
    server.add_service(service_of(HANDLERS | extra))
    await nursery.start(server.serve_async)
    return server


def check(seen: dict[str, Any]) -> None:
    assert seen["unary"] == b"x"
    assert seen["split"] == [b"a", b"b", b"c"]
    assert seen["join"] == b"ab"
    assert seen["echo"] == [b"a", b"b", b"c"]
    assert seen["large"] == len(echo_clients.LARGE)
    assert seen["initial"]["echo-user-id"] == "rider 7"
    assert seen["trailing"] == {"echo-last": "yes"}
    assert list(echo_clients.names(seen)) == ["NOT_FOUND", "UNKNOWN", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"]
    assert seen["not_found"][1] == "nobody"
    assert "secret" not in seen["fails"][1]
    assert seen["unimplemented"][1] == "service 'test.Echo' has no method 'no_such'"
    assert seen["cancelled"] == "CANCELLED"


async def nothing_is_left(server: Server) -> None:
    """Cancelled and timed-out calls have been cancelled here, too."""
    with trio.fail_after(5):
        while server.statistics().calls:  # noqa: ASYNC110 - it is on its way over a socket
            await trio.sleep(0.01)
    assert server.metrics.handled("bidi_stream", "test.Echo", "hangs", "CANCELLED").n == 1
    assert server.metrics.connection_errors.cells == {}


@pytest.mark.parametrize("client", [echo_clients.grpcio, echo_clients.grpcio_aio, echo_clients.grpclib])
async def test_a_python_client(server: Server, client: Callable[[int], dict[str, Any]]) -> None:
    with trio.fail_after(2 * echo_clients.PATIENCE_S):
        seen = await trio.to_thread.run_sync(client, server.port, abandon_on_cancel=True)
    check(seen)
    assert seen["initial"]["echo-trace-bin"] == b"\0\xff"
    if "gzip" in seen:
        assert seen["gzip"] == ("OK", "")
    await nothing_is_left(server)


async def test_grpc_js(server: Server, node_modules: str) -> None:
    with trio.fail_after(2 * echo_clients.PATIENCE_S):
        seen = await trio.to_thread.run_sync(echo_clients.grpc_js, server.port, node_modules, abandon_on_cancel=True)
    check(seen)
    assert seen["initial"]["echo-trace-bin"] == {"type": "Buffer", "data": [0, 255]}
    await nothing_is_left(server)


async def test_stock_purerpc(server: Server) -> None:
    """It neither cancels calls nor knows deadlines; all else."""

    async def messages(*parts: bytes) -> AsyncIterator[Any]:
        for part in parts:
            yield bytes_value(part)

    def stub(name: str, cardinality: Cardinality) -> Any:
        signature = purerpc.RPCSignature(cardinality, type(bytes_value(b"")), type(bytes_value(b"")))
        return purerpc.Client("test.Echo", channel).get_method_stub(name, signature)

    with trio.fail_after(echo_clients.PATIENCE_S):
        async with purerpc.insecure_channel("127.0.0.1", server.port) as channel:
            assert (await stub("unary", Cardinality.UNARY_UNARY)(bytes_value(b"x"))).value == b"x"
            split = stub("split", Cardinality.UNARY_STREAM)(bytes_value(b"abc"))
            assert [message.value async for message in split] == [b"a", b"b", b"c"]
            assert (await stub("join", Cardinality.STREAM_UNARY)(messages(b"a", b"b"))).value == b"ab"
            echo = await stub("echo", Cardinality.STREAM_STREAM)()
            for part in (b"a", b"b", echo_clients.LARGE[:1_000_000]):
                await echo.send_message(bytes_value(part))
                assert (await echo.receive_message()).value == part
            await echo.close()
            assert await echo.receive_message() is None
            with pytest.raises(purerpc.NotFoundError):
                await stub("not_found", Cardinality.UNARY_UNARY)(bytes_value(b"nobody"))
            with pytest.raises(purerpc.UnimplementedError):
                await stub("no_such", Cardinality.UNARY_UNARY)(bytes_value(b"nobody"))
    assert server.metrics.connection_errors.cells == {}
