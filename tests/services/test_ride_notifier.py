"""Delivery of decisions: to the user's present session, or not at all."""

import pytest
import trio

from ride_trio.errors import SlowConsumerError
from ride_trio.matching import Ride, User
from ride_trio.metrics import RideMetrics
from ride_trio.pb.ride.v1.ride_pb2 import ServerEnvelope
from ride_trio.services.ride_counts import RideCounts
from ride_trio.services.ride_envelopes import Envelopes
from ride_trio.services.ride_notifier import RideNotifier
from ride_trio.sessions import LOSSLESS_PLACES, Broker, Outbox, Session


class Setup:
    def __init__(self) -> None:
        self.metrics = RideMetrics()
        self.counts = RideCounts(self.metrics, "grpc")
        self.broker = Broker(shard_count=2, max_sessions=10)
        self.notifier = RideNotifier(self.broker, Envelopes(), {"grpc": self.counts})
        self.rider, self.driver = User("ann"), User("dan")
        self.ride = Ride("r", "c", self.rider, arrival=1, asked_at=0.0, deadline=30.0)
        self.ride.driver = self.driver

    async def session(self, user_id: str) -> Session:
        session = Session(Outbox(1, self.counts.outbox), trio.current_time)
        await self.broker.register(session, user_id)
        return session


@pytest.fixture
async def setup() -> Setup:
    return Setup()


def received(session: Session) -> ServerEnvelope:
    return ServerEnvelope.FromString(session.outbox.pull())


async def test_a_match_answers_the_riders_request_and_nothing_of_the_drivers(setup: Setup) -> None:
    ann, dan = await setup.session("ann"), await setup.session("dan")
    assert setup.notifier.matched(setup.rider, setup.ride)
    assert setup.notifier.matched(setup.driver, setup.ride)
    assert [received(session).correlation_id for session in (ann, dan)] == ["c", ""]
    assert setup.metrics.egress("match_event", "grpc").n == 2


async def test_who_has_no_session_or_an_ending_one_cant_be_told(setup: Setup) -> None:
    assert not setup.notifier.matched(setup.rider, setup.ride)
    ann = await setup.session("ann")
    ann.finish()
    assert not setup.notifier.matched(setup.rider, setup.ride)
    setup.notifier.no_driver(setup.ride)
    setup.notifier.driver_lost(setup.ride)
    assert ann.outbox.pull() is None


async def test_who_has_no_place_is_ended_as_a_slow_consumer(setup: Setup) -> None:
    ann = await setup.session("ann")
    for _ in range(1 + LOSSLESS_PLACES):
        ann.outbox.push(b"")
    assert not setup.notifier.matched(setup.rider, setup.ride)
    assert isinstance(ann.ending, SlowConsumerError)
    assert setup.metrics.dropped("slow_consumer").n == 1
    assert setup.metrics.egress("match_event", "grpc").n == 0


@pytest.mark.parametrize("answer", ["matched", "no_driver"])
async def test_an_answer_lets_a_half_closed_rider_go(setup: Setup, answer: str) -> None:
    ann = await setup.session("ann")
    ann.half_closed = True
    if answer == "matched":
        setup.notifier.matched(setup.rider, setup.ride)
    else:
        setup.notifier.no_driver(setup.ride)
    assert ann.over
    assert ann.ending is None


async def test_a_lost_driver_is_news_and_no_answer(setup: Setup) -> None:
    ann = await setup.session("ann")
    ann.half_closed = True
    setup.notifier.driver_lost(setup.ride)
    assert not ann.over
    ack = received(ann).ack
    assert (ack.correlation_id, ack.success) == ("c", True)
