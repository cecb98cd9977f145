"""Who is registered, who shares a zone, and what locks are for."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import ConnectionLimitError, SessionTakenOverError, ShutdownError
from ride_trio.sessions import Broker, Session, cell_of
from tests.sessions.outboxes import make_outbox

HERE, THERE = cell_of(37.77, -122.41), cell_of(37.80, -122.41)


def make_broker(max_sessions: int = 10, shard_count: int = 4) -> Broker:
    return Broker(shard_count=shard_count, max_sessions=max_sessions)


async def registered(broker: Broker, user_id: str, cell: int | None = None) -> Session:
    session = Session(make_outbox(), trio.current_time)
    await broker.register(session, user_id)
    if cell is not None:
        assert broker.try_move(session, cell)
    return session


def inbox(session: Session) -> list[bytes]:
    found = []
    while (data := session.outbox.pull()) is not None:
        found.append(data)
    return found


async def test_a_session_is_found_until_it_leaves() -> None:
    broker = make_broker()
    ann = await registered(broker, "ann", HERE)
    assert broker.session_of("ann") is ann
    assert broker.statistics().sessions == 1
    assert broker.leave(ann)
    assert broker.session_of("ann") is None
    statistics = broker.statistics()
    assert (statistics.sessions, statistics.zones) == (0, 0)
    assert not broker.leave(ann)


async def test_a_full_house_refuses_the_next_one_but_not_a_takeover() -> None:
    broker = make_broker(max_sessions=1)
    older = await registered(broker, "ann")
    with pytest.raises(ConnectionLimitError):
        await registered(broker, "bob")
    newer = await registered(broker, "ann")
    assert broker.session_of("ann") is newer
    assert isinstance(older.ending, SessionTakenOverError)
    broker.leave(newer)
    await registered(broker, "bob")


async def test_a_newer_session_takes_the_zone_and_the_older_one_leaves_it_alone() -> None:
    broker = make_broker()
    older = await registered(broker, "ann", HERE)
    bob = await registered(broker, "bob", HERE)
    newer = await registered(broker, "ann")
    broker.publish(bob, b"1")
    assert not broker.leave(older)
    assert broker.session_of("ann") is newer
    broker.publish(bob, b"2")
    assert (inbox(older), inbox(newer)) == ([], [b"1", b"2"])


async def test_a_broadcast_reaches_the_others_of_the_zone_only() -> None:
    broker = make_broker()
    ann, bob, cat = [await registered(broker, name, HERE) for name in ("ann", "bob", "cat")]
    dan = await registered(broker, "dan", THERE)
    eve = await registered(broker, "eve")
    broker.publish(ann, b"1")
    broker.publish(eve, b"from nowhere")
    assert [inbox(session) for session in (ann, bob, cat, dan, eve)] == [[], [b"1"], [b"1"], [], []]


async def test_moving_changes_the_zone() -> None:
    broker = make_broker()
    ann = await registered(broker, "ann", HERE)
    bob = await registered(broker, "bob", HERE)
    assert broker.try_move(bob, THERE)
    broker.publish(ann, b"here")
    assert inbox(bob) == []
    assert broker.try_move(ann, THERE)
    broker.publish(ann, b"there")
    assert inbox(bob) == [b"there"]
    assert broker.statistics().zones == 1


async def test_a_nameless_session_gets_its_name_and_takes_over() -> None:
    broker = make_broker()
    nameless = await registered(broker, "0000", HERE)
    older = await registered(broker, "ann", THERE)
    assert broker.try_rename(nameless, "ann")
    assert nameless.user_id == "ann"
    assert nameless.zone is not None
    assert nameless.zone.cell == HERE
    assert broker.session_of("0000") is None
    assert broker.session_of("ann") is nameless
    assert isinstance(older.ending, SessionTakenOverError)
    assert broker.statistics().sessions == 1


async def test_while_a_lock_is_held_nothing_changes_until_it_is_free() -> None:
    broker = make_broker(shard_count=1)
    ann = await registered(broker, "ann", HERE)
    (shard,) = broker._shards
    async with trio.open_nursery() as nursery, shard.lock:
        assert not broker.try_move(ann, THERE)
        assert not broker.try_rename(ann, "bob")
        nursery.start_soon(broker.move, ann, THERE)
        nursery.start_soon(broker.rename, ann, "bob")
        await wait_all_tasks_blocked()
        assert ann.zone is not None
        assert (ann.user_id, ann.zone.cell) == ("ann", HERE)
    assert ann.zone is not None
    assert (ann.user_id, ann.zone.cell) == ("bob", THERE)


async def test_who_waits_for_a_lock_and_ends_meanwhile_changes_nothing() -> None:
    broker = make_broker(shard_count=1)
    ann = await registered(broker, "ann", HERE)
    (shard,) = broker._shards
    async with trio.open_nursery() as nursery, shard.lock:
        nursery.start_soon(broker.move, ann, THERE)
        nursery.start_soon(broker.rename, ann, "bob")
        await wait_all_tasks_blocked()
        broker.leave(ann)
    statistics = broker.statistics()
    assert (statistics.sessions, statistics.zones) == (0, 0)


async def test_two_shards_are_locked_in_one_order() -> None:
    broker = make_broker(shard_count=2)
    other = HERE + 1  # of the other shard
    ann, bob = await registered(broker, "ann", HERE), await registered(broker, "bob", other)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(broker.move, ann, other)
                nursery.start_soon(broker.move, bob, HERE)


async def test_waiting_for_a_lock_can_be_cancelled() -> None:
    broker = make_broker(shard_count=1)
    (shard,) = broker._shards
    session = Session(make_outbox(), trio.current_time)
    async with shard.lock:
        with trio.move_on_after(0):
            await broker.register(session, "ann")
    assert not session.registered
    assert broker.statistics().sessions == 0


async def test_drain_ends_everybody_and_returns_when_the_last_has_left() -> None:
    broker = make_broker()
    sessions = [await registered(broker, name) for name in ("ann", "bob", "cat")]
    drained = trio.Event()

    async def drain() -> None:
        await broker.drain()
        drained.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        await wait_all_tasks_blocked()
        assert [type(session.ending) for session in sessions] == [ShutdownError] * 3
        for session in sessions:
            assert not drained.is_set()
            broker.leave(session)
    assert drained.is_set()
    with pytest.raises(ShutdownError):
        await registered(broker, "dan")


async def test_draining_an_empty_broker_returns_at_once() -> None:
    await make_broker().drain()


async def test_the_broker_explains_itself() -> None:
    broker = make_broker()
    await registered(broker, "ann", HERE)
    assert repr(broker) == ("<Broker BrokerStatistics(sessions=1, zones=1, shards=4, fullest_shard=1, draining=False)>")
    assert any(repr(shard).endswith("1 sessions, 1 zones>") or "1 zones" in repr(shard) for shard in broker._shards)


async def test_all_sessions_and_zones_can_be_looked_at() -> None:
    broker = make_broker()
    ann, bob = await registered(broker, "ann", HERE), await registered(broker, "bob", HERE)
    carl = await registered(broker, "carl", THERE)
    await registered(broker, "nowhere")
    assert {session.user_id for session in broker.sessions()} == {"ann", "bob", "carl", "nowhere"}
    assert {zone.cell: zone.members for zone in broker.zones()} == {HERE: {ann, bob}, THERE: {carl}}
