"""The bytes of a load on the log: requests to produce, and what their records say.

A record's value begins with three numbers, big-endian: the run (8 bytes), the record's number (8, see `log_ledger`) and
when it was sent or due to be (a double, seconds of the trio clock; only this process can make anything of it). The rest
is random and the same in every record of a run.

A request is put together around its value, because protobuf reads messages that are written one behind the other as
one message: what is constant is serialized once. That is 0.3 us a request; through a message object it is 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from struct import Struct

from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, Record
from ride_trio_loadgen.log_ledger import FOREIGN, record_number

_HEAD = Struct(">QQd")
_pack, _unpack_from = _HEAD.pack, _HEAD.unpack_from
# Run, number (FOREIGN if it is not one of this run's records, whole), when it was sent.
Head = tuple[int, int, float]
# Of a record's value, bytes.
SMALLEST_RECORD_BYTES = _HEAD.size
# A producer stays with a partition for so much, as Kafka's do with records without a key (its batch.size).
STICKY_BYTES = 16_384
# A run's producers have the ids from `run_id << _PRODUCER_BITS` on; 0 would be none.
_PRODUCER_BITS = 24


class Values:
    """The values of a run's records.

    Args:
        run_id: what tells them from others'; 1 to 2^32 - 1.
        record_bytes: of each, at least SMALLEST_RECORD_BYTES.
        seed: of the random part.
    """

    def __init__(self, run_id: int, record_bytes: int, seed: int) -> None:
        self.run_id = run_id
        self.record_bytes = record_bytes
        self.rest = Random(seed).randbytes(record_bytes - _HEAD.size)

    def read(self, values: list[bytes]) -> list[Head]:
        """How each value begins, after a look at all of it. One of our run with the number FOREIGN is damaged."""
        whole, rest, run_id = self.record_bytes, self.rest, self.run_id
        heads = [_unpack_from(value) for value in values if len(value) == whole and value.endswith(rest)]
        if len(heads) == len(values) and all(head[0] == run_id for head in heads):
            return heads
        return [self._read_one(value) for value in values]

    def _read_one(self, value: bytes) -> Head:
        if len(value) < _HEAD.size:
            return 0, FOREIGN, 0.0
        run_id, number, sent_s = _unpack_from(value)
        if run_id == self.run_id and len(value) == self.record_bytes and value.endswith(self.rest):
            return run_id, number, sent_s
        return run_id, FOREIGN, sent_s


class Requests:
    """Serialized ProduceMessageRequests for the records of a run.

    Args:
        topic: its name.
        partitions: how many it has; a producer goes round them from its own number on, with STICKY_BYTES for each.
        acks: `required_acks`.
        values: of the records.
        idempotent: whether they carry the producer's id and the record's sequence.
    """

    def __init__(self, topic: str, partitions: int, acks: int, values: Values, *, idempotent: bool) -> None:
        self.partitions = partitions
        self._stay = max(1, STICKY_BYTES // values.record_bytes)  # records
        self._run_id = values.run_id
        self._heads = [_head(topic, partition, values.record_bytes) for partition in range(partitions)]
        self._rest = values.rest + ProduceMessageRequest(required_acks=acks).SerializeToString()
        self._identity = ProduceMessageRequest() if idempotent else None

    def partition(self, producer: int, sequence: int) -> int:
        """Where a producer's record goes."""
        return (producer + sequence // self._stay) % self.partitions

    def encode(self, producer: int, first: int, times_s: Iterable[float]) -> list[bytes]:
        """The requests for a producer's records from `first` on, one for each of the times when they were sent."""
        heads, count, run_id, rest = self._heads, self.partitions, self._run_id, self._rest
        stay, number = self._stay, record_number(producer, 0)
        requests = [
            heads[(producer + sequence // stay) % count] + _pack(run_id, number + sequence, sent_s) + rest
            for sequence, sent_s in enumerate(times_s, first)
        ]
        return requests if self._identity is None else self._identified(self._identity, producer, first, requests)

    def _identified(
        self, identity: ProduceMessageRequest, producer: int, first: int, requests: list[bytes]
    ) -> list[bytes]:
        identity.producer_id = self._run_id << _PRODUCER_BITS | producer
        identified = []
        for identity.sequence, request in enumerate(requests, first):
            identified.append(request + identity.SerializeToString())
        return identified


def _head(topic: str, partition: int, record_bytes: int) -> bytes:
    """All of a request up to its value, which is the last of it."""
    record = Record(value=bytes(record_bytes))
    return ProduceMessageRequest(topic=topic, partition=partition, record=record).SerializeToString()[:-record_bytes]
