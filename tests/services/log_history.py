"""Random histories of producers, a group's members, commits and crashes, and what must hold in all of them.

In the manner of Jepsen's Kafka workload (https://github.com/jepsen-io/redpanda): a lost write, a duplicate, an
inconsistent offset (one place, two records), a backward or a skipping poll, and a partition with two owners are looked
for at every step, in what clients see.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.errors import LogError
from ride_trio.eventlog.log import EventLog
from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.services.log_consume import Consumer
from ride_trio.services.log_groups import GroupConsumer
from ride_trio.services.log_produce import ProduceStream, Producing
from ride_trio_loadgen.log_ledger import LogLedger, record_number
from ride_trio_loadgen.tally import ErrorCounts
from tests.services.log_house import LogCall, LogHouse

TOPIC = "t"
PARTITIONS = 5
OPEN = float("inf")


class Producer:
    """An idempotent one that numbers its records over all partitions, and loses its connection now and then."""

    def __init__(self, history: History, number: int) -> None:
        self.history = history
        self.number = number
        self.places: list[int] = []  # the partition of each record
        self.answered = 0
        self.call: LogCall | None = None
        self.scope = trio.CancelScope()

    async def connect(self) -> None:
        self.call, self.scope = LogCall(pb.ProduceMessageResponse), trio.CancelScope()
        self.history.nursery.start_soon(self._serve, self.call, self.scope)
        await wait_all_tasks_blocked()
        self.call.say(*[self._request(sequence) for sequence in range(self.answered, len(self.places))])

    async def _serve(self, call: LogCall, scope: trio.CancelScope) -> None:
        with scope:
            await ProduceStream(Producing(self.history.log), call).run()

    def send(self, count: int) -> None:
        assert self.call is not None
        for _ in range(count):
            self.places.append(self.history.random.randrange(PARTITIONS))
            self.call.say(self._request(len(self.places) - 1))

    async def collect(self) -> None:
        """Take the answers that have come."""
        assert self.call is not None
        for answer in await self.call.answers():
            assert not answer.error, answer.error
            assert answer.partition == self.places[self.answered]
            self.history.ledger.acked(answer.partition, answer.offset, record_number(self.number, self.answered))
            self.answered += 1

    async def lose_connection(self) -> None:
        """Answers that are under way are lost."""
        self.scope.cancel()
        await wait_all_tasks_blocked()

    def _request(self, sequence: int) -> pb.ProduceMessageRequest:
        value = record_number(self.number, sequence).to_bytes(8, "big")
        return pb.ProduceMessageRequest(
            topic=TOPIC,
            partition=self.places[sequence],
            record=pb.Record(value=value),
            required_acks=-1,
            producer_id=self.number + 1,
            sequence=sequence,
        )


class Member:
    """One member of the group, from its own side: what it was told, and where it is."""

    def __init__(self, history: History, name: str) -> None:
        self.history = history
        self.name = name
        self.call = LogCall(pb.ConsumeMessagesResponse)
        self.scope = trio.CancelScope()
        self.generation = 0
        self.member_id = ""
        self.next: dict[int, int] = {}  # by partition that it has: the offset that has to come
        self.failed: LogError | None = None
        self.consumer: GroupConsumer

    async def join(self) -> None:
        self.history.nursery.start_soon(self._serve)
        await wait_all_tasks_blocked()

    async def _serve(self) -> None:
        request = pb.ConsumeMessagesRequest(group_id="g", client_id=self.name, topic=TOPIC)
        self.consumer = GroupConsumer(self.history.log, self.call, request)
        with self.scope:
            try:
                await self.consumer.run()
            except LogError as error:
                self.failed = error

    async def poll(self) -> None:
        for response in await self.call.answers():
            if response.generation:
                self._told(response)
            else:
                self._read(response)

    def _told(self, response: pb.ConsumeMessagesResponse) -> None:
        assert response.generation >= self.generation
        self.generation, self.member_id = response.generation, response.member_id
        for place in response.revoked:
            del self.next[place.partition]
        for place in response.assigned:
            assert place.partition not in self.next
            self.next[place.partition] = place.offset
            self.history.begins_at(place.partition, place.offset, response.generation)
        for partition in self.next:
            life = self.history.crashes  # members are none of the next one, so generations need not be told apart
            owner = self.history.owners.setdefault((life, self.generation, partition), self.name)
            assert owner == self.name, f"partition {partition} has two owners in generation {self.generation}"

    def _read(self, response: pb.ConsumeMessagesResponse) -> None:
        partition = response.partition
        assert partition in self.next, "records of a partition that it does not have"
        for record in response.records:
            assert record.offset == self.next[partition], "a poll that goes back, or skips"
            self.next[partition] = record.offset + 1
            seen = self.history.seen.setdefault((partition, record.offset), record.value)
            assert seen == record.value, "one place, two records"

    async def commit(self) -> None:
        """Commit where it is, as a client does: with what it was told last, which may be old."""
        offsets = {(TOPIC, partition): offset for partition, offset in self.next.items()}
        try:
            await self.history.log.groups.commit("g", offsets, self.member_id, self.generation)
        except LogError as error:
            self.history.refused.add(error.code)
        else:
            for (_, partition), offset in offsets.items():
                assert offset >= self.history.committed.get(partition, 0), "a commit that goes back was accepted"
                self.history.committed[partition] = offset

    async def leave(self) -> None:
        self.scope.cancel()
        await wait_all_tasks_blocked()


class History:
    """One random history.

    Args:
        nursery: Runs the log and its calls.
        path: For data directories: one, and another one after each crash.
        seed: Of what happens.
    """

    log: EventLog

    def __init__(self, nursery: trio.Nursery, path: Path, seed: int) -> None:
        self.nursery = nursery
        self.random = Random(seed)
        self.errors = ErrorCounts()
        self.ledger = LogLedger([0] * PARTITIONS, self.errors)
        self.owners: dict[tuple[int, int, int], str] = {}
        self.seen: dict[tuple[int, int], bytes] = {}
        self.committed: dict[int, int] = {}
        self.refused: set[str] = set()
        self.crashes = 0
        self._path = path
        self._names = 0
        self.producers = [Producer(self, number) for number in range(3)]
        self.members: list[Member] = []

    def begins_at(self, partition: int, offset: int, generation: int) -> None:
        """A member has read where it begins; a slow one may read it when the partition is another's already."""
        committed = self.committed.get(partition, 0)
        if generation == self.log.groups.describe("g").generation:
            assert offset == committed, f"partition {partition} begins at {offset}, committed is {committed}"
        assert offset <= committed

    async def start(self) -> None:
        house = LogHouse(self.nursery, self._path / str(self.crashes), segment_bytes=4_096, cache_bytes=20_000)
        self.log = (await house.start()).log
        if TOPIC not in self.log.topics:
            await self.log.create_topic(TOPIC, PARTITIONS)
        for producer in self.producers:
            await producer.connect()

    async def crash(self) -> None:
        """The server dies: what its files have at this moment is what the next one finds."""
        for producer in self.producers:
            await producer.lose_connection()
        for member in self.members:
            await member.poll()
            await member.leave()
        self.members.clear()
        before = self._path / str(self.crashes)
        self.crashes += 1
        shutil.copytree(before, self._path / str(self.crashes))
        await self.start()

    async def join(self) -> None:
        if len(self.members) < 7:
            self._names += 1
            member = Member(self, f"m{self._names}")
            self.members.append(member)
            await member.join()

    async def run(self, steps: int) -> None:
        """So many random steps, and then all is read and compared."""
        await self.start()
        choices: list[tuple[int, Callable[[], Any]]] = [
            (30, self._produce),
            (25, self._poll),
            (15, self._commit),
            (8, self.join),
            (6, self._leave),
            (6, self._shut_or_open),
            (6, self._reconnect),
            (2, self.crash),
        ]
        weights, actions = zip(*choices, strict=True)
        for _ in range(steps):
            await self.random.choices(actions, weights)[0]()
            self._check_owners()
        await self._finish()

    def _check_owners(self) -> None:
        places = [c.partition.number for m in self.members if m.failed is None for c in m.consumer._cursors]
        assert len(places) == len(set(places)), "two members are given one partition's records"

    async def _produce(self) -> None:
        producer = self.random.choice(self.producers)
        producer.send(self.random.randrange(1, 8))
        if self.random.random() < 0.7:
            await producer.collect()

    async def _poll(self) -> None:
        for member in self.random.sample(self.members, k=min(len(self.members), 3)):
            await member.poll()

    async def _commit(self) -> None:
        if self.members:
            await self.random.choice(self.members).commit()

    async def _leave(self) -> None:
        if self.members:
            member = self.members.pop(self.random.randrange(len(self.members)))
            await member.leave()

    async def _shut_or_open(self) -> None:
        if self.members:
            member = self.random.choice(self.members)
            member.call.room = self.random.choice((0, 100, 1_000, OPEN))
            member.consumer.wake()

    async def _reconnect(self) -> None:
        producer = self.random.choice(self.producers)
        await producer.lose_connection()
        await producer.connect()

    async def _finish(self) -> None:
        for producer in self.producers:
            await producer.collect()
            assert producer.answered == len(producer.places)
        for number in range(PARTITIONS):
            await self._read_all(number)
        assert self.ledger.unacknowledged == 0
        self.ledger.finish()
        assert self.errors.errors == {}

    async def _read_all(self, number: int) -> None:
        partition = self.log.topic(TOPIC).partition(number)
        call, scope = LogCall(pb.ConsumeMessagesResponse), trio.CancelScope()

        async def read() -> None:
            consumer = Consumer(self.log, call, pb.ConsumeMessagesRequest(topic=TOPIC))
            consumer.add(self.log.cursor(partition, 0))
            with scope:
                await consumer.run()

        self.nursery.start_soon(read)
        for response in await call.answers():
            records = [(record.offset, record.value) for record in response.records]
            for offset, value in records:
                assert self.seen.get((number, offset), value) == value
            self.ledger.read(number, [(offset, int.from_bytes(value, "big")) for offset, value in records])
        scope.cancel()
