"""From ProduceMessageRequests to records in partitions, and back to answers.

A stream's requests are taken by a sink and its answers go out by a source, so no task is woken a record: the sink gives
a record its offset and its answer its place in line, and when a commit is safe the line moves on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import trio

from ride_trio.errors import (
    InvalidAcksError,
    InvalidRecordError,
    LogError,
    MessageTooLargeError,
    RequestTimedOutError,
)
from ride_trio.eventlog.commit import Commit, Level
from ride_trio.eventlog.commits import LATE_S
from ride_trio.eventlog.log import EventLog
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.topic import Topic
from ride_trio.metrics import Counts
from ride_trio.pb.takhin.v1.takhin_pb2 import ProduceMessageRequest, ProduceMessageResponse, Record
from ride_trio.rpc.prompt import Later

# Requests of one stream that wait for their answers. The next ones wait in its flow-control window.
MAX_UNANSWERED: Final = 4_096
# Partitions whose answers are kept to be filled in: those of two topics of the largest kind.
MAX_KEPT_ANSWERS: Final = 20_000
_QUEUED: Final = Level.QUEUED
_WRITTEN: Final = Level.WRITTEN
_SYNCED: Final = Level.SYNCED
_LEVELS: Final = {0: _QUEUED, 1: _WRITTEN, -1: _SYNCED}
_BY_US: Final = -1  # the partition of who leaves the choice to us
_NEVER: Final = float("inf")


# An answer in line: the commit that it waits for (None: it is ready), how far that has to be, the answer if all goes
# well, and until when it waits (trio's clock, s). A plain tuple: one is made for each record.
Answer = tuple[Commit | None, Level, bytes, float]


def is_ready(answer: Answer) -> bool:
    commit, level, _, _ = answer
    return commit is None or commit.level >= level


class Producing:
    """Puts records into partitions; one a server.

    Args:
        log: The log.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._refused: Counts = log.metrics.refused
        self._answers: dict[Partition, ProduceMessageResponse] = {}

    def take(self, request: ProduceMessageRequest) -> Answer:
        """Queue a record. Its offset is given out now; what goes wrong is the answer."""
        log = self.log
        commits = log.commits
        try:
            if commits.failed is not None or commits.stopped:
                commits.check()
            level = _LEVELS.get(request.required_acks)
            if level is None:
                raise InvalidAcksError(f"required_acks {request.required_acks}: allowed is 0, 1 and -1")
            name, record, producer_id = request.topic, request.record, request.producer_id
            topic = log.topics.get(name) or log.topic(name)
            partition = self._partition(topic, request.partition, record, producer_id)
            timestamp = record.timestamp
            if timestamp <= 0:
                if timestamp:
                    raise InvalidRecordError(f"timestamp {timestamp}: Unix milliseconds are expected")
                record.timestamp = timestamp = log.now_ms()
            known = self._known(partition, request) if producer_id else None
            if known is None:
                record.offset = offset = partition.next_offset
                record.partition = partition.number
                data: bytes = record.SerializeToString()
                if len(data) > topic.config.max_message_bytes:
                    raise _too_large(len(data), topic)
                if producer_id:
                    partition.append_from(producer_id, request.producer_epoch, request.sequence, data, timestamp)
                else:
                    partition.append(data, timestamp)
                commit: Commit | None = commits.gathering
            else:
                offset, commit = known, commits.holding(partition, known)
        except LogError as error:
            return None, _QUEUED, self.refusal(request.topic, request.partition, error), _NEVER
        if level is _WRITTEN:
            commits.hurry()
        elif level is _SYNCED and commit is not None:
            commit.awaited = True
        answer = self._answers.get(partition) or self._answer_for(partition)
        answer.offset, answer.timestamp = offset, timestamp
        timeout_ms = request.timeout_ms
        began = commit.began_at if commit is not None else 0.0
        deadline = began + (timeout_ms / 1_000 if timeout_ms > 0 else LATE_S)
        return commit, level, answer.SerializeToString(), deadline

    def _answer_for(self, partition: Partition) -> ProduceMessageResponse:
        """The answer to fill in for each of a partition's records."""
        if len(self._answers) >= MAX_KEPT_ANSWERS:
            self._answers.clear()  # of partitions that are gone, perhaps
        answer = ProduceMessageResponse(topic=partition.topic.name, partition=partition.number)
        self._answers[partition] = answer
        return answer

    def _partition(self, topic: Topic, number: int, record: Record, producer_id: int) -> Partition:
        if number == _BY_US:
            if producer_id:
                number = topic.partitioner.choose_for(producer_id, record.key)
            else:
                number = topic.partitioner.choose(record.key, len(record.value))
        elif not 0 <= number < len(topic.partitions):
            return topic.partition(number)  # raises
        if topic.config.compact and not record.key:
            raise InvalidRecordError(f"topic '{topic.name}' is compacted: its records need keys")
        return topic.partitions[number]

    def _known(self, partition: Partition, request: ProduceMessageRequest) -> int | None:
        """For an idempotent producer: the offset that the record has had before."""
        producer_id, epoch, sequence = request.producer_id, request.producer_epoch, request.sequence
        if sequence < 0 or epoch < 0:
            raise InvalidRecordError(f"sequence {sequence}, producer_epoch {epoch}: both count from 0")
        known = partition.producers.of(producer_id, epoch).offset_of(sequence)
        if known is not None:
            partition.topic.duplicates.n += 1
        return known

    def refusal(self, topic: str, partition: int, error: LogError) -> bytes:
        """An answer that says what was wrong."""
        self._refused(error.code).n += 1
        return ProduceMessageResponse(topic=topic, partition=partition, error=error.detail).SerializeToString()

    def outcome(self, answer: Answer) -> bytes:
        """A ready answer, as bytes: an error if its commit has failed."""
        commit, level, data, _ = answer
        if commit is None or commit.error is None or level is _QUEUED:
            return data
        return self.failed(data, commit.error)

    def failed(self, answer: bytes, error: LogError) -> bytes:
        """What is said instead of an answer that turned out otherwise."""
        meant = ProduceMessageResponse.FromString(answer)
        return self.refusal(meant.topic, meant.partition, error)

    def one(self, request: ProduceMessageRequest) -> bytes | Later | Awaitable[bytes]:
        """A unary call's: queue a record. Its answer, or what will have it when its commit is safe or given up."""
        if self.log.commits.is_full or request.timeout_ms > 0:
            return self._one_with_waits(request)
        answer = self.take(request)
        return self.outcome(answer) if is_ready(answer) else self._later(answer)

    def _later(self, answer: Answer) -> Later:
        later, (commit, level, data, _) = Later(), answer
        assert commit is not None

        def tell() -> None:
            if commit.level >= level:
                later.set(self.outcome(answer))
            elif commit.late:
                later.set(self.failed(data, timed_out()))

        commit.listeners.append(tell)
        return later

    async def _one_with_waits(self, request: ProduceMessageRequest) -> bytes:
        while self.log.commits.is_full:
            await self.log.commits.wait_room()
        answer = self.take(request)
        if is_ready(answer):
            return self.outcome(answer)
        _, _, data, deadline = answer
        with trio.move_on_at(deadline):
            result: bytes = await self._later(answer)
            return result
        return self.failed(data, timed_out())


