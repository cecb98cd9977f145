"""What each envelope does and is answered with."""

import math
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.pb.ride.v1.ride_pb2 import (
    Ack,
    ClientEnvelope,
    Hello,
    LocationUpdate,
    RideStatusUpdate,
    ServerEnvelope,
)
from ride_trio.sessions import MAX_ID_CHARS
from tests.services.house import House, acks, at, bodies, code, heartbeat, hello, status


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:  # a pytest-trio fixture may yield in a nursery
        yield House(nursery)
        nursery.cancel_scope.cancel()


def refused(envelopes: list[ServerEnvelope], code: str) -> bool:
    """Whether there is one ack, without success, that says this code."""
    (ack,) = acks(envelopes)
    return not ack.success and ack.detail.startswith(f"{code}: ")


# -------------------------------------------------------------------- acks


async def test_each_envelope_is_acked_once_in_order(house: House) -> None:
    call = await house.connect("ann")
    call.say(heartbeat(7), at(sequence=8), status("LOOKING", "r"), heartbeat(0), heartbeat(9, message_id="m"))
    envelopes = call.read()
    assert acks(envelopes) == [Ack(correlation_id=c, success=True) for c in ("7", "8", "r", "0", "m")]
    assert [envelope.correlation_id for envelope in envelopes] == ["7", "8", "r", "0", "m"]
    times = [envelope.lamport_time for envelope in envelopes]
    assert times == sorted(set(times))


async def test_a_negative_number_is_written_as_it_is(house: House) -> None:
    call = await house.connect("ann", heartbeat(-3))
    assert acks(call.read())[0].correlation_id == "-3"


@pytest.mark.parametrize("message_id", ["", "m"])
async def test_an_empty_envelope_is_refused_and_the_stream_lives_on(house: House, message_id: str) -> None:
    call = await house.connect("ann", ClientEnvelope(message_id=message_id))
    envelopes = call.read()
    assert refused(envelopes, "BAD_REQUEST")
    assert acks(envelopes)[0].correlation_id == message_id
    call.say(heartbeat())
    assert acks(call.read())[0].success
    assert house.metrics.ingress("unknown", "grpc").n == 1


@pytest.mark.parametrize(
    "envelope",
    [
        heartbeat(message_id="m" * (MAX_ID_CHARS + 1)),
        heartbeat(message_id="a\nb"),
        status("AVAILABLE", "r" * (MAX_ID_CHARS + 1)),
    ],
    ids=["long", "control", "long ride"],
)
async def test_an_id_that_cant_be_one_is_refused_and_cut(house: House, envelope: ClientEnvelope) -> None:
    call = await house.connect("ann", envelope)
    envelopes = call.read()
    assert refused(envelopes, "BAD_REQUEST")
    assert len(envelopes[0].correlation_id) <= MAX_ID_CHARS


async def test_ingress_and_egress_are_counted_by_type(house: House) -> None:
    call = await house.connect("ann", heartbeat(), heartbeat(), at(), at(100, 0), status("AVAILABLE"))
    await house.connect("bob", at(), hello())
    call.read()
    counts = {kind: house.metrics.ingress(kind, "grpc").n for kind in ("heartbeat", "location", "status", "hello")}
    assert counts == {"heartbeat": 2, "location": 3, "status": 1, "hello": 1}
    sent = {kind: house.metrics.egress(kind, "grpc").n for kind in ("ack", "broadcast", "error")}
    assert sent == {"ack": 6, "broadcast": 1, "error": 1}


# -------------------------------------------------------------------- positions


@pytest.mark.parametrize(
    "fields",
    [
        {"latitude": 90.1},
        {"latitude": math.nan},
        {"longitude": -180.1},
        {"longitude": math.inf},
        {"bearing": math.nan},
        {"speed_mps": -math.inf},
    ],
    ids=str,
)
async def test_bad_coordinates_are_refused_and_change_nothing(house: House, fields: dict[str, float]) -> None:
    peer = await house.connect("peer", at())
    call = await house.connect("ann", at())
    peer.read()
    call.read()
    update = LocationUpdate(**{"latitude": 37.77, "longitude": -122.41, "sequence": 5, **fields})
    call.say(ClientEnvelope(location_update=update))
    envelopes = call.read()
    assert refused(envelopes, "BAD_REQUEST")
    assert envelopes[0].correlation_id == "5"
    assert peer.read() == []
    call.say(at())
    assert acks(call.read())[0].success


