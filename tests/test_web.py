"""The two HTTP ports as settings describe them, over real sockets."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import h11
import pytest
import trio
import trustme
from trio_websocket import open_websocket_url

from ride_trio import web
from ride_trio.app import App, Bound, serve
from ride_trio.config import load_settings
from ride_trio.errors import ListenError
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, Heartbeat, Observe, ServerEnvelope
from ride_trio.rpc import Channel
from ride_trio.values import Address

PATIENCE_S = 30.0
HERE = dict.fromkeys(("grpc_listen_addr", "http_listen_addr", "metrics_listen_addr"), "127.0.0.1:0")


@asynccontextmanager
async def served(**settings: str) -> AsyncIterator[Bound]:
    given = load_settings({**HERE, "data_dir": os.environ["DATA_DIR"], **settings}, {})
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(serve, given)
            nursery.cancel_scope.cancel()


class HttpClient:
    """A client of h11 to a port of loopback: a connection a request, and a jar of cookies."""

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self.host = host
        self.cookies: dict[str, str] = {}

    async def ask(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer to a GET, or with a form to a POST."""
        connection, body = h11.Connection(h11.CLIENT), urlencode(form or {}).encode()
        sent = [("host", self.host), ("content-length", str(len(body))), ("connection", "close"), *headers.items()]
        sent += [("cookie", f"{name}={value}") for name, value in self.cookies.items()]
        request = h11.Request(method="GET" if form is None else "POST", target=path, headers=sent)
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                await stream.send_all(connection.send(event) or b"")
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
        assert isinstance(event, h11.Response)
        found = {name.decode(): value.decode() for name, value in event.headers}
        if "set-cookie" in found:
            name, _, value = found["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value
        return event.status_code, found


@asynccontextmanager
async def beyond_loopback(tmp_path: Path, **settings: str) -> AsyncIterator[HttpClient]:
    """The web port of a server that is to listen for everybody; the test has it listen on loopback only."""
    given = {**HERE, "http_listen_addr": "0.0.0.0:0", "data_dir": str(tmp_path), **settings}
    server = App(load_settings(given, {}))
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            yield HttpClient(await server.web.start(Address("127.0.0.1", 0), nursery), "city.example")
            nursery.cancel_scope.cancel()


PRIVATE = ("/", "/metrics", "/api/v1/version", "/api/v1/users/ann", "/api/v1/none")
UPGRADE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "MDEyMzQ1Njc4OTAxMjM0NQ==",
}


async def test_beyond_loopback_nobody_may_look_unless_there_are_tokens(tmp_path: Path) -> None:
    async with beyond_loopback(tmp_path) as client:
        for host in ("city.example", "localhost"):
            client.host = host
            assert [(await client.ask(path))[0] for path in PRIVATE] == [403] * len(PRIVATE)
        assert (await client.ask("/", authorization="Bearer s3cret"))[0] == 403
        assert (await client.ask("/login", {"token": "s3cret"}))[1]["location"] == "/login#failed"
        assert [(await client.ask(path))[0] for path in ("/healthz", "/static/js/main.js")] == [200, 200]


async def test_an_operator_logs_in_and_is_known_until_the_token_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "operators").write_text("s3cret olga\n")
    async with beyond_loopback(tmp_path, operator_tokens=str(tmp_path / "operators")) as client:
        assert [(await client.ask(path))[0] for path in PRIVATE] == [303, *[401] * (len(PRIVATE) - 1)]
        assert (await client.ask("/"))[1]["location"] == "/login"
        assert (await client.ask("/login"))[0] == 200
        assert (await client.ask("/login", {"token": "s3cret"}, origin="https://evil.example"))[0] == 403
        assert (await client.ask("/login", {"token": "guess"}))[1]["location"] == "/login#failed"
        assert client.cookies == {}
        status, headers = await client.ask("/login", {"token": "s3cret"}, origin="https://city.example")
        assert (status, headers["location"], list(client.cookies)) == (303, "/", ["ride_trio_operator"])
        assert headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert [(await client.ask(path))[0] for path in PRIVATE] == [200, 200, 200, 404, 404]
        assert (await client.ask("/ws", None, **{**UPGRADE, "origin": "https://evil.example"}))[0] == 403
        (tmp_path / "operators").write_text("another olga\n")
        assert (await client.ask("/api/v1/version"))[0] == 401


async def ask(bound: Bound, path: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    """Status, and all of the answer."""
    assert bound.http is not None
    host, port = bound.http.host, bound.http.port
    stream: trio.abc.Stream
    if context is None:
        stream = await trio.open_tcp_stream(host, port)
    else:
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context, https_compatible=True)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    async with stream:
        request = "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {bound.http}", "Connection: close", *lines, "", ""))
        await stream.send_all(request.encode())
        answer = b"".join([chunk async for chunk in stream]).decode()
    return int(answer.split()[1]), answer


