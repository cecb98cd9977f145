"""The gRPC server as settings describe it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
import trustme

from ride_trio.app import serve
from ride_trio.config import load_settings
from ride_trio.errors import ListenError
from ride_trio.metrics import EngineMetrics
from ride_trio.pb.grpc.health.v1 import health_pb2
from ride_trio.rpc import Channel
from ride_trio.serving import grpc_server

HERE = {"grpc_listen_addr": "127.0.0.1:0", "metrics_listen_addr": "127.0.0.1:0"}


def test_times_of_0_mean_never() -> None:
    server = grpc_server(load_settings({"max_connection_idle_s": "0s"}, {}), EngineMetrics())
    assert server.keepalive.max_idle_s == server.keepalive.max_age_s == math.inf
    assert server.options.user_timeout_s is None


def test_limits_reach_the_server() -> None:
    given = {"max_concurrent_streams": "7", "max_message_bytes": "1MiB", "reuse_port": "yes", "listen_backlog": "9"}
    server = grpc_server(load_settings(given, {}), EngineMetrics())
    assert (server.limits.max_concurrent_streams, server.limits.max_message) == (7, 2**20)
    assert (server.options.reuse_port, server.options.backlog) == (True, 9)


async def test_a_unix_socket_and_tls_beside_it(nursery: trio.Nursery, tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    given = {
        **HERE,
        "grpc_unix_path": str(tmp_path / "grpc.sock"),
        "grpc_tls_cert": str(tmp_path / "both.pem"),
        "grpc_tls_key": str(tmp_path / "both.pem"),
    }
    await nursery.start(serve, load_settings(given, {}))
    stream = await trio.open_unix_socket(str(tmp_path / "grpc.sock"))
    request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    async with (
        Channel("unix", 0, stream=stream) as channel,
        channel.open("/grpc.health.v1.Health/Check", request, response) as call,
    ):
        await call.send(request())
        await call.done_sending()
        reply = await call.receive()
        assert reply is not None
        assert reply.status == response.SERVING
    nursery.cancel_scope.cancel()


async def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ListenError, match=r"missing\.pem"):
        await serve(load_settings({**HERE, "grpc_tls_cert": missing, "grpc_tls_key": missing}, {}))