async def test_a_position_reaches_the_zones_others_and_not_its_sender(house: House) -> None:
    ann = await house.connect("ann", at())
    bob = await house.connect("bob", at(37.7799, -122.4199))
    far = await house.connect("far", at(37.78, -122.41))
    for call in (ann, bob, far):
        call.read()
    ann.say(at(37.775, -122.415, bearing=90.0, speed_mps=7.0))
    assert bodies(ann.read()) == ["ack"]
    assert far.read() == []
    (envelope,) = bob.read()
    event = envelope.broadcast_event
    assert (event.topic, event.user_id) == ("3777:-12241", "ann")
    assert len(event.payload) == 32


async def test_a_broadcast_is_encoded_once(house: House) -> None:
    ann = await house.connect("ann", at())
    others = [await house.connect(f"u{number}", at()) for number in range(3)]
    for call in others:
        call.read()
    ann.say(at())
    assert len({call.read()[0].lamport_time for call in others}) == 1


async def test_who_has_moved_on_hears_the_new_zone(house: House) -> None:
    ann = await house.connect("ann", at())
    bob = await house.connect("bob", at())
    bob.say(at(10.0, 10.0))
    bob.read()
    ann.say(at())
    assert bob.read() == []
    ann.say(at(10.0, 10.0))
    assert bodies(bob.read()) == ["broadcast_event"]


async def test_while_the_zones_lock_is_held_the_input_waits(house: House) -> None:
    ann = await house.connect("ann", at())
    ann.read()
    locks = [shard.lock for shard in house.context.broker._shards]
    for lock in locks:
        await lock.acquire()
    ann.say(at(37.771, sequence=1), at(10.0, 10.0, sequence=2), heartbeat(3))
    assert [ack.correlation_id for ack in acks(ann.read())] == ["1"]
    await wait_all_tasks_blocked()
    assert ann.held == 2
    for lock in locks:
        lock.release()
    await wait_all_tasks_blocked()
    assert [ack.correlation_id for ack in acks(ann.read())] == ["2", "3"]


# -------------------------------------------------------------------- who it is


async def test_anothers_user_id_is_refused(house: House) -> None:
    call = await house.connect("ann")
    for envelope in (heartbeat(user_id="bob"), at(user_id="bob"), status("AVAILABLE", user_id="bob")):
        call.say(envelope)
        assert refused(call.read(), "BAD_REQUEST")
    call.say(heartbeat(user_id="ann"))
    assert acks(call.read())[0].success


async def test_the_first_user_id_of_a_body_names_a_nameless_session(house: House) -> None:
    call = await house.connect(None, heartbeat(), at(), heartbeat(user_id="ann"))
    assert [ack.success for ack in acks(call.read())] == [True] * 3
    assert house.context.broker.session_of("ann") is not None
    assert set(house.context.dispatcher.users) == {"ann"}
    call.say(heartbeat(user_id="bob"))
    assert refused(call.read(), "BAD_REQUEST")


async def test_a_nameless_session_is_registered_at_once(house: House) -> None:
    call = await house.connect(None)
    assert house.active == 1
    (name,) = house.context.dispatcher.users
    assert len(name) == 36
    call.say(at(), status("LOOKING", "r"))
    assert acks(call.read())[1].success


@pytest.mark.parametrize("name", ["x" * (MAX_ID_CHARS + 1), "a\tb"])
async def test_a_name_that_cant_be_one_is_refused(house: House, name: str) -> None:
    call = await house.connect(None, heartbeat(user_id=name))
    assert refused(call.read(), "BAD_REQUEST")
    call.say(heartbeat(user_id="ann"))
    assert acks(call.read())[0].success