async def test_probes_and_the_api_on_one_port() -> None:
    async with served() as bound:
        assert (await ask(bound, "/healthz"))[0] == 200
        assert (await ask(bound, "/readyz"))[0] == 200
        assert "ride_websocket_connections 0.0" in (await ask(bound, "/metrics"))[1]
        assert '"sessions":{"grpc":0,"websocket":0}' in (await ask(bound, "/api/v1/summary"))[1]
        assert '"name":"ride.matches"' in (await ask(bound, "/api/v1/topics"))[1]


async def test_operators_have_tokens(tmp_path: Path) -> None:
    (tmp_path / "operators").write_text("s3cret olga\n")
    async with served(operator_tokens=str(tmp_path / "operators")) as bound:
        assert (await ask(bound, "/api/v1/summary"))[0] == 401
        assert (await ask(bound, "/healthz"))[0] == 200
        assert (await ask(bound, "/api/v1/summary", authorization="Bearer s3cret"))[0] == 200
        for token, allowed in ((None, False), ("wrong", False), ("s3cret", True)):
            metadata = (("user-id", "olga"), *((("operator-token", token),) if token else ()))
            async with Channel("127.0.0.1", bound.grpc.port) as channel:  # noqa: SIM117 - two lines are easier to read
                async with channel.open(
                    "/ride.v1.RideStreamService/Connect", ClientEnvelope, ServerEnvelope, metadata=metadata
                ) as call:
                    await call.send(ClientEnvelope(observe=Observe(max_rate_hz=1)))
                    answer = await call.receive()
                    assert answer is not None
                    assert answer.ack.success is allowed
                    call.cancel()


async def test_callers_tokens_hold_for_websockets_too(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("t1 ann\n")
    async with served(auth_tokens=str(tmp_path / "tokens")) as bound:
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec_websocket_version": "13",
            "sec_websocket_key": "MDEyMzQ1Njc4OTAxMjM0NQ==",
        }
        status, answer = await ask(bound, "/ws?user_id=ann", **headers)
        assert (status, "UNAUTHENTICATED: a token is needed" in answer) == (401, True)
        url = f"ws://{bound.http}/ws?user_id=ann&access_token=t1"
        async with open_websocket_url(url, subprotocols=["ride.v1.proto"]) as socket:
            await socket.send_message(ClientEnvelope(heartbeat=Heartbeat(seq=3)).SerializeToString())
            assert ServerEnvelope.FromString(await socket.get_message()).ack.correlation_id == "3"
        assert (await ask(bound, "/api/v1/summary"))[0] == 403  # loopback is open only where nobody needs a token


def write_certificate(authority: trustme.CA, path: Path) -> None:
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)


async def test_tls_and_new_files_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TLS_RELOAD_S", 0.02)
    authority, file = trustme.CA(), tmp_path / "both.pem"
    write_certificate(authority, file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with served(http_tls_cert=str(file), http_tls_key=str(file)) as bound:
        assert (await ask(bound, "/healthz", context))[0] == 200
        url = f"wss://{bound.http}/ws?user_id=ann"
        async with open_websocket_url(url, ssl_context=context, subprotocols=["ride.v1.json"]) as socket:
            await socket.send_message('{"heartbeat":{}}')
            assert "success" in str(await socket.get_message())
        file.write_text("broken")
        await trio.sleep(0.1)
        assert (await ask(bound, "/healthz", context))[0] == 200
        newer = trustme.CA()
        write_certificate(newer, file)
        trusts_newer = ssl.create_default_context()
        newer.configure_trust(trusts_newer)
        await trio.sleep(0.1)
        assert (await ask(bound, "/healthz", trusts_newer))[0] == 200
        told = (await ask(bound, "/metrics", trusts_newer))[1]
        assert 'ride_http_tls_reloads_total{result="ok"} 1.0' in told
        assert 'ride_http_tls_reloads_total{result="failed"} 1.0' in told
        async with await trio.open_tcp_stream("127.0.0.1", bound.http.port if bound.http else 0) as plain:
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # who does not speak TLS is closed
            with suppress(trio.BrokenResourceError):
                async for data in plain:
                    assert not data.startswith(b"HTTP")


async def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_text("broken")
    file = str(tmp_path / "both.pem")
    with pytest.raises(ListenError, match=r"HTTP_LISTEN_ADDR.*both\.pem: not PEM"):
        await serve(load_settings({**HERE, "data_dir": str(tmp_path), "http_tls_cert": file, "http_tls_key": file}, {}))


async def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "operators").write_text("a line of four words\n")
    with pytest.raises(OSError, match=r"operators: line 1 should be a token and its subject"):
        await serve(load_settings({**HERE, "operator_tokens": str(tmp_path / "operators")}, {}))
    with pytest.raises(OSError, match="none"):
        await serve(load_settings({**HERE, "operator_tokens": str(tmp_path / "none")}, {}))
