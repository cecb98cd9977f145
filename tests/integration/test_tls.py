"""TLS and mutual TLS over real sockets, with our client and with grpcio's."""

from __future__ import annotations

import datetime
import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import purerpc
import pytest
import trio
import trustme
from google.protobuf.wrappers_pb2 import BytesValue

from ride_trio.rpc import Channel, Keepalive, Server, TlsFiles, secure_channel
from ride_trio.wire.frames import PREFACE, settings_frame
from tests.rpc.desk import settle, until
from tests.rpc.echo import value

PATH = "/test.Echo/Bidi"
PATIENCE_S = 10
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


class Authority:
    """A certificate authority and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def sign(self, name: str, host: str, ca: trustme.CA | None = None, **options: Any) -> tuple[Path, Path]:
        """A certificate's and its key's files."""
        leaf = (ca or self.ca).issue_cert(host, **options)
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return chain, key

    def client_context(self, files: tuple[Path, Path] | None = None, alpn: str = "h2") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.set_alpn_protocols([alpn])
        if files is not None:
            context.load_cert_chain(*files)
        return context

    def grpcio_credentials(self, files: tuple[Path, Path] | None = None) -> Any:
        chain, key = (path.read_bytes() for path in files) if files else (None, None)
        return grpc.ssl_channel_credentials(self.ca_file.read_bytes(), key, chain)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> TlsFiles:
    return TlsFiles(*authority.sign("server", "localhost"))


@pytest.fixture
def mutual(files: TlsFiles, authority: Authority) -> TlsFiles:
    names = frozenset({"dispatch.test"})
    return TlsFiles(files.certificate, files.key, client_ca=authority.ca_file, client_names=names)


async def _echo(call: Any) -> None:
    async for message in call:
        who = call.peer_identity
        await call.send(value(message.value + (b" " + who.dns_names[0].encode() if who else b"")))


@asynccontextmanager
async def serving(tls: Any, **options: Any) -> AsyncIterator[Server]:
    server = Server(0, tls, host="127.0.0.1", **options)
    server.add_service(echo_service())
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_async)
        yield server
        nursery.cancel_scope.cancel()


def echo_service() -> Any:
    service = purerpc.Service("test.Echo")
    signature = purerpc.RPCSignature(purerpc.Cardinality.STREAM_STREAM, BytesValue, BytesValue)
    service.add_method("Bidi", _echo, signature)
    return service


async def connect(port: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    return trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)


@asynccontextmanager
async def our_call(port: int, context: ssl.SSLContext) -> AsyncIterator[Any]:
    stream = await connect(port, context)
    async with (
        Channel("localhost", port, stream=stream) as channel,
        channel.open(PATH, BytesValue, BytesValue) as call,
    ):
        yield call


async def ask_ours(port: int, context: ssl.SSLContext) -> bytes:
    async with our_call(port, context) as call:
        await call.send(value(b"hello"))
        reply: bytes = (await call.receive()).value
        return reply


def _ask_grpcio(port: int, credentials: Any) -> tuple[str, str]:
    """The answer, or the status and what it says."""
    options = (("grpc.enable_http_proxy", 0),)
    with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
        method = channel.stream_stream(PATH, BytesValue.SerializeToString, BytesValue.FromString)
        try:
            replies = list(method(iter([value(b"hello")]), timeout=PATIENCE_S))
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", replies[0].value.decode()


async def ask_grpcio(port: int, credentials: Any) -> tuple[str, str]:
    return await trio.to_thread.run_sync(_ask_grpcio, port, credentials)


async def test_tls_with_our_client_and_grpcios(authority: Authority, files: TlsFiles) -> None:
    async with serving(files) as server:
        assert await ask_ours(server.port, authority.client_context()) == b"hello"
        assert await ask_grpcio(server.port, authority.grpcio_credentials()) == ("OK", "hello")


async def test_a_channel_that_encrypts(authority: Authority, files: TlsFiles) -> None:
    async with (
        serving(files) as server,
        secure_channel("localhost", server.port, authority.client_context()) as channel,
        channel.open(PATH, BytesValue, BytesValue) as call,
    ):
        await call.send(value(b"hello"))
        assert (await call.receive()) == value(b"hello")


async def test_a_channel_says_why_it_cannot_shake_hands(authority: Authority, files: TlsFiles) -> None:
    async with serving(files) as server:
        with pytest.raises(purerpc.UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            async with secure_channel("localhost", server.port, ssl.create_default_context()):
                pass


async def test_a_context_of_ones_own(authority: Authority, files: TlsFiles) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    async with serving(context) as server:
        assert await ask_ours(server.port, authority.client_context()) == b"hello"


async def test_large_messages_over_tls(authority: Authority, files: TlsFiles) -> None:
    async with serving(files) as server, our_call(server.port, authority.client_context()) as call:
        for size in (1_000_000, 3, 200_000):
            await call.send(value(bytes(size)))
            assert (await call.receive()).value == bytes(size)


async def test_a_handler_sees_who_the_client_is(authority: Authority, mutual: TlsFiles) -> None:
    mine = authority.sign("client", "dispatch.test")
    async with serving(mutual) as server:
        assert await ask_ours(server.port, authority.client_context(mine)) == b"hello dispatch.test"
        assert await ask_grpcio(server.port, authority.grpcio_credentials(mine)) == ("OK", "hello dispatch.test")


def _expired(authority: Authority) -> tuple[Path, Path]:
    return authority.sign("expired", "dispatch.test", not_after=YESTERDAY)


def _wrong_name(authority: Authority) -> tuple[Path, Path]:
    return authority.sign("other", "somebody.else")


def _foreign(authority: Authority) -> tuple[Path, Path]:
    return authority.sign("foreign", "dispatch.test", trustme.CA())


REFUSALS: list[tuple[str, Callable[[Authority], Any], str, str]] = [
    ("expired", _expired, "certificate has expired", "alert certificate expired"),
    ("wrong name", _wrong_name, "is for somebody.else, which may not come in", "certificate is for somebody.else"),
    ("foreign", _foreign, "unable to get local issuer", "alert unknown ca"),
    ("absent", lambda authority: None, "has shown no certificate", "alert certificate required"),
]


@pytest.mark.parametrize(("name", "make", "logged", "told"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_client_that_may_not_come_in_is_told_why(
    name: str,
    make: Callable[[Authority], Any],
    logged: str,
    told: str,
    authority: Authority,
    mutual: TlsFiles,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    theirs = make(authority)
    mine = authority.sign("client", "dispatch.test")
    async with serving(mutual) as server:
        code, details = await ask_grpcio(server.port, authority.grpcio_credentials(theirs))
        if name == "wrong name":
            assert (code, told in details) == ("PERMISSION_DENIED", True)
        else:  # of alerts grpcio does not say more than that TLS has failed
            assert (code, "TSI_DATA_CORRUPTED" in details) == ("UNAVAILABLE", True)
        with trio.fail_after(PATIENCE_S), pytest.raises(Exception) as caught:  # noqa: PT011 - told below
            await ask_ours(server.port, authority.client_context(theirs))
        assert any(told in text.lower() for text in _texts(caught.value)), _texts(caught.value)
        assert logged in caplog.text
        assert await ask_ours(server.port, authority.client_context(mine)) == b"hello dispatch.test"
    assert "Traceback" not in caplog.text


def _texts(error: BaseException | None) -> list[str]:
    """What an error says, and what is behind it."""
    if error is None:
        return []
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    found = [text for one in inner for text in _texts(one)]
    return [str(error), *found, *_texts(error.__cause__ or error.__context__)]


async def test_a_new_certificate_is_used_without_a_restart(
    authority: Authority, files: TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(files, tls_reload_s=0.05) as server:
        before = await _serial(server.port, authority)
        async with our_call(server.port, authority.client_context()) as call:
            new = authority.sign("new", "localhost")
            shutil.copy(new[1], files.key)
            shutil.copy(new[0], files.certificate)
            await until(lambda: server.metrics.tls_reloads("ok").n > 0)
            assert await _serial(server.port, authority) != before
            await call.send(value(b"still here"))
            assert (await call.receive()).value == b"still here"
        after = await _serial(server.port, authority)
        files.certificate.write_text("no certificate at all")
        await until(lambda: "the old ones stay" in caplog.text)
        assert await _serial(server.port, authority) == after
        assert server.metrics.tls_reloads("failed").n >= 1


async def _serial(port: int, authority: Authority) -> str:
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    async with trio.SSLStream(
        tcp, authority.client_context(), server_hostname="localhost", https_compatible=True
    ) as tls:
        await tls.do_handshake()
        serial: str = tls.getpeercert()["serialNumber"]
        return serial


async def test_clients_that_do_not_speak_tls_or_http2(
    authority: Authority, files: TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(files) as server:
        with trio.fail_after(PATIENCE_S):
            plain = await trio.open_tcp_stream("127.0.0.1", server.port)
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while await plain.receive_some():
                pass
            old = await connect(server.port, authority.client_context(alpn="http/1.1"))
            with suppress(trio.BrokenResourceError):  # by an alert
                assert await old.receive_some() == b""
        assert "plain HTTP/1" in caplog.text
        assert server.metrics.refused("tls").n == 2


async def test_a_client_that_never_shakes_hands_is_sent_away(files: TlsFiles) -> None:
    async with serving(files, keepalive=Keepalive(handshake_timeout_s=0.1)) as server:
        silent = await trio.open_tcp_stream("127.0.0.1", server.port)
        with trio.fail_after(PATIENCE_S):
            assert await silent.receive_some() == b""
        assert server.metrics.refused("tls").n == 1


async def test_a_client_that_never_shakes_hands_does_not_hold_a_shutdown_up(files: TlsFiles) -> None:
    async with serving(files) as server:
        silent = await trio.open_tcp_stream("127.0.0.1", server.port)
        await settle()
        with trio.fail_after(PATIENCE_S / 2):  # it would have PATIENCE_S
            await server.shutdown(0)
            assert await silent.receive_some() == b""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
async def test_a_client_that_asks_for_new_keys_again_and_again_is_sent_away(
    authority: Authority, files: TlsFiles, nursery: trio.Nursery
) -> None:
    """Each costs as much as a call, and an answer that would wait until there is something to say."""
    async with serving(files) as server:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-alpn", "h2", "-tls1_3"]
        quietly = partial(trio.run_process, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = await nursery.start(partial(quietly, stdin=subprocess.PIPE), command)
        await until(lambda: server.statistics().connections == 1)
        await client.stdin.send_all(PREFACE + settings_frame({}))
        await settle()
        with trio.fail_after(PATIENCE_S):
            while server.statistics().connections:
                with suppress(trio.BrokenResourceError):
                    await client.stdin.send_all(b"K\n")  # its command for "update the keys, yours too"
                await trio.sleep(0.001)
        client.terminate()
