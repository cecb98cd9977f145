"""Where a channel connects: targets as gRPC writes them, names looked up, sockets and TLS.

    name:7443    10.0.0.1:7443,10.0.0.2:7443    [::1]:7443    dns:///name:7443    unix:/run/ride.sock

Source: https://github.com/grpc/grpc/blob/master/doc/naming.md
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, replace
from typing import Final

import purerpc
import trio

from ride_trio.rpc.tls import ALPN
from ride_trio.rpc.transport import SocketTransport, StreamTransport, Transport, in_words

_DNS: Final = "dns:///"
# For the whole of it, with name lookup, all addresses of a name, and TLS; gRPC's own minimum.
CONNECT_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to connect to.

    Args:
        host: Name or address; a path for a Unix socket.
        port: TCP port; None for a Unix socket.
        name: What the server's certificate has to be for: the name that `host` was looked up by.
    """

    host: str
    port: int | None
    name: str = ""

    def __str__(self) -> str:
        if self.port is None:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What requests name as the server."""
        return "localhost" if self.port is None else str(self)


def parse_target(target: str, port: int | None = None) -> tuple[Endpoint, ...]:
    """Read a target.

    Args:
        target: See the module's text; only a name or an address if there is a port.
        port: TCP port.

    Raises:
        ValueError: It is none.
    """
    if port is not None:
        return (Endpoint(target, port, target),)
    return tuple(_endpoint(part.strip()) for part in target.split(","))


def _endpoint(text: str) -> Endpoint:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return Endpoint(path.removeprefix("//"), None)
    host, colon, port = text.removeprefix(_DNS).rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"target {text!r}: should be host:port, [IPv6]:port or unix:/path (several with commas)")
    host = host.removeprefix("[").removesuffix("]")
    return Endpoint(host, int(port), host)


async def resolve(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Every address of every name, each once, in order.

    Raises:
        purerpc.UnavailableError: None of the names is known.
    """
    found: dict[Endpoint, None] = {}
    unknown = []
    for endpoint in endpoints:
        if endpoint.port is None:
            found[endpoint] = None
            continue
        try:
            rows = await trio.socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:
            unknown.append(f"{endpoint.host}: {error.strerror or error}")
            continue
        found |= {replace(endpoint, host=str(address[0])): None for *_, address in rows}
    if not found:
        raise purerpc.UnavailableError(f"cannot look up {', '.join(unknown)}")
    return tuple(found)


async def connect(endpoints: tuple[Endpoint, ...], context: ssl.SSLContext | None) -> Transport:
    """Connect to the first that can be.

    Raises:
        purerpc.UnavailableError: None can; why each.
    """
    failures = []
    for endpoint in endpoints:
        try:
            return await _connect(endpoint, context)
        except OSError as error:
            failures.append(f"cannot connect to {endpoint}: {error.strerror or error}")
        except purerpc.UnavailableError as error:
            failures.append(error.status.status_message)
    raise purerpc.UnavailableError("; ".join(failures))


async def _connect(endpoint: Endpoint, context: ssl.SSLContext | None) -> Transport:
    stream: trio.SocketStream
    with trio.move_on_after(CONNECT_TIMEOUT_S):
        if endpoint.port is None:
            stream = await trio.open_unix_socket(endpoint.host)
        else:
            stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        return SocketTransport(stream) if context is None else await _encrypted(stream, endpoint, context)
    raise purerpc.UnavailableError(f"cannot connect to {endpoint}: it took longer than {CONNECT_TIMEOUT_S:g} s")


async def _encrypted(socket: trio.SocketStream, endpoint: Endpoint, context: ssl.SSLContext) -> Transport:
    context.set_alpn_protocols([ALPN])
    name = endpoint.name or endpoint.authority
    stream = trio.SSLStream(socket, context, server_hostname=name, https_compatible=True)
    try:
        await stream.do_handshake()
        if stream.selected_alpn_protocol() == ALPN:
            return StreamTransport(stream, str(endpoint))
        why = "the server does not speak HTTP/2 (no ALPN h2)"
    except trio.BrokenResourceError as error:
        why = in_words(error)
    except BaseException:  # cancelled: it would stay open
        await trio.aclose_forcefully(stream)
        raise
    await trio.aclose_forcefully(stream)
    raise purerpc.UnavailableError(f"TLS handshake with {endpoint} failed: {why}")
