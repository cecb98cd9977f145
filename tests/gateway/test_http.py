"""HTTP: what is asked, what is refused, and what can't hold us up."""

import re
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from ride_trio.gateway import HttpServer, Probes
from ride_trio.gateway.http import MAX_BODY_BYTES, MAX_HEAD_BYTES, REQUEST_TIMEOUT_S, Takeover
from ride_trio.gateway.messages import Answer, Request
from ride_trio.metrics import HttpMetrics

MAX_CONNECTIONS = 8

Stream = trio.StapledStream


class Site:
    """A server of probes, and connections to it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.probes = Probes(lambda: (b"up 1\n", "text/plain; version=1.0.0"))
        self.asked: list[Request] = []
        self.metrics = HttpMetrics()
        self.server = HttpServer(self.answer, self.metrics, MAX_CONNECTIONS, MAX_CONNECTIONS + 1)
        self.nursery = nursery

    def answer(self, request: Request) -> Answer | Takeover:
        self.asked.append(request)
        return self.echo if request.path == "/echo" else self.probes.answer(request)

    async def echo(self, stream: trio.abc.Stream) -> None:
        async for chunk in stream:
            await stream.send_all(chunk)

    async def connect(self) -> Stream:
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.server.serve_stream, theirs)
        await wait_all_tasks_blocked()
        return ours

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer to a request that closes its connection."""
        stream = await self.connect()
        await stream.send_all(request)
        answer = await rest(stream)
        head, _, body = answer.partition(b"\r\n\r\n")
        return head, body

    async def get(self, path: str, method: str = "GET") -> tuple[int, bytes, bytes]:
        head, body = await self.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(head.split()[1]), head.lower(), body


async def rest(stream: Stream) -> bytes:
    """Everything until the end."""
    return b"".join([chunk async for chunk in stream])


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with trio.open_nursery() as nursery:
        yield Site(nursery)
        nursery.cancel_scope.cancel()


async def test_metrics(site: Site) -> None:
    status, head, body = await site.get("/metrics?x=1")
    assert (status, body) == (200, b"up 1\n")
    assert b"content-type: text/plain; version=1.0.0" in head
    assert b"content-length: 5" in head


async def test_head_has_no_body(site: Site) -> None:
    status, head, body = await site.get("/metrics", "HEAD")
    assert (status, body) == (200, b"")
    assert b"content-length: 5" in head


async def test_health_and_readiness(site: Site) -> None:
    assert (await site.get("/healthz"))[0] == 200
    status, _, body = await site.get("/readyz")
    assert (status, body) == (503, b"NOT_READY: the server is starting or stopping\n")
    site.probes.ready = True
    assert (await site.get("/readyz"))[0] == 200


async def test_what_is_not_there(site: Site) -> None:
    status, head, body = await site.get("/")
    assert (status, body) == (404, b"NOT_FOUND: Nothing matches the given URI\n")
    assert re.search(rb"\r\ndate: \w{3}, \d{2} \w{3} \d{4} [\d:]{8} gmt\r\n", head)
    status, head, _ = await site.get("/metrics", "DELETE")
    assert status == 405
    assert b"allow: get, head" in head


async def test_a_connection_serves_many_requests(site: Site) -> None:
    stream = await site.connect()
    for _ in range(3):
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    await stream.send_all(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await rest(stream)).startswith(b"HTTP/1.1 200")


async def test_requests_may_come_together_and_in_pieces(site: Site) -> None:
    stream = await site.connect()
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for byte in request * 2:
        await stream.send_all(bytes([byte]))
    await stream.send_all(request + request.replace(b"Host", b"Connection: close\r\nHost"))
    assert (await rest(stream)).count(b"HTTP/1.1 200") == 4


async def test_a_body_is_thrown_away(site: Site) -> None:
    stream = await site.connect()
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
    await stream.send_all(b"abcGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await rest(stream)).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01 not HTTP\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET /?" + b"a=1&" * 101 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD_BYTES, 431),
    ],
    ids=["garbage", "no host", "no target", "many fields", "long head"],
)
async def test_what_is_no_request_is_refused_and_closed(site: Site, request_: bytes, status: int) -> None:
    head, _ = await site.ask(request_)
    assert int(head.split()[1]) == status


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"])
async def test_who_says_nothing_is_closed(site: Site, autojump_clock: MockClock, before: bytes) -> None:
    stream = await site.connect()
    began = trio.current_time()
    await stream.send_all(before)
    assert (await rest(stream)).count(b"HTTP/1.1") == bool(before)
    assert trio.current_time() - began == pytest.approx(REQUEST_TIMEOUT_S)


