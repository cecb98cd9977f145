"""A journal on a log, in a test, and what consumers would read of it."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from ride_trio.eventlog import EventLog
from ride_trio.matching import Phase, Ride, User
from ride_trio.pb.ride.v1.ride_pb2 import LocationUpdate
from ride_trio.pb.takhin.v1.takhin_pb2 import Record
from ride_trio.services import RideJournal
from tests.eventlog.logs import read, records
from tests.services.log_house import LogHouse


class Desk:
    """A journal and its log.

    Args:
        nursery: They run in it.
        path: The data directory.
        stuck: Commits get to the disk when the test calls `to_disk`.
        locations: Positions are written.
        options: Of `LogOptions`.
    """

    log: EventLog
    journal: RideJournal

    def __init__(
        self, nursery: trio.Nursery, path: Path, *, stuck: bool = False, locations: bool = True, **options: int
    ) -> None:
        self.house = LogHouse(nursery, path, stuck=stuck, **options)
        self.metrics = self.house.metrics
        self._nursery = nursery
        self._locations = locations

    async def open(self) -> Desk:
        """Start the log; the journal is there, but does not run."""
        self.log = (await self.house.start()).log
        self.journal = RideJournal(self.log, locations=self._locations)
        return self

    async def start(self) -> Desk:
        await self.open()
        await self._nursery.start(self.journal.run)
        await wait_all_tasks_blocked()
        return self

    async def to_disk(self) -> None:
        """What a stuck writer has been given, and what comes of it."""
        await wait_all_tasks_blocked()
        writer = self.house.writer
        while writer.given:
            writer.write()
            if writer.unsynced:
                writer.sync()
            await wait_all_tasks_blocked()

    def dropped(self, topic: str) -> int:
        return self.metrics.journal_dropped(topic).n

    @property
    def kept(self) -> int:
        return self.metrics.journal_queue.n

    # ------------------------------------------------------------------ what happens

    def tell(self, *numbers: int) -> None:
        """Something of the rider "ann" happens."""
        for number in numbers:
            self.journal.ride("no_driver", ride_of("ann", f"r{number}"))

    def drive(self, *numbers: int) -> None:
        """The driver "dan" is somewhere."""
        dan = User("dan")
        dan.phase = Phase.FREE
        for number in numbers:
            self.journal.position(dan, LocationUpdate(latitude=float(number)))

    async def told(self) -> list[int]:
        """The numbers of `tell`, as they were written."""
        return [int(event["ride_id"].removeprefix("r")) for event in await events(self.log, "ride.matches")]

    async def driven(self) -> list[float]:
        """The numbers of `drive`, as they were written."""
        return [event["latitude"] for event in await events(self.log, "ride.locations")]


def ride_of(rider: str, ride_id: str, driver: str | None = None, eta_s: int = 0) -> Ride:
    ride = Ride(ride_id, "c", User(rider), arrival=1, asked_at=0.0, deadline=30.0)
    ride.driver = None if driver is None else User(driver)
    ride.eta_s = eta_s
    return ride


async def stored(log: EventLog, topic: str) -> list[Record]:
    """All records of a topic that are on disk, a partition after the other."""
    found = []
    for partition in log.topic(topic).partitions:
        cursor = log.cursor(partition, 0)
        while cursor.is_behind:
            found.append(records(await read(cursor)))
    return list(chain.from_iterable(found))


async def events(log: EventLog, topic: str) -> list[dict[str, Any]]:
    """Their values."""
    return [json.loads(record.value) for record in await stored(log, topic)]
