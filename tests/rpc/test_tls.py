"""A server's certificate files. Handshakes are in `tests/integration/test_tls.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from ride_trio.rpc import TlsFiles

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
