"""The outbound buffer: bounded, in order, and every drop counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.metrics import RideMetrics
from ride_trio.sessions import LOSSLESS_PLACES, Outbox
from tests.sessions.outboxes import make_outbox


def pulled(outbox: Outbox, at_most: int = 1_000_000) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < at_most and (data := outbox.pull()) is not None:
        found.append(data)
    return found


class Reader:
    """A connection that can take `window` messages when it is asked to drain."""

    def __init__(self, outbox: Outbox, window: int = 0) -> None:
        self.outbox = outbox
        self.window = window
        self.wakes = 0
        self.drains = 0
        self.got: list[bytes] = []
        outbox.connect(self.wake, self.drain)

    def wake(self) -> None:
        self.wakes += 1

    def drain(self) -> None:
        self.drains += 1
        got = pulled(self.outbox, self.window)
        self.window -= len(got)
        self.got += got


async def test_first_in_first_out() -> None:
    outbox = make_outbox()
    assert outbox.push(b"1")
    outbox.push_broadcast("a", b"2")
    assert outbox.push(b"3")
    assert pulled(outbox) == [b"1", b"2", b"3"]


async def test_it_is_empty_when_all_is_pulled() -> None:
    outbox = make_outbox(1)
    assert outbox.is_empty
    outbox.push(b"1")
    outbox.push(b"2")
    assert outbox.pull() == b"1"
    assert not outbox.is_empty
    assert outbox.pull() == b"2"
    assert outbox.is_empty


async def test_the_connection_is_woken_once_until_all_is_pulled() -> None:
    outbox = make_outbox()
    reader = Reader(outbox)
    outbox.push(b"1")
    outbox.push(b"2")
    assert reader.wakes == 1
    assert outbox.pull() == b"1"
    outbox.push(b"3")
    assert reader.wakes == 1
    pulled(outbox)
    outbox.push_broadcast("a", b"4")
    assert reader.wakes == 2


async def test_a_full_channel_is_drained_before_it_counts_as_full() -> None:
    outbox = make_outbox(2)
    reader = Reader(outbox, window=10)
    for number in range(5):
        assert outbox.push(b"%d" % number)
    assert reader.got + pulled(outbox) == [b"%d" % number for number in range(5)]


async def test_a_stuck_reader_is_asked_once_not_at_every_message() -> None:
    outbox = make_outbox(2)
    reader = Reader(outbox, window=0)
    for number in range(100):
        outbox.push_broadcast(f"user {number % 3}", b"")
    assert reader.drains == 1


async def test_only_the_newest_of_a_sender_waits_and_takes_the_newest_place() -> None:
    metrics = RideMetrics()
    outbox = make_outbox(2, metrics)
    for data in (b"x", b"y"):
        outbox.push(data)
    for sender, data in (("a", b"a1"), ("b", b"b1"), ("a", b"a2")):
        outbox.push_broadcast(sender, data)
    assert pulled(outbox) == [b"x", b"y", b"b1", b"a2"]
    assert metrics.dropped("conflated").n == 1
    assert metrics.egress("broadcast", "grpc").n == 2


async def test_the_oldest_broadcast_goes_when_too_many_senders_wait() -> None:
    metrics = RideMetrics()
    outbox = make_outbox(2, metrics)
    for data in (b"x", b"y", b"z"):  # the third waits, and is not for dropping
        assert outbox.push(data)
    for sender in "abc":
        outbox.push_broadcast(sender, sender.encode())
    assert pulled(outbox) == [b"x", b"y", b"z", b"b", b"c"]
    assert metrics.dropped("queue_full").n == 1


async def test_what_may_not_be_lost_has_a_few_places_behind_a_full_channel() -> None:
    outbox = make_outbox(1)
    assert outbox.push(b"")
    assert outbox.has_room()
    for place in range(LOSSLESS_PLACES):
        assert outbox.push(b"%d" % place)
        assert not outbox.has_room()
    assert not outbox.push(b"one too many")
    assert len(pulled(outbox, 1)) == 1
    assert outbox.push(b"again")


async def test_a_reader_slower_than_its_zone_still_gets_its_acks() -> None:
    outbox = make_outbox(4)
    acks: list[bytes] = []
    for turn in range(100):
        for sender in "abcdefgh":
            outbox.push_broadcast(sender, b"position")
        if outbox.has_room():
            assert outbox.push(b"ack %d" % turn)
        acks += [data for data in pulled(outbox, 6) if data.startswith(b"ack")]
    assert len(acks) > 30


async def test_a_closed_outbox_counts_what_was_lost_and_takes_nothing() -> None:
    metrics = RideMetrics()
    outbox = make_outbox(2, metrics)
    reader = Reader(outbox)
    for sender in "abc":
        outbox.push_broadcast(sender, b"")
    outbox.close()
    outbox.close()
    assert metrics.dropped("session_ended").n == 3
    assert not outbox.push(b"")
    assert not outbox.has_room()
    outbox.push_broadcast("a", b"")
    assert pulled(outbox) == []
    assert reader.wakes == 1


async def test_the_depth_is_observed_when_a_drain_begins() -> None:
    metrics = RideMetrics()
    outbox = make_outbox(2, metrics)
    for sender in "abc":
        outbox.push_broadcast(sender, b"")
    pulled(outbox, 1)
    pulled(outbox)
    pulled(outbox)
    assert metrics.queue_depth.total == 3
    assert sum(metrics.queue_depth.counts) == 1


async def test_statistics() -> None:
    outbox = make_outbox(2)
    for data in (b"1", b"2", b"3"):
        outbox.push(data)
    outbox.push_broadcast("a", b"")
    assert repr(outbox) == ("<Outbox OutboxStatistics(queued=2, capacity=2, overflow=2, lossless_in_overflow=1)>")


OPERATIONS = st.lists(
    st.one_of(
        st.just(("ack", "")),
        st.sampled_from("abcdef").map(lambda sender: ("broadcast", sender)),
        st.integers(1, 5).map(lambda count: ("pull", count)),
        st.integers(1, 3).map(lambda count: ("open", count)),
    ),
    max_size=80,
)


@pytest.mark.parametrize("capacity", [1, 3])
@given(operations=OPERATIONS)
def test_whatever_happens_it_stays_bounded_and_in_order_and_loses_no_ack(
    capacity: int, operations: list[tuple[str, str | int]]
) -> None:
    metrics = RideMetrics()
    outbox = make_outbox(capacity, metrics)
    reader = Reader(outbox)
    acks, broadcasts = [], 0
    for time, (what, value) in enumerate(operations):
        data = b"%06d" % time
        match what, value:
            case "ack", _:
                if outbox.push(data):
                    acks.append(data)
            case "broadcast", str():
                broadcasts += 1
                outbox.push_broadcast(value, data)
            case "pull", int():
                reader.got += pulled(outbox, value)
            case "open", int():
                reader.window += value
        statistics = outbox.statistics()
        assert 0 <= outbox.free <= capacity
        assert statistics.overflow <= capacity + LOSSLESS_PLACES
        assert not (statistics.overflow and outbox.free)
    got = reader.got + pulled(outbox)
    assert got == sorted(got)
    assert set(acks) <= set(got)
    lost = metrics.dropped("conflated").n + metrics.dropped("queue_full").n
    assert len(got) == len(acks) + broadcasts - lost