async def test_naming_waits_for_a_held_lock(house: House) -> None:
    call = await house.connect(None, at())
    call.read()
    locks = [shard.lock for shard in house.context.broker._shards]
    for lock in locks:
        await lock.acquire()
    call.say(at(user_id="ann", sequence=2), heartbeat(3, user_id="ann"))
    call.resume()  # as after a pull: the change is under way already
    await wait_all_tasks_blocked()
    assert acks(call.read()) == []
    for lock in locks:
        lock.release()
    await wait_all_tasks_blocked()
    assert [ack.correlation_id for ack in acks(call.read())] == ["2", "3"]
    assert set(house.context.dispatcher.users) == {"ann"}


async def test_naming_takes_over(house: House) -> None:
    older = await house.connect("ann", at(), status("AVAILABLE"))
    await house.connect(None, at(37.78), heartbeat(user_id="ann"))
    await older.over.wait()
    assert code(older) == "ABORTED SESSION_TAKEN_OVER"
    assert house.context.dispatcher.users["ann"].lat == 37.78
    assert len(house.context.dispatcher.free) == 1


# -------------------------------------------------------------------- statuses


@pytest.mark.parametrize("value", [0, 8, 99])
async def test_a_status_that_cant_be_said_is_refused(house: House, value: int) -> None:
    update = RideStatusUpdate(status=value, ride_id="r")  # type: ignore[arg-type]
    call = await house.connect("ann", ClientEnvelope(ride_status_update=update))
    envelopes = call.read()
    assert refused(envelopes, "BAD_REQUEST")
    assert envelopes[0].correlation_id == "r"


async def test_looking_without_a_place_is_refused(house: House) -> None:
    call = await house.connect("ann", status("LOOKING", "r"))
    assert refused(call.read(), "BAD_REQUEST")


async def test_looking_without_an_id_is_acked_with_the_servers(house: House) -> None:
    call = await house.connect("ann", at(), status("LOOKING"), status("LOOKING"), status("LOOKING", message_id="m"))
    _, first, repeat, named = acks(call.read())
    assert first.correlation_id
    assert repeat.correlation_id == first.correlation_id
    assert named.correlation_id == "m"


async def test_an_illegal_transition_is_refused(house: House) -> None:
    call = await house.connect("ann", status("CANCELLED", "r", message_id="m"))
    envelopes = call.read()
    assert refused(envelopes, "ILLEGAL_TRANSITION")
    assert envelopes[0].correlation_id == "m"


# -------------------------------------------------------------------- hello


async def test_hello_is_answered_by_welcome(house: House) -> None:
    call = await house.connect("dan", hello(message_id="m"), heartbeat())
    welcome, ack = call.read()
    assert welcome.correlation_id == "m"
    assert welcome.welcome.session_id
    assert welcome.welcome.heartbeat_interval_ms == 5_000
    assert welcome.welcome.heartbeat_timeout_ms == 15_000
    assert ack.ack.success


async def test_a_later_hello_is_an_error_and_changes_nothing(house: House) -> None:
    call = await house.connect("dan", heartbeat(), hello(Hello.ROLE_RIDER, message_id="m"), status("AVAILABLE"))
    _, error, ack = call.read()
    assert (error.error.code, error.error.temporary, error.correlation_id) == ("BAD_REQUEST", False, "m")
    assert ack.ack.success


async def test_a_plate_of_a_page_is_an_error(house: House) -> None:
    call = await house.connect("dan", hello(plate="x" * 129))
    assert bodies(call.read()) == ["error"]


@pytest.mark.parametrize(
    ("role", "wrong"),
    [
        (Hello.ROLE_RIDER, ["AVAILABLE", "OFFLINE", "EN_ROUTE_TO_PICKUP", "AT_PICKUP", "ON_TRIP"]),
        (Hello.ROLE_DRIVER, ["LOOKING", "CANCELLED"]),
    ],
)
async def test_hello_fixes_the_role(house: House, role: Hello.Role, wrong: list[str]) -> None:
    call = await house.connect("dan", hello(role), at())
    call.read()
    for name in wrong:
        call.say(status(name))
        assert refused(call.read(), "BAD_REQUEST")


async def test_the_plate_of_a_nameless_driver_comes_along(house: House) -> None:
    await house.connect(None, hello(Hello.ROLE_DRIVER, "XY 1"), heartbeat(user_id="dan"))
    assert house.context.dispatcher.users["dan"].plate == "XY 1"
