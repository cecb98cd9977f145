"""RFC 9113, section 5.1: what either side answers to each frame in each state of a stream.

A letter for each pair: "." nothing is wrong, "r" RST_STREAM with STREAM_CLOSED, "p" RST_STREAM with PROTOCOL_ERROR,
"G" GOAWAY with STREAM_CLOSED, "P" GOAWAY with PROTOCOL_ERROR.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from ride_trio.wire import Connection, ErrorCode
from ride_trio.wire.frames import (
    CONTINUATION,
    END_HEADERS,
    GOAWAY,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    frame,
    rst_stream_frame,
    window_update_frame,
)
from ride_trio.wire.headers import response_block, trailers_block
from tests.wire import peers
from tests.wire.peers import REQUEST, RESPONSE, data, headers, receive

# On stream 1. HEADERS open a stream or answer one, and so are trailers where it is open.
TRAILERS = headers(1, ((b"grpc-status", b"0"),), end=True)
FRAMES: dict[str, bytes] = {
    "DATA": data(1, b""),
    "DATA with END_STREAM": data(1, b"", end=True),
    "trailers": TRAILERS,
    "PRIORITY": frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
    "RST_STREAM": rst_stream_frame(1, ErrorCode.CANCEL),
    "WINDOW_UPDATE": window_update_frame(1, 1),
    "PUSH_PROMISE": frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"),
    "CONTINUATION": frame(CONTINUATION, END_HEADERS, 1, b""),
    "of an unknown type": frame(0xFA, 0xFF, 1, b"?"),
}


def opened() -> Connection:
    connection = peers.server()
    peers.server_call(connection)
    return connection


def ended_by(connection: Connection, *, us: bool = False, peer: bool = False) -> Connection:
    """The call's stream, with END_STREAM sent, received, or both."""
    if peer:
        receive(connection, TRAILERS if connection._peer_is_server else data(1, b"", end=True))
    if us and connection._peer_is_server:
        connection.outbound.end(connection.streams[1])
    elif us:
        connection.outbound.end(connection.streams[1], response_block() + trailers_block(0))
    for stream in list(connection.streams.values()):
        connection.forget_if_closed(stream)
    return connection


def reset_by(connection: Connection, *, us: bool) -> Connection:
    if us:
        connection.reset(connection.streams[1], ErrorCode.CANCEL)
    else:
        receive(connection, rst_stream_frame(1, ErrorCode.CANCEL))
    return connection


def answered() -> Connection:
    connection = peers.client()
    peers.client_call(connection, answered=True)
    return connection


Prepare = Callable[[], Connection]
#                   DATA, DATA with END_STREAM, trailers, PRIORITY, RST_STREAM, WINDOW_UPDATE, PUSH_PROMISE,
#                   CONTINUATION, of an unknown type
SERVER: dict[str, tuple[Prepare, str]] = {
    "idle": (peers.server, "P P p . P P P P ."),
    "open": (opened, ". . . . . . P P ."),
    "half-closed (local)": (lambda: ended_by(opened(), us=True), ". . . . . . P P ."),
    "half-closed (remote)": (lambda: ended_by(opened(), peer=True), "r r r . . . P P ."),
    "closed by END_STREAM": (lambda: ended_by(opened(), us=True, peer=True), "r r G . . . P P ."),
    "closed by its RST_STREAM": (lambda: reset_by(opened(), us=False), "r r G . . . P P ."),
    "closed by our RST_STREAM": (lambda: reset_by(opened(), us=True), ". . . . . . P P ."),
}
CLIENT: dict[str, tuple[Prepare, str]] = {
    "idle": (peers.client, "P P P . P P P P ."),
    "open": (answered, ". . . . . . P P ."),
    "half-closed (local)": (lambda: ended_by(answered(), us=True), ". . . . . . P P ."),
    "half-closed (remote)": (lambda: ended_by(answered(), peer=True), "r r r . . . P P ."),
    "closed by END_STREAM": (lambda: ended_by(answered(), us=True, peer=True), "r r . . . . P P ."),
    "closed by its RST_STREAM": (lambda: reset_by(answered(), us=False), "r r . . . . P P ."),
    "closed by our RST_STREAM": (lambda: reset_by(answered(), us=True), ". . . . . . P P ."),
}


def answer_of(connection: Connection) -> str:
    """The letter for what the connection has said."""
    found = peers.sent(connection)
    resets = {ErrorCode(f.number) for f in found if f.kind == RST_STREAM}
    goaways = {ErrorCode(int.from_bytes(f.payload[4:8], "big")) for f in found if f.kind == GOAWAY}
    assert goaways == ({connection.fault.code} if connection.fault else set())
    if goaways:
        return {ErrorCode.STREAM_CLOSED: "G", ErrorCode.PROTOCOL_ERROR: "P"}[goaways.pop()]
    return {ErrorCode.STREAM_CLOSED: "r", ErrorCode.PROTOCOL_ERROR: "p"}[resets.pop()] if resets else "."


@pytest.mark.parametrize(("state", "kind"), [*product(SERVER, FRAMES)])
@pytest.mark.parametrize("role", ["server", "client"])
def test_9113_5_1_each_frame_in_each_state(role: str, state: str, kind: str) -> None:
    prepare, letters = (SERVER if role == "server" else CLIENT)[state]
    connection = prepare()
    peers.sent(connection)
    receive(connection, FRAMES[kind])
    assert answer_of(connection) == letters.split()[list(FRAMES).index(kind)]


def test_9113_5_1_headers_open_a_stream_and_answer_one() -> None:
    server, client = peers.server(), peers.client()
    peers.client_call(client)
    receive(server, headers(1, REQUEST))
    receive(client, headers(1, RESPONSE))
    assert server.fault is client.fault is None
    assert answer_of(server) == answer_of(client) == "."
