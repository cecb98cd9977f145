"""WebSockets: who gets in, what a session over one is, and how each of them ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionRejected

from ride_trio.gateway import Access, Keepalive, websocket_call
from ride_trio.gateway.websockets import MAX_MESSAGE_BYTES, MAX_UNREAD_BYTES
from tests.gateway.web_house import BINARY, JSON, WebHouse
from tests.services.house import at, bodies, heartbeat, hello, status

KEEPALIVE = Keepalive(every_s=5.0, timeout_s=2.0)
OPERATORS = Access({"op-secret": "olga"}.get)


def caller(token: str) -> str:
    if token != "ann-secret":
        raise ValueError("it is not known here")
    return "ann"


@pytest.fixture
async def house() -> AsyncIterator[WebHouse]:
    async with trio.open_nursery() as nursery:
        yield WebHouse(nursery, keepalive=KEEPALIVE)
        nursery.cancel_scope.cancel()


async def rejected(house: WebHouse, user_id: str | None = None, **options: str) -> tuple[int, str]:
    """Status and text of a refused handshake."""
    stream = await house.open_stream()
    headers = [f"{name.replace('_', '-')}: {value}" for name, value in options.items()]
    answer = await house.handshake(stream, f"/ws?user_id={user_id}" if user_id else "/ws", *headers)
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body.strip()


# ---------------------------------------------------------------------- a session


@pytest.mark.parametrize("subprotocol", [JSON, BINARY])
async def test_a_rider_and_a_driver_meet_over_websockets(
    house: WebHouse, autojump_clock: MockClock, subprotocol: str
) -> None:
    driver = await house.web("dan", hello(plate="XY 1"), at(), status("AVAILABLE"), subprotocol=subprotocol)
    rider = await house.web("ann", at(37.7701), status("LOOKING", "r"), subprotocol=subprotocol)
    assert (await driver.hear()).welcome.heartbeat_timeout_ms == 15_000
    assert [(await rider.hear()).ack.correlation_id for _ in range(2)] == ["1", "r"]
    await house.window()
    match = (await rider.hear("match_event")).match_event
    assert match == (await driver.hear("match_event")).match_event
    assert (match.vehicle_plate, match.pickup_latitude, match.pickup_longitude) == ("XY 1", 37.7701, -122.41)
    assert house.metrics.egress("match_event", "websocket").n == 2
    assert house.metrics.ingress("location", "websocket").n == 2


async def test_half_a_city_on_each_transport_is_one_city(house: WebHouse, autojump_clock: MockClock) -> None:
    over_grpc, over_web = await house.connect("dan", at(), status("AVAILABLE")), await house.web("ann", at())
    over_grpc.say(at(sequence=2))
    heard = await over_web.hear("broadcast_event")
    assert heard.broadcast_event.user_id == "dan"
    assert bodies(over_grpc.read()) == ["ack", "ack", "broadcast_event", "ack"]
    await over_web.say(status("LOOKING", "r"))
    await house.window()
    assert (await over_web.hear("match_event")).match_event.driver_id == "dan"
    assert bodies(over_grpc.read()) == ["match_event"]


async def test_a_user_may_change_the_transport(house: WebHouse, autojump_clock: MockClock) -> None:
    over_grpc = await house.connect("ann", hello())
    over_web = await house.web("ann", hello())
    await over_grpc.over.wait()
    assert over_grpc.read()[-1].disconnect.code == "SESSION_TAKEN_OVER"
    over_grpc = await house.connect("ann")
    code, reason = await over_web.closed()
    assert (code, reason.partition(":")[0]) == (4409, "SESSION_TAKEN_OVER")


async def test_the_name_is_in_the_query_or_a_header_or_a_body(house: WebHouse, autojump_clock: MockClock) -> None:
    await house.web("ann%20a", heartbeat())
    await house.web(None, heartbeat(), User_Id="bob")
    await house.web(None, heartbeat(user_id="carl"))
    assert {name for name in ("ann a", "bob", "carl") if house.context.broker.session_of(name)} == {
        "ann a",
        "bob",
        "carl",
    }


async def test_without_a_subprotocol_json_is_spoken(house: WebHouse, autojump_clock: MockClock) -> None:
    client = await house.web("ann", heartbeat(7), subprotocol=None)
    assert client.socket.subprotocol is None
    assert (await client.hear()).ack.correlation_id == "7"


async def test_what_json_says_that_we_do_not_know_is_skipped(house: WebHouse, autojump_clock: MockClock) -> None:
    client = await house.web("ann")
    await client.socket.send_message('{"heartbeat":{"seq":"3","mood":"good"},"clientSeq":1}')
    assert (await client.hear()).ack.correlation_id == "3"


async def test_fragments_are_one_message(house: WebHouse, autojump_clock: MockClock) -> None:
    stream = await house.open_stream()
    await house.handshake(stream)
    await stream.send_all(
        _frame(0x01, b'{"heart') + _frame(0x89, b"!") + _frame(0x00, b"") + _frame(0x80, b'beat":{}}')
    )
    await wait_all_tasks_blocked()
    answer = bytes(await stream.receive_some())
    assert answer.startswith(b"\x8a\x01!\x81")
    assert b'"success": true' in answer


# ---------------------------------------------------------------------- how it ends


async def test_a_client_that_closes_has_completed(house: WebHouse, autojump_clock: MockClock) -> None:
    client = await house.web("ann", heartbeat())
    await client.socket.aclose()
    await wait_all_tasks_blocked()
    assert house.metrics.ended("completed").n == 1
    assert (house.active, house.http_metrics.websockets.n, house.http_metrics.closed("1000").n) == (0, 0, 1)


async def test_a_client_that_closes_while_it_waits_for_a_driver_is_cancelled(
    house: WebHouse, autojump_clock: MockClock
) -> None:
    client = await house.web("ann", at(), status("LOOKING"))
    await client.socket.aclose(1001)
    await wait_all_tasks_blocked()
    assert house.metrics.ended("cancelled").n == 1
    assert not house.context.dispatcher.waiting


async def test_a_connection_that_is_lost_is_cancelled(house: WebHouse, autojump_clock: MockClock) -> None:
    stream = await house.open_stream()
    await house.handshake(stream, "/ws?user_id=ann")
    assert house.active == 1
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert house.metrics.ended("cancelled").n == 1
    assert house.http_metrics.closed("1006").n == 1


async def test_silence_ends_it(house: WebHouse, autojump_clock: MockClock) -> None:
    client = await house.web("ann", hello())
    began = trio.current_time()
    assert (await client.hear("disconnect")).disconnect.code == "NO_HEARTBEAT"
    assert await client.closed() == (4408, "NO_HEARTBEAT: nothing was heard for 15 s")
    assert trio.current_time() - began == pytest.approx(15.0)
    assert house.metrics.heartbeat_miss.n == 1


async def test_the_server_stops(house: WebHouse, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    client = await house.web("ann", hello())
    nursery.start_soon(house.context.broker.drain)
    nursery.start_soon(house.websockets.wait_all_closed, 5.0)
    assert (await client.hear("disconnect")).disconnect.reconnect
    assert await client.closed() == (1001, "SHUTDOWN: the server is stopping")
    await house.websockets.wait_all_closed(5.0)
    late = await house.web("bob")
    assert (await late.closed())[0] == 1001


async def test_a_full_house(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = WebHouse(nursery, max_sessions=1)
    await house.web("ann")
    code, reason = await (await house.web("bob")).closed()
    assert (code, reason.partition(":")[0]) == (1013, "CONNECTION_LIMIT")
    nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_a_slow_one(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_call, "PULLED_AHEAD_BYTES", 500)
    house = WebHouse(nursery, outbound_buffer=4)
    slow = await house.web("ann", at(), slow=True)
    dan = await house.connect("dan")
    for number in range(300):
        dan.say(at(37.77 + number / 1e6, sequence=number))
        await trio.lowlevel.checkpoint()
    assert house.metrics.dropped("conflated").n > 100
    assert house.metrics.egress("broadcast", "websocket").n < 20
    code, reason = await slow.closed()
    assert (code, reason.partition(":")[0]) in {(4408, "NO_HEARTBEAT"), (4413, "SLOW_CONSUMER")}
    nursery.cancel_scope.cancel()


async def test_input_waits_while_its_answers_find_no_place(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_call, "PULLED_AHEAD_BYTES", 0)
    house = WebHouse(nursery, outbound_buffer=1)
    stream = await house.open_stream(slow=True)
    await house.handshake(stream, "/ws?user_id=ann")
    held = house.http_metrics.held
    async with trio.open_nursery() as inner:
        inner.start_soon(stream.send_all, _frame(0x81, b'{"heartbeat":{"seq":"1"}}') * 100)
        await trio.sleep(1.0)
        assert held.n == 1
        answers = b""
        while answers.count(b"success") < 100:
            answers += bytes(await stream.receive_some())
    assert house.metrics.egress("ack", "websocket").n == 100
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (lambda: _frame(0x81, b"\xff\xfe"), 1007),
        (lambda: _frame(0x81, b"no json"), 1007),
        (lambda: _frame(0x81, b'{"heartbeat":{"seq":"x"}}'), 1007),
        (lambda: _frame(0x81, b"[" * 10_000), 1007),
        (lambda: _frame(0x82, b""), 1003),
        (lambda: _frame(0x81, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
        (lambda: _frame(0x01, b"x" * 40_000) + _frame(0x80, b"x" * 40_000), 1009),
        (lambda: _frame(0x01, b"x") + _frame(0x00, b"") * (MAX_UNREAD_BYTES // 6), 1008),
        (lambda: _frame(0x83, b"a reserved opcode"), 1002),
        (lambda: _frame(0xC1, b"{}"), 1002),
        (lambda: _frame(0x80, b"goes on with nothing"), 1002),
        (lambda: b"\x81\x02{}", 1002),
        (lambda: _frame(0x89, b"x" * 126), 1002),
        (lambda: _frame(0x88, b"\x03\xed"), 1002),
        (lambda: _frame(0x88, b"\x00\x01"), 1002),
        (lambda: _frame(0x88, b"\x03"), 1002),
        (lambda: _frame(0x88, b"\x03\xe8\xff"), 1007),
        (lambda: b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
    ids=[
        "no UTF-8", "no JSON", "no envelope", "deep", "binary", "too long", "too long in parts", "empty parts",
        "opcode", "reserved bit", "continuation", "no mask", "long ping", "close 1005", "close 1", "close of a byte",
        "close with no UTF-8", "HTTP",
    ],
)  # fmt: skip
async def test_bad_input_is_answered_with_a_close_code(
    house: WebHouse, autojump_clock: MockClock, frames: object, code: int
) -> None:
    stream = await house.open_stream()
    await house.handshake(stream, "/ws?user_id=ann")
    await stream.send_all(frames())  # type: ignore[operator]
    said = b"".join([chunk async for chunk in stream])
    assert said[:1] == b"\x88"
    assert int.from_bytes(said[2:4], "big") == code
    assert house.active == 0


async def test_pings_both_ways(house: WebHouse, autojump_clock: MockClock) -> None:
    client = await house.web("ann")
    await client.socket.ping()
    for number in range(3):
        await client.say(heartbeat(number))
        await client.hear()
        await trio.sleep(KEEPALIVE.every_s)
    assert house.active == 1


async def test_a_peer_that_does_not_answer_a_ping_is_gone(house: WebHouse, autojump_clock: MockClock) -> None:
    stream = await house.open_stream()
    await house.handshake(stream, "/ws?user_id=ann")
    began = trio.current_time()
    said = b"".join([chunk async for chunk in stream])
    assert said[:2] == b"\x89\x04"
    assert said[6:7] == b"\x88"
    assert int.from_bytes(said[8:10], "big") == 4408
    assert trio.current_time() - began == pytest.approx(KEEPALIVE.every_s + KEEPALIVE.timeout_s, abs=1.1)


async def test_a_ping_after_our_close_frame_harms_nobody(
    house: WebHouse, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await house.open_stream()
    await house.handshake(stream, "/ws?user_id=ann")
    await house.connect("ann")
    assert bytes(await stream.receive_some())[:1] == b"\x88"
    await stream.send_all(_frame(0x89, b"?"))
    assert [chunk async for chunk in stream] == []
    assert "Traceback" not in caplog.text


async def test_our_own_failure_costs_one_websocket(
    house: WebHouse, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await house.web("ann"), await house.web("bob")
    session = house.context.broker.session_of("ann")
    assert session is not None
    session.outbox.push(b"\xff no envelope")
    assert (await bad.closed())[0] == 1011
    assert "a WebSocket of 'ann' failed" in caplog.text
    await good.say(heartbeat())
    assert (await good.hear()).ack.success


# ---------------------------------------------------------------------- who gets in


async def test_what_is_no_handshake_is_refused(house: WebHouse, autojump_clock: MockClock) -> None:
    upgrade = "Connection: upgrade\r\nUpgrade: "
    for headers, code in (
        ("Connection: close", 426),
        (f"{upgrade}h2c", 426),
        (f"{upgrade}websocket\r\nSec-WebSocket-Version: 8", 426),
        (f"{upgrade}websocket\r\nSec-WebSocket-Version: 13", 400),
    ):
        stream = await house.open_stream()
        await stream.send_all(f"GET /ws HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
        assert int(bytes(await stream.receive_some()).split()[1]) == code
    assert house.http_metrics.refused("websocket").n == 4


async def test_unknown_subprotocols_are_refused_and_the_first_known_one_is_taken(
    house: WebHouse, autojump_clock: MockClock
) -> None:
    with pytest.raises((ConnectionRejected, ExceptionGroup)):
        async with trio.open_nursery() as nursery:
            await WebHouse(nursery).web("ann", subprotocol="ride.v2.xml")
    stream = await house.open_stream()
    answer = await house.handshake(stream, "/ws", "Sec-WebSocket-Protocol: ride.v9, ride.v1.proto, ride.v1.json")
    assert b"\r\nsec-websocket-protocol: ride.v1.proto\r\n" in answer.lower()


async def test_other_sites_pages_are_refused(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = WebHouse(nursery, Access(local=True, origins=frozenset(("https://app.example",))))
    assert (await rejected(house, Origin="https://evil.example"))[0] == 403
    assert (await rejected(house, Origin="null"))[0] == 403
    await house.web("ann", Origin="http://localhost")
    await house.web("bob", Origin="https://app.example")
    assert house.active == 2
    nursery.cancel_scope.cancel()


async def test_an_id_that_is_none_is_refused(house: WebHouse, autojump_clock: MockClock) -> None:
    assert (await rejected(house, "x" * 129))[0] == 400
    assert (await rejected(house, "a%00b"))[0] == 400


async def test_who_needs_a_token_shows_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = WebHouse(nursery, Access(), caller)
    assert await rejected(house, "ann") == (401, "UNAUTHENTICATED: a token is needed")
    assert (await rejected(house, "ann", Authorization="Bearer wrong"))[1].startswith(
        "UNAUTHENTICATED: the token is not"
    )
    assert (await rejected(house, "bob", Authorization="Bearer ann-secret"))[1].endswith(
        "'ann', but the user id is 'bob'"
    )
    await house.web(None, Authorization="Bearer ann-secret")
    first = house.context.broker.session_of("ann")
    await house.web("ann&access_token=ann-secret")
    assert house.context.broker.session_of("ann") not in (None, first)
    nursery.cancel_scope.cancel()


async def test_an_operator_may_be_anybody(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = WebHouse(nursery, OPERATORS, caller)
    await house.web("anybody", Cookie="ride_trio_operator=op-secret")
    assert house.context.broker.session_of("anybody") is not None
    nursery.cancel_scope.cancel()


async def test_only_operators_may_observe(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = WebHouse(nursery, OPERATORS)
    client = await house.web("ann")
    await client.socket.send_message('{"messageId":"m","observe":{"maxRateHz":2}}')
    ack = (await client.hear()).ack
    assert (ack.success, ack.correlation_id, ack.detail.partition(":")[0]) == (False, "m", "NOT_ALLOWED")
    nursery.cancel_scope.cancel()


def _frame(first: int, payload: bytes) -> bytes:
    """A frame of a client, with a mask of zeros."""
    size = len(payload)
    length = (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + size.to_bytes(2)
        if size < 65_536
        else b"\xff" + size.to_bytes(8)
    )
    return bytes((first,)) + length + bytes(4) + payload