def _too_large(size: int, topic: Topic) -> MessageTooLargeError:
    return MessageTooLargeError(
        f"record of {size} bytes: topic '{topic.name}' takes up to {topic.config.max_message_bytes}"
    )


def timed_out() -> RequestTimedOutError:
    return RequestTimedOutError("not acknowledged within timeout_ms; it may be stored all the same")


class ProduceCall(Protocol):
    """A call as the stream uses it; `ride_trio.rpc.Call` is one."""

    async def start(self) -> None: ...
    def set_sink(self, sink: Callable[[Any], bool], /) -> None: ...
    def set_source(self, pull: Callable[[], bytes | None], /) -> None: ...
    def wake_source(self) -> None: ...
    def resume(self) -> None: ...
    def flush_source(self) -> Awaitable[None]: ...


class ProduceStream:
    """One ProduceMessageStream call.

    Args:
        producing: Where records go.
        call: It.
    """

    def __init__(self, producing: Producing, call: ProduceCall) -> None:
        self._producing = producing
        self._commits = producing.log.commits
        self._call: ProduceCall | None = call
        self._line: deque[Answer] = deque()
        self._listens_to: Commit | None = None
        self._at_end = False
        self._timer_at = _NEVER
        self._changed = trio.Event()

    async def run(self) -> None:
        """Until the client has ended its side and has all answers."""
        call = self._call
        assert call is not None
        try:
            await call.start()
            call.set_source(self.pull)
            call.set_sink(self.take)
            while not (self._at_end and not self._line):
                with trio.move_on_at(self._timer_at):
                    await self._changed.wait()
                self._changed = trio.Event()
                self._expire()
            await call.flush_source()
        finally:
            self._call = None

    def take(self, request: ProduceMessageRequest | None) -> bool:
        """The sink."""
        line = self._line
        if request is None:
            self._at_end = True
            self._changed.set()
            return True
        if self._commits.is_full:
            self._commits.when_room(self._resume)
            return False
        if len(line) >= MAX_UNANSWERED:
            return False  # offered again when an answer has gone out
        answer = self._producing.take(request)
        line.append(answer)
        commit, level, _, deadline = answer
        if commit is not None and commit.level < level:
            if commit is not self._listens_to:
                self._listens_to = commit
                commit.listeners.append(self._progressed)
            if deadline < self._timer_at:
                self._timer_at = deadline
                self._changed.set()
        elif len(line) == 1:
            self._progressed()
        return True

    def pull(self) -> bytes | None:
        """The source."""
        line = self._line
        if not line:
            return None
        commit, level, data, _ = answer = line[0]
        if commit is not None:
            if commit.level < level:
                return None
            if commit.error is not None:
                data = self._producing.outcome(answer)
        line.popleft()
        if not line and self._at_end:
            self._call_soon()
        return data

    def _call_soon(self) -> None:
        """The last answer is out. No task may be woken from a source, so the next pass does it."""
        trio.lowlevel.current_trio_token().run_sync_soon(self._changed.set)

    def _progressed(self) -> None:
        if self._call is not None:
            self._call.wake_source()

    def _resume(self) -> None:
        if self._call is not None:
            self._call.resume()

    def _expire(self) -> None:
        """Answer what has waited for too long, in its place in line, and look for the next one to expire."""
        now = trio.current_time()
        if now < self._timer_at:
            return
        for number, answer in enumerate(self._line):
            _, _, data, deadline = answer
            if deadline <= now and not is_ready(answer):
                self._line[number] = (None, _QUEUED, self._producing.failed(data, timed_out()), _NEVER)
        self._timer_at = min((answer[3] for answer in self._line if not is_ready(answer)), default=_NEVER)
        self._progressed()
