"""A session's life: silence, half-close, takeover, a peer that does not read, and the goodbye."""

import gc
import math
import weakref
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ride_trio.pb.ride.v1.ride_pb2 import Hello
from ride_trio.services.ride_stream import FLUSH_S
from ride_trio.sessions import LOSSLESS_PLACES
from tests.services.fake_call import FakeCall
from tests.services.house import House, acks, at, bodies, code, heartbeat, hello, status

BUFFER = 4


@pytest.fixture
async def nursery_() -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


@pytest.fixture
async def house(nursery_: trio.Nursery) -> House:
    return House(nursery_)


@pytest.fixture
async def narrow(nursery_: trio.Nursery) -> House:
    """Outboxes of few places."""
    return House(nursery_, outbound_buffer=BUFFER)


# -------------------------------------------------------------------- silence


async def test_a_silent_session_ends_after_the_timeout(house: House, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    call = await house.connect("ann", at())
    await call.over.wait()
    assert code(call) == "UNAVAILABLE NO_HEARTBEAT"
    assert trio.current_time() - began == pytest.approx(15)
    assert house.metrics.heartbeat_miss.n == 1
    assert house.metrics.ended("no_heartbeat").n == 1
    assert house.metrics.session_duration.total == pytest.approx(15)
    assert house.active == 0
    assert bodies(call.read()) == ["ack"]


async def test_any_envelope_is_a_sign_of_life(house: House, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    call = await house.connect("ann")
    for envelope in (heartbeat(), at(), status("AVAILABLE"), at(100.0)):
        await trio.sleep(14)
        call.say(envelope)
    await call.over.wait()
    assert trio.current_time() - began == pytest.approx(4 * 14 + 15)


# -------------------------------------------------------------------- vanishing


async def test_who_vanishes_is_gone_at_once(house: House) -> None:
    call = await house.connect("dan", at(), status("AVAILABLE"))
    assert house.active == 1
    await house.vanish(call)
    assert house.active == 0
    assert house.context.broker.session_of("dan") is None
    assert house.context.broker.statistics().zones == 0
    assert house.context.dispatcher.users == {}
    assert house.metrics.ended("cancelled").n == 1


async def test_who_vanishes_during_the_goodbye_is_gone_too(house: House, autojump_clock: MockClock) -> None:
    older = await house.connect("ann")
    older.window = 0
    older.say(heartbeat())
    await house.connect("ann")
    await wait_all_tasks_blocked()
    assert older.status is None
    await house.vanish(older)
    assert code(older) == "CANCELLED"
    assert house.active == 1


# -------------------------------------------------------------------- takeover


async def test_a_newer_session_takes_over(house: House) -> None:
    older = await house.connect("dan", at(), status("AVAILABLE"))
    newer = await house.connect("dan")
    await older.over.wait()
    assert code(older) == "ABORTED SESSION_TAKEN_OVER"
    assert bodies(older.read()) == ["ack", "ack"]
    assert house.active == 1
    ann = await house.connect("ann", at(), status("LOOKING", "r"))
    await house.window()
    assert "match_event" in bodies(newer.read())
    assert "match_event" in bodies(ann.read())


async def test_a_taken_over_session_of_a_rider_still_gets_its_match(house: House) -> None:
    await house.connect("ann", at(), status("LOOKING", "r"))
    newer = await house.connect("ann")
    await house.connect("dan", at(), status("AVAILABLE"))
    await house.window()
    assert bodies(newer.read()) == ["broadcast_event", "match_event"]


@pytest.mark.parametrize("who", ["ann", "dan"])
async def test_a_newer_session_of_somebody_in_a_ride_is_told_of_it_after_its_first_answer(
    house: House, who: str
) -> None:
    sessions = {
        "ann": await house.connect("ann", at(), status("LOOKING", "r")),
        "dan": await house.connect("dan", at(), status("AVAILABLE")),
    }
    sessions[who].window = 0  # its connection is dead already: what it is told of the match is never read
    await house.window()
    newer = await house.connect(who, heartbeat(1))
    (ack, match) = newer.read()
    assert ack.WhichOneof("body") == "ack"
    assert (match.match_event.ride_id, match.match_event.driver_id) == ("r", "dan")
    newer.say(heartbeat(2))
    assert bodies(newer.read()) == ["ack"]


async def test_what_comes_after_the_end_is_not_answered(house: House) -> None:
    older = await house.connect("ann")
    older.window = 0
    older.say(heartbeat(1))
    await house.connect("ann")
    older.say(heartbeat(2))
    older.window = math.inf
    older.read()
    await older.over.wait()
    assert house.metrics.ingress("heartbeat", "grpc").n == 1


# -------------------------------------------------------------------- half-close


async def test_a_half_closed_session_with_nothing_asked_ends_well(house: House) -> None:
    call = await house.connect("dan", hello(), at(), status("AVAILABLE"))
    call.half_close()
    await call.over.wait()
    assert code(call) == "OK"
    assert bodies(call.read()) == ["welcome", "ack", "ack"]
    assert house.metrics.ended("completed").n == 1


async def test_a_half_closed_rider_waits_for_the_match(house: House) -> None:
    call = await house.connect("ann", at(), status("LOOKING", "r"))
    call.half_close()
    await wait_all_tasks_blocked()
    assert call.status is None
    dan = await house.connect("dan", at(), status("AVAILABLE"))
    await house.window()
    assert code(call) == "OK"
    assert bodies(call.read())[-1] == "match_event"
    dan.say(status("EN_ROUTE_TO_PICKUP", "r"))
    assert acks(dan.read())[-1].success


async def test_a_half_closed_rider_waits_for_no_driver(house: House, autojump_clock: MockClock) -> None:
    house.context.dispatcher._timeout_s = 10
    call = await house.connect("ann", at(), status("LOOKING", "r"))
    call.half_close()
    await trio.sleep(10)
    await house.window()
    assert code(call) == "OK"
    assert acks(call.read())[-1].detail.startswith("NO_DRIVER_FOUND: ")


async def test_a_half_closed_rider_waits_no_longer_than_the_heartbeat_timeout(
    house: House, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    call = await house.connect("ann", at(), status("LOOKING", "r"))
    call.half_close()
    await call.over.wait()
    assert code(call) == "OK"
    assert trio.current_time() - began == pytest.approx(15)
    assert house.metrics.heartbeat_miss.n == 0


# -------------------------------------------------------------------- the goodbye


@pytest.mark.parametrize("knows", [True, False], ids=["hello", "plain"])
async def test_disconnect_goes_to_who_knows_it(house: House, knows: bool, autojump_clock: MockClock) -> None:
    call = await house.connect("ann", *([hello()] if knows else []), heartbeat())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.context.broker.drain)
    await call.over.wait()
    assert code(call) == "UNAVAILABLE SHUTDOWN"
    envelopes = call.read()
    assert bodies(envelopes) == (["welcome", "ack", "disconnect"] if knows else ["ack"])
    if knows:
        assert envelopes[-1].disconnect.code == "SHUTDOWN"
        assert envelopes[-1].disconnect.reconnect


async def test_the_goodbye_waits_for_who_does_not_read_but_not_long(house: House, autojump_clock: MockClock) -> None:
    older = await house.connect("ann", hello())
    older.window = 0
    older.say(heartbeat())
    await house.connect("ann")
    began = trio.current_time()
    await older.over.wait()
    assert trio.current_time() - began == pytest.approx(FLUSH_S)
    assert house.metrics.dropped("session_ended").n == 2


async def test_a_full_house_and_a_closing_one_refuse(nursery_: trio.Nursery) -> None:
    house = House(nursery_, max_sessions=1)
    await house.connect("ann")
    refused = await house.connect("bob")
    assert code(refused) == "RESOURCE_EXHAUSTED CONNECTION_LIMIT"
    assert house.active == 1
    nursery_.start_soon(house.context.broker.drain)
    await wait_all_tasks_blocked()
    late = await house.connect("bob")
    assert code(late) == "UNAVAILABLE SHUTDOWN"


# -------------------------------------------------------------------- a peer that does not read


async def zone_mates(house: House, count: int) -> list[FakeCall]:
    return [await house.connect(f"mate {number}", at()) for number in range(count)]


async def test_it_costs_nobody_anything_and_drops_are_counted(narrow: House) -> None:
    stuck = await narrow.connect("stuck", at())
    stuck.window = 0
    mates = await zone_mates(narrow, 10)
    for turn in range(20):
        for mate in mates:
            mate.say(at(sequence=turn))
            assert acks(mate.read())[-1].success
    depth = narrow.context.broker.session_of("stuck").outbox.statistics()  # type: ignore[union-attr]
    assert (depth.queued, depth.overflow) == (BUFFER, BUFFER)
    metrics = narrow.metrics
    lost = metrics.dropped("conflated").n + metrics.dropped("queue_full").n
    assert lost == 10 * 21 - 2 * BUFFER
    assert stuck.status is None


async def test_its_input_is_held_and_no_ack_is_lost(narrow: House) -> None:
    stuck = await narrow.connect("stuck")
    stuck.window = 0
    stuck.say(*[heartbeat(number) for number in range(100)])
    assert stuck.held == 100 - BUFFER - 1
    assert len(stuck.read(10)) == 10
    assert stuck.held == 100 - 10 - BUFFER - 1
    stuck.window = math.inf
    got = stuck.read()
    assert [ack.correlation_id for ack in acks(got)] == [str(number) for number in range(10, 100)]


async def test_half_close_comes_after_what_is_held(narrow: House) -> None:
    stuck = await narrow.connect("stuck")
    stuck.window = 0
    stuck.say(*[heartbeat(number) for number in range(20)])
    stuck.half_close()
    await wait_all_tasks_blocked()
    assert stuck.status is None
    stuck.window = math.inf
    assert len(stuck.read()) == 20
    await stuck.over.wait()
    assert code(stuck) == "OK"


async def test_held_until_the_timeout_is_a_slow_consumer_not_a_silent_one(
    narrow: House, autojump_clock: MockClock
) -> None:
    stuck = await narrow.connect("stuck")
    stuck.window = 0
    stuck.say(*[heartbeat(number) for number in range(20)])
    await stuck.over.wait()
    assert stuck.status is not None
    assert stuck.status.status_message.startswith("SLOW_CONSUMER: ")
    assert narrow.metrics.heartbeat_miss.n == 0
    assert narrow.metrics.ended("slow_consumer").n == 1


async def test_silent_with_a_buffer_full_of_broadcasts_is_silent(narrow: House, autojump_clock: MockClock) -> None:
    stuck = await narrow.connect("stuck", at())
    stuck.window = 0
    await zone_mates(narrow, 10)
    await stuck.over.wait()
    assert code(stuck) == "UNAVAILABLE NO_HEARTBEAT"


async def test_a_match_without_a_place_ends_the_session(narrow: House, autojump_clock: MockClock) -> None:
    rider = await narrow.connect("ann", at(), status("LOOKING", "r"))
    driver = await narrow.connect("dan", at(), status("AVAILABLE"))
    rider.read()
    rider.window = 0
    outbox = narrow.context.broker.session_of("ann").outbox  # type: ignore[union-attr]
    for _ in range(BUFFER + LOSSLESS_PLACES):
        assert outbox.push(b"")
    driver.read()
    await narrow.window()
    await rider.over.wait()
    assert rider.status is not None
    assert rider.status.status_message.startswith("SLOW_CONSUMER: ")
    assert narrow.metrics.dropped("slow_consumer").n == 1
    assert driver.read() == []
    assert len(narrow.context.dispatcher.free) == 1


async def test_a_match_still_finds_its_place_behind_a_full_buffer(narrow: House) -> None:
    rider = await narrow.connect("ann", at(), status("LOOKING", "r"))
    rider.window = 0
    await zone_mates(narrow, 10)
    await narrow.connect("dan", at(), status("AVAILABLE"))
    await narrow.window()
    rider.window = math.inf
    got = rider.read()
    assert "match_event" in bodies(got)
    times = [envelope.lamport_time for envelope in got]
    assert times == sorted(times)


# -------------------------------------------------------------------- what stays behind


async def test_an_ended_session_leaves_no_circle_for_the_garbage_collector(
    house: House, autojump_clock: MockClock
) -> None:
    await house.connect("peer", at())
    call = await house.connect("ann", hello(Hello.ROLE_RIDER), at(), heartbeat())
    session = house.context.broker.session_of("ann")
    user = house.context.dispatcher.users["ann"]

    class Watch:
        """Slotted classes have no weak references: watch something that only they hold."""

    outbox_watch, user_watch = Watch(), Watch()
    assert session is not None
    session.outbox._counts = outbox_watch  # type: ignore[assignment]
    outbox_watch.depth = house.metrics.queue_depth  # type: ignore[attr-defined]
    outbox_watch.session_ended = house.metrics.dropped("x")  # type: ignore[attr-defined]
    user.plate = user_watch  # type: ignore[assignment]
    refs = weakref.ref(outbox_watch), weakref.ref(user_watch)
    gc.collect()
    gc.disable()
    try:
        call.half_close()
        await call.over.wait()
        house.scopes.clear()
        del call, session, user, outbox_watch, user_watch
        await trio.sleep(1)
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()
