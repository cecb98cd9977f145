"""The gRPC server as settings describe it."""

from __future__ import annotations

import math
from pathlib import Path

import purerpc
import pytest
import trio
import trustme

from ride_trio.app import serve
from ride_trio.config import load_settings
from ride_trio.errors import ListenError, SettingsError
from ride_trio.metrics import EngineMetrics
from ride_trio.pb.grpc.health.v1 import health_pb2
from ride_trio.pb.ride.v1 import ride_pb2
from ride_trio.rpc import Channel
from ride_trio.serving import caller_tokens, grpc_server

HERE = {"grpc_listen_addr": "127.0.0.1:0", "http_listen_addr": "off", "metrics_listen_addr": "127.0.0.1:0"}


def test_times_of_0_mean_never() -> None:
    server = grpc_server(load_settings({"max_connection_idle_s": "0s"}, {}), EngineMetrics(), None)
    assert server.keepalive.max_idle_s == server.keepalive.max_age_s == math.inf
    assert server.options.user_timeout_s is None


def test_limits_reach_the_server() -> None:
    given = {"max_concurrent_streams": "7", "max_message_bytes": "1MiB", "reuse_port": "yes", "listen_backlog": "9"}
    server = grpc_server(load_settings(given, {}), EngineMetrics(), None)
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
    await nursery.start(serve, load_settings(given))
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
        await serve(load_settings({**HERE, "grpc_tls_cert": missing, "grpc_tls_key": missing}))


async def test_who_has_no_token_is_refused_and_who_has_one_is_its_user(nursery: trio.Nursery, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("t1 ann\n")
    bound = await nursery.start(serve, load_settings({**HERE, "auth_tokens": str(tmp_path / "tokens")}))
    path, said = "/ride.v1.RideStreamService/Connect", ride_pb2.ClientEnvelope(heartbeat=ride_pb2.Heartbeat(seq=1))
    async with Channel("127.0.0.1", bound.grpc.port) as channel:
        async with channel.open(path, ride_pb2.ClientEnvelope, ride_pb2.ServerEnvelope) as call:
            with pytest.raises(purerpc.UnauthenticatedError, match="a token is needed"):
                await call.receive()
        token = [("authorization", "Bearer t1")]
        async with channel.open(path, ride_pb2.ClientEnvelope, ride_pb2.ServerEnvelope, metadata=token) as call:
            await call.send(said)
            reply = await call.receive()
            assert reply is not None
            assert reply.WhichOneof("body") == "ack"
            await call.send(ride_pb2.ClientEnvelope(heartbeat=ride_pb2.Heartbeat(seq=2, user_id="dan")))
            reply = await call.receive()
            assert reply is not None
            assert reply.ack.detail == "BAD_REQUEST: user_id is not the user of this session"
        request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        async with channel.open("/grpc.health.v1.Health/Check", request, response) as health:
            await health.send(request())
            await health.done_sending()
            assert await health.receive() is not None
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("setting", "text", "why"),
    [("auth_tokens", "t1", "line 1"), ("auth_jwt_key", "short", "too short"), ("auth_jwt_jwks", "[]", "key set")],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, setting: str, text: str, why: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(OSError, match=rf"{tmp_path}/file: .*{why}"):
        caller_tokens(load_settings({setting: str(tmp_path / "file")}, {}))
    with pytest.raises(FileNotFoundError):
        caller_tokens(load_settings({setting: str(tmp_path / "none")}, {}))


@pytest.mark.parametrize(
    "given",
    [{"auth_tokens": "a", "auth_jwt_key": "b"}, {"auth_jwt_key": "a", "auth_jwt_jwks": "b"}, {"auth_jwt_issuer": "us"}],
)
def test_settings_that_do_not_go_together(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AUTH_"):
        load_settings({}, {name.upper(): value for name, value in given.items()})
