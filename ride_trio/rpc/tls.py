"""TLS for the server: contexts from files, read again when they change; who a client's certificate says it is.

The handshake and the records are the standard library's, over memory buffers, rather than `trio.SSLStream`: that breaks
off without sending the alert that tells a client why it was refused.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from ride_trio.metrics import Counts
from ride_trio.rpc.transport import READ_BYTES, SocketTransport

log = logging.getLogger(__name__)

ALPN: Final = "h2"
TLS_RELOAD_S: Final = 10.0
# RFC 9113, section 9.2.2: of TLS 1.2, ephemeral key exchange and authenticated encryption only.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
# A TLS record's header is its type, a version, and the length of the rest (RFC 8446, section 5.1).
_RECORD_TYPES: Final = range(20, 25)
_RECORD_HEADER_BYTES: Final = 5
# Records that carry nothing for us: each may ask for new keys, which is as much work as a call, and its answer waits in
# a buffer until there is something to say. One such a second is borne, and so many at once (Go bears 16 in a row).
_EMPTY_RECORDS_BORNE: Final = 16
# The alert of a failed handshake has this long to leave; nobody waits for it.
ALERT_TIMEOUT_S: Final = 1.0


class HandshakeError(Exception):
    """A client that was refused before its first call; the text says why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's certificate is, and whom it lets in.

    Args:
        certificate: PEM file, with the chain behind it.
        key: PEM file.
        client_ca: PEM file of the authorities whose client certificates are accepted; without it none is asked for.
        client_names: If given, one of a client certificate's names (DNS, URI, or else its common name) is to be here.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: frozenset[str] = frozenset()

    def context(self) -> ssl.SSLContext:
        """What they say now.

        Raises:
            OSError: A file cannot be read, or is no certificate or key.
        """
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None:
                path.read_bytes()  # its error names the file, ssl's don't
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, self._password)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except ssl.SSLError as error:
            shown = ", ".join(str(path) for path in (self.certificate, self.key, self.client_ca) if path is not None)
            why = error.reason.lower().replace("_", " ") if error.reason else "not PEM"
            raise OSError(f"no valid certificate, key or authority in {shown}: {why}") from error
        return context

    def _password(self) -> str:
        """OpenSSL would ask for it on the terminal, and everybody would wait."""
        raise OSError(f"the key is encrypted, one without a password is needed: {self.key}")

    def changed_at(self) -> tuple[tuple[int, int], ...]:
        """What differs when one of them has been replaced."""
        found = [path.stat() for path in (self.certificate, self.key, self.client_ca) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in found)


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who a client's verified certificate says it is. `der` is all of it."""

    common_name: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    der: bytes

    @property
    def names(self) -> frozenset[str]:
        """The alternative names, or the common name of a certificate that has none."""
        return frozenset((*self.dns_names, *self.uris)) or frozenset((self.common_name,))

    @classmethod
    def of(cls, tls: ssl.SSLObject) -> PeerIdentity | None:
        """The other side's, or None if it has shown none that was verified."""
        certificate: dict[str, Any] | None = tls.getpeercert()
        der = tls.getpeercert(binary_form=True)
        if not certificate or der is None:
            return None
        subject = {key: value for part in certificate.get("subject", ()) for key, value in part}
        names = certificate.get("subjectAltName", ())
        return cls(
            subject.get("commonName", ""),
            tuple(name for kind, name in names if kind == "DNS"),
            tuple(name for kind, name in names if kind == "URI"),
            der,
        )


