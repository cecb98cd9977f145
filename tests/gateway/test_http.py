"""The operators' HTTP: what is asked, what is refused, and what can't hold us up."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from ride_trio.gateway import Gateway
from ride_trio.gateway.http import MAX_CONNECTIONS, MAX_HEAD_BYTES, REQUEST_TIMEOUT_S

Stream = trio.StapledStream


class Site:
    """A gateway and connections to it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.gateway = Gateway(lambda: (b"up 1\n", "text/plain; version=1.0.0"))
        self.nursery = nursery

    async def connect(self) -> Stream:
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.gateway.serve_stream, theirs)
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
    assert (await site.get("/readyz"))[0] == 503
    site.gateway.ready = True
    assert (await site.get("/readyz"))[0] == 200


async def test_what_is_not_there(site: Site) -> None:
    assert (await site.get("/"))[0] == 404
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
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD_BYTES, 431),
    ],
    ids=["garbage", "no host", "long head"],
)
async def test_what_is_no_request_is_refused_and_closed(site: Site, request_: bytes, status: int) -> None:
    head, _ = await site.ask(request_)
    assert int(head.split()[1]) == status


async def test_who_says_nothing_is_closed(site: Site, autojump_clock: MockClock) -> None:
    stream = await site.connect()
    began = trio.current_time()
    await stream.send_all(b"GET /healthz HTTP/1.1\r\n")
    assert await rest(stream) == b""
    assert trio.current_time() - began == pytest.approx(REQUEST_TIMEOUT_S)


async def test_who_does_not_read_is_closed(site: Site, autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.gateway.serve_stream, theirs)
        await ours.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert trio.current_time() - began == pytest.approx(REQUEST_TIMEOUT_S)


async def test_a_connection_too_many_is_closed_at_once(site: Site) -> None:
    for _ in range(MAX_CONNECTIONS):
        await site.connect()
    assert await rest(await site.connect()) == b""
    assert repr(site.gateway) == f"<Gateway ready=False, {MAX_CONNECTIONS} connections>"


async def test_a_client_that_leaves_at_any_time_harms_nobody(site: Site) -> None:
    for words in (b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"):
        stream = await site.connect()
        await stream.send_all(words)
        await stream.aclose()
        await wait_all_tasks_blocked()
    assert (await site.get("/healthz"))[0] == 200
    assert repr(site.gateway).endswith("0 connections>")


async def test_our_own_failure_costs_one_connection(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> tuple[bytes, str]:
        raise RuntimeError("no metrics today")

    site.gateway._exposition = fails
    assert await site.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") == (b"", b"")
    await wait_all_tasks_blocked()
    assert "no metrics today" in caplog.text
    assert (await site.get("/healthz"))[0] == 200


async def test_it_can_be_cancelled_while_it_waits(site: Site) -> None:
    _, theirs = memory_stream_pair()
    with trio.move_on_after(0.01):
        await site.gateway.serve_stream(theirs)
    assert repr(site.gateway).endswith("0 connections>")
