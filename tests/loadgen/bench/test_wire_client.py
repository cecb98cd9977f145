from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from ride_trio.wire import ServerConnection
from ride_trio.wire.events import RequestReceived
from ride_trio.wire.headers import RequestHead
from ride_trio.wire.limits import Limits
from ride_trio_loadgen.bench.child import Child, child
from ride_trio_loadgen.bench.echo import BARE_TRIO, CORO, ENCODED, UNARY_PATH
from ride_trio_loadgen.bench.wire_client import FRAMING_BYTES, EchoedPeer, IndexingConnection, Peer, Poller, RawPeer

SERVERS = "ride_trio_loadgen.bench.echo_servers"


@pytest.fixture(scope="module")
def server() -> Iterator[Child]:
    with child(SERVERS, CORO) as running:
        yield running


def _read_all(peer: Peer, due: int) -> None:
    while peer.arrived < due:
        peer.flush()
        peer.read()
    assert peer.arrived == due


def test_requests_shrink_to_indices_and_stay_the_same() -> None:
    client, other = IndexingConnection(), ServerConnection(Limits())
    head = RequestHead("/a/B", metadata=(("user-id", "me"),))
    other.feed(client.outbound.take_output())
    sizes = []
    for _ in range(3):
        client.open(head)
        sizes.append(client.outbound.size)
        other.feed(client.outbound.take_output())
        while other.process():
            pass
    heads = [(e.head.path, e.head.metadata, e.head.authority) for e in other.events if isinstance(e, RequestReceived)]
    assert heads == [("/a/B", (("user-id", "me"),), "127.0.0.1")] * 3
    assert sizes[1] == sizes[2] < sizes[0] / 2


def test_more_than_the_windows_hold_is_echoed(server: Child) -> None:
    with closing(Peer(server.port)) as peer:
        stream = peer.open()
        peer.send(stream, 3_000)  # 200 KB: three times the window
        _read_all(peer, 3_000)
        peer.send_packed(stream, 2_000)
        _read_all(peer, 5_000)


def test_unary_calls_are_counted_when_they_end(server: Child) -> None:
    with closing(Peer(server.port)) as peer:
        for _ in range(5):
            peer.request(UNARY_PATH)
        while peer.ended < 5:
            peer.flush()
            peer.read()
        assert peer.arrived == 5


def test_an_answer_that_is_another_one_is_an_error(server: Child) -> None:
    with closing(Peer(server.port, expected=b"something else")) as peer:
        peer.send(peer.open())
        peer.flush()
        with pytest.raises(ValueError, match=f"a message of {len(ENCODED)} bytes came back as another one"):
            _read_all(peer, 1)


def test_a_call_that_fails_is_an_error(server: Child) -> None:
    with closing(Peer(server.port)) as peer:
        peer.open("/bench.Echo/Nothing")
        peer.flush()
        with pytest.raises(ConnectionError, match="has no method 'Nothing'"):
            _read_all(peer, 1)


def test_plain_bytes_count_as_messages_when_they_are_whole() -> None:
    with child(SERVERS, BARE_TRIO) as running, closing(RawPeer(running.port, 10)) as peer:
        peer.sock.sendall(bytes(3 * (FRAMING_BYTES + 10) + 1))
        assert _until(peer, 3) == 3


def test_a_server_that_only_echoes_bytes_gives_frames_back() -> None:
    with child(SERVERS, BARE_TRIO) as running, closing(EchoedPeer(running.port)) as peer:
        stream = peer.open()
        for _ in range(2_000):  # more than a window: what is given back of it is echoed, too
            peer.send(stream)
            peer.flush()
            while not peer.read():
                peer.flush()
        assert peer.arrived == 2_000


def _until(peer: RawPeer, count: int) -> int:
    arrived = 0
    while arrived < count:
        arrived += peer.read()
    return arrived


def test_the_poller_tells_who_has_something_to_read(server: Child) -> None:
    with closing(Peer(server.port)) as quiet, closing(Peer(server.port)) as busy:
        with closing(Poller([quiet, busy])) as poller:
            busy.send(busy.open())
            busy.flush()
            while not busy.arrived:
                for peer in poller.ready():
                    peer.read()
        assert quiet.arrived == 0