class Tls:
    """What new connections are encrypted with.

    Args:
        source: Files, or a context that stays as it is (ALPN is set on it).
        reloads: Counts them, by their result.
        alpn: What is spoken inside.

    Attributes:
        context: What the next connection is to use.
    """

    def __init__(self, source: TlsFiles | ssl.SSLContext, reloads: Counts, alpn: str = ALPN) -> None:
        self._files = source if isinstance(source, TlsFiles) else None
        self._reloads = reloads
        self._alpn = alpn
        self.context = self._use(source.context() if isinstance(source, TlsFiles) else source)
        self._seen = self._files.changed_at() if self._files else ()

    def _use(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.set_alpn_protocols([self._alpn])
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(_CIPHERS)
        return context

    async def reload_for_ever(self, interval_s: float) -> None:
        """Look at the files every so often; a broken one is logged, and what was read before stays.

        They are a few kilobytes, read when they have changed: no thread is worth that.
        """
        while self._files is not None:
            await trio.sleep(interval_s)
            self.reload()

    def reload(self) -> None:
        """Read the files again if they have changed."""
        files = self._files
        if files is None:
            return
        try:
            seen = files.changed_at()
            if seen == self._seen:
                return
            self._seen = seen
            self.context = self._use(files.context())
        except OSError as error:
            self._reloads("failed").n += 1
            log.error("the new TLS files cannot be used, the old ones stay: %s", error)
        else:
            self._reloads("ok").n += 1
            log.info("TLS files read again: %s", files.certificate)

    def objection(self, identity: PeerIdentity | None) -> str | None:
        """What is wrong with a verified client, if anything: its name. Its calls are refused with these words."""
        allowed = self._files.client_names if self._files else frozenset()
        if not allowed or (identity is not None and identity.names & allowed):
            return None
        shown = ", ".join(sorted(identity.names)) if identity else "no certificate"
        return f"the client's certificate is for {shown}, which may not come in here"


class TlsTransport:
    """TLS over a socket. Written by the connection's writing task only: `write_nowait` never takes anything."""

    def __init__(self, inner: SocketTransport, context: ssl.SSLContext) -> None:
        self.peer = inner.peer
        self.identity: PeerIdentity | None = None
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._received = bytearray()  # from where the next record begins
        self._ended = False
        self._empty_s = 0.0  # up to when, at one a second, there have been records that carry nothing
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """Do the handshake.

        Raises:
            HandshakeError: It failed; the client has been told by an alert, and this says why.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                while not self._take_record():
                    received = await self._inner.read()
                    if not received:
                        raise HandshakeError("the client left in the middle of the TLS handshake") from None
                    self._received += received
            except ssl.SSLError as error:
                with trio.move_on_after(ALERT_TIMEOUT_S):
                    await self._flush()
                    await self._inner.send_eof()
                raise HandshakeError(_in_words(error)) from None
        await self._flush()
        if self._tls.selected_alpn_protocol() != ALPN:
            raise HandshakeError("the client does not speak HTTP/2 (no ALPN h2)")
        self.identity = PeerIdentity.of(self._tls)

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._inner.write(data)

    async def read(self) -> bytes:
        while not self._ended:
            data = self._decrypt()
            if data:
                return data
            received = await self._inner.read()
            self._ended = self._ended or not received
            self._received += received
        return b""

    def _decrypt(self) -> bytes:
        """What is in the whole records that are here: who reads must not come once a record, or no pass would end."""
        parts = []
        while not self._ended and self._take_record():
            try:
                data = self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                self._count_empty_record()
            except ssl.SSLZeroReturnError:
                self._ended = True
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(f"TLS failed: {error.reason}") from error
            else:
                parts.append(data)
                self._ended = not data  # that was its close_notify
        return b"".join(parts)

    def _take_record(self) -> bool:
        """Let OpenSSL have the next record, if it is whole: it would work through all that it has in one go."""
        received = self._received
        if not received or len(received) < (size := _record_bytes(received)):
            return False
        self._incoming.write(received[:size])
        del received[:size]
        return True

    def _count_empty_record(self) -> None:
        now_s = trio.current_time()
        self._empty_s = max(self._empty_s, now_s) + 1.0
        if self._empty_s - now_s > _EMPTY_RECORDS_BORNE:
            raise trio.BrokenResourceError("the client sends TLS records that carry nothing")

    def write_nowait(self, data: bytes | memoryview) -> int:
        return 0

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def send_eof(self) -> None:
        with suppress(ssl.SSLError):  # it has queued our close_notify, and the other side's is not here yet
            self._tls.unwrap()
        await self._flush()
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _record_bytes(received: bytearray) -> int:
    """Of the record that begins here; of its header, while that is not whole; of all, if it is none."""
    if received and received[0] not in _RECORD_TYPES:
        return len(received)
    return _RECORD_HEADER_BYTES + int.from_bytes(received[_RECORD_HEADER_BYTES - 2 : _RECORD_HEADER_BYTES])


def _in_words(error: ssl.SSLError) -> str:
    """A failed handshake for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    known = {
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has shown no certificate",
        "HTTP_REQUEST": "the client speaks plain HTTP/1",
        "WRONG_VERSION_NUMBER": "the client does not speak TLS",
        "NO_SHARED_CIPHER": "no cipher in common",
        "UNSUPPORTED_PROTOCOL": "TLS 1.2 or newer is needed",
    }
    reason = error.reason or str(error)
    return known.get(reason, f"the TLS handshake failed: {reason.lower().replace('_', ' ')}")
