"""A server's certificate files, and TLS records. Handshakes are in `tests/integration/test_tls.py`."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization

from ride_trio.rpc import TlsFiles
from ride_trio.rpc.tls import TlsTransport
from ride_trio.rpc.transport import StreamTransport

CA = trustme.CA()
LEAF = CA.issue_cert("localhost")


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    files = TlsFiles(tmp_path / "chain", tmp_path / "key", client_ca=tmp_path / "authority")
    files.certificate.write_bytes(LEAF.cert_chain_pems[0].bytes())
    files.key.write_bytes(LEAF.private_key_pem.bytes())
    CA.cert_pem.write_to_path(tmp_path / "authority")
    return files


def _encrypted() -> bytes:
    key = serialization.load_pem_private_key(LEAF.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a password"),
    )


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("key", _encrypted(), "key is encrypted"),
        ("key", CA.issue_cert("localhost").private_key_pem.bytes(), "key values mismatch"),
        ("key", b"", "chain, .*key, .*authority: not PEM"),
        ("chain", b"no certificate at all", "not PEM"),
        ("authority", b"", "no certificate"),
        ("key", None, "No such file or directory: .*key"),
    ],
)
def test_files_that_cannot_be_used(
    files: TlsFiles, name: str, data: bytes | None, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked for a password: everybody else would wait for the answer."""
    assert files.context()
    path = files.key.parent / name
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(OSError, match=why):
        files.context()
    assert capfd.readouterr() == ("", "")


def test_a_replaced_file_is_noticed(files: TlsFiles) -> None:
    before = files.changed_at()
    assert files.changed_at() == before
    new = files.key.with_name("new")
    new.write_bytes(files.key.read_bytes())
    new.replace(files.key)
    assert files.changed_at() != before


class Client:
    """One that shakes hands, and whose records a test sends as it likes."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        CA.configure_trust(context)
        context.set_alpn_protocols(["h2"])
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.stream, theirs = trio.testing.memory_stream_pair()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.set_alpn_protocols(["h2"])
        LEAF.configure_cert(tls)
        self.transport = TlsTransport(StreamTransport(theirs, "memory"), tls)

    async def shake_hands(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.transport.shake_hands)
            while not self._done():
                await self.stream.send_all(self._outgoing.read())
                self._incoming.write(await self.stream.receive_some())
            await self.stream.send_all(self._outgoing.read())

    def _done(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def records(self, *data: bytes) -> bytes:
        for part in data:
            self.tls.write(part)
        return self._outgoing.read()


async def test_records_that_come_together_are_read_together() -> None:
    """Who reads works through what has come in passes: a record a read would be a pass a record, and nobody's turn."""
    client = Client()
    await client.shake_hands()
    letters = [bytes((letter,)) for letter in b"letters"]
    await client.stream.send_all(client.records(*letters) + client.records(bytes(16_384))[:-1])
    with trio.fail_after(5):
        assert await client.transport.read() == b"letters"


@pytest.mark.parametrize("size", [1, 4, 30])
async def test_records_that_come_in_pieces(size: int, autojump_clock: trio.testing.MockClock) -> None:
    client = Client()
    await client.shake_hands()
    said = client.records(b"one", b"two", bytes(1_000))
    got = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_drip, client.stream, said, size)
        while len(got) < 1_006:
            got += await client.transport.read()
    assert got == b"onetwo" + bytes(1_000)


async def _drip(stream: trio.abc.SendStream, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await stream.send_all(data[start : start + size])
        await trio.sleep(1)


async def test_the_end_behind_data() -> None:
    client = Client()
    await client.shake_hands()
    said = client.records(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    await client.stream.send_all(said + client._outgoing.read())
    with trio.fail_after(5):
        assert [await client.transport.read() for _ in range(3)] == [b"bye", b"", b""]


@pytest.mark.parametrize("kind", ["something else", "changed on its way"])
async def test_what_is_no_record_breaks_the_connection(kind: str) -> None:
    client = Client()
    await client.shake_hands()
    await client.stream.send_all(b"GET / HTTP/1.1" if kind == "something else" else client.records(b"x")[:-1] + b"?")
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError, match="TLS failed"):
        await client.transport.read()