@pytest.mark.parametrize(
    "half", [b"G", b"GET /healthz HTTP/1.1\r\n", b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\ntoken"]
)
async def test_who_says_half_is_told_that_it_took_too_long(site: Site, autojump_clock: MockClock, half: bytes) -> None:
    stream = await site.connect()
    began = trio.current_time()
    await stream.send_all(half)
    said = await rest(stream)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert said.endswith(b"REQUEST_TIMEOUT: Request timed out; try again later\n")
    assert trio.current_time() - began == pytest.approx(REQUEST_TIMEOUT_S)


async def test_who_does_not_read_is_closed(site: Site, autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.server.serve_stream, theirs)
        await ours.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert trio.current_time() - began == pytest.approx(REQUEST_TIMEOUT_S)


async def test_who_holds_connections_keeps_nobody_out(site: Site, autojump_clock: MockClock) -> None:
    """One too many, and the one that has said nothing for longest makes room; half a request is nothing."""
    site.server = HttpServer(site.answer, site.metrics, MAX_CONNECTIONS)
    held = [await site.connect() for _ in range(MAX_CONNECTIONS)]
    await held[0].send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await held[0].receive_some()).startswith(b"HTTP/1.1 200")
    await held[1].send_all(b"GET /half HTTP/1.1\r\n")
    began = trio.current_time()
    assert (await site.get("/healthz"))[0] == 200
    assert await rest(held[1]) == b""
    assert trio.current_time() == began
    assert repr(site.server) == f"<HttpServer, {MAX_CONNECTIONS - 1} connections>"
    assert (site.metrics.connections.n, site.metrics.refused("connections").n) == (MAX_CONNECTIONS - 1, 1)
    for _ in range(3 * MAX_CONNECTIONS):
        await site.connect()
    await wait_all_tasks_blocked()
    assert await rest(held[0]) == b""
    assert site.metrics.connections.n == MAX_CONNECTIONS


async def test_two_ports_count_into_one_metric(site: Site) -> None:
    for server in (site.server, HttpServer(site.answer, site.metrics)):
        site.server = server
        await site.connect()
    assert site.metrics.connections.n == 2


async def test_a_client_that_leaves_at_any_time_harms_nobody(site: Site) -> None:
    for words in (b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"):
        stream = await site.connect()
        await stream.send_all(words)
        await stream.aclose()
        await wait_all_tasks_blocked()
    assert (await site.get("/healthz"))[0] == 200
    assert repr(site.server).endswith("0 connections>")


async def test_our_own_failure_is_answered(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> tuple[bytes, str]:
        raise RuntimeError("no metrics today")

    site.probes._exposition = fails
    status, _, body = await site.get("/metrics")
    assert (status, body) == (500, b"INTERNAL: the server's log says why\n")
    assert "GET /metrics failed" in caplog.text
    assert "no metrics today" in caplog.text
    assert (await site.get("/healthz"))[0] == 200


async def test_a_takeover_that_fails_costs_one_connection(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(stream: trio.abc.Stream) -> None:
        raise RuntimeError("no echo today")

    site.echo = fails  # type: ignore[method-assign]
    assert await site.ask(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n") == (b"", b"")
    await wait_all_tasks_blocked()
    assert "no echo today" in caplog.text
    assert (await site.get("/healthz"))[0] == 200


async def test_no_answer_is_taken_for_what_it_is_not(site: Site) -> None:
    for path in ("/healthz", "/nothing"):
        assert b"\r\nx-content-type-options: nosniff\r\n" in (await site.get(path))[1] + b"\r\n"


async def test_it_can_be_cancelled_while_it_waits(site: Site) -> None:
    _, theirs = memory_stream_pair()
    with trio.move_on_after(0.01):
        await site.server.serve_stream(theirs)
    assert repr(site.server).endswith("0 connections>")


async def test_a_body_is_handed_on_if_it_is_short(site: Site) -> None:
    for body, kept in ((b"token=a%20b", b"token=a%20b"), (b"x" * (MAX_BODY_BYTES + 1), None)):
        head = (
            f"POST /login?x=%C3%A9&x=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        assert b" 405 " in (await site.ask(head.encode() + body))[0]
        assert site.asked[-1].body == kept
    assert site.asked[0].form == {"token": "a b"}
    assert site.asked[0].query == {"x": "é"}


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"])
async def test_who_takes_a_connection_over_reads_it_from_its_request_on(site: Site, before: bytes) -> None:
    stream = await site.connect()
    request = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    await stream.send_all(before + request + b"and what follows at once")
    await wait_all_tasks_blocked()
    await stream.send_all(b", or later")
    await stream.send_eof()
    assert (await rest(stream)).endswith(request + b"and what follows at once, or later")
    assert site.metrics.connections.n == 0


async def test_a_connection_that_was_taken_over_counts_no_longer(site: Site) -> None:
    streams = [await site.connect() for _ in range(MAX_CONNECTIONS)]
    await streams[0].send_all(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await streams[0].receive_some()).startswith(b"GET /echo")
    assert (await site.get("/healthz"))[0] == 200


async def test_answers_are_counted_by_status(site: Site) -> None:
    await site.get("/healthz")
    await site.get("/nothing")
    assert [site.metrics.requests(code).n for code in ("200", "404")] == [1, 1]


async def test_connections_of_one_address_are_bounded_websockets_among_them(site: Site) -> None:
    for _ in range(MAX_CONNECTIONS + 1):
        stream = await site.connect()
        await stream.send_all(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some()
    assert site.metrics.connections.n == 0
    assert await rest(await site.connect()) == b""
    assert site.metrics.refused("peer_limit").n == 1
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert (await site.get("/healthz"))[0] == 200
