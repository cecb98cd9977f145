"""Calls of `takhin.v1.TakhinService`, and what goes wrong with them in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import purerpc
import trio
from purerpc import StatusCode

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.pb.takhin.v1.takhin_grpc import TakhinServiceStub
from ride_trio.rpc import Channel, ClientCall, Keepalive
from ride_trio.rpc.interceptors import ClientInterceptor, Proceed
from ride_trio.rpc.status import status_of
from ride_trio_cli.log_positions import EARLIEST, LATEST, Position
from ride_trio_cli.log_records import printable

if TYPE_CHECKING:
    from ride_trio_cli.log_server import LogServer

Value = TypeVar("Value")
Offsets = Mapping[tuple[str, int], int]  # (topic, partition) -> offset

ANSWER_TIMEOUT_S = 30.0  # what the server itself allows a record by default
_NO_ANSWER = f"the server has not answered within {ANSWER_TIMEOUT_S:.0f} s"
# When looking up a time: an answer without records, which says that there is none of then or later, comes at once.
_LOOK_UP_WAIT_MS = 1
_SERVICE = "/takhin.v1.TakhinService"

_HINTS = {
    "UNKNOWN_TOPIC": "`ride-trio topics list` shows which there are, `ride-trio topics create` makes one",
    "UNKNOWN_GROUP": "`ride-trio groups list` shows which there are",
    "UNKNOWN_MEMBER": "offsets can be set when the group's consumers have ended",
}


class LogCallError(Exception):
    """A call could not be made, or the log has refused it: one line that says what, where and what to do.

    Attributes:
        code: the log's own, "ILLEGAL_GENERATION" for example; empty if it said none.
    """

    def __init__(self, message: str) -> None:
        self.code = message.partition(":")[0] if message.partition(":")[0].isupper() else ""
        hint = _HINTS.get(self.code)
        super().__init__(printable(f"{message}; {hint}" if hint else message))


async def with_log(server: LogServer, work: Callable[..., Awaitable[Value]], *arguments: Any) -> Value:
    """Connect, and return `work(log, *arguments)`.

    Raises:
        LogCallError: in place of what the engine raises, groups of it among them.
    """
    connected = False
    try:
        async with Channel(
            server.address.host,
            server.address.port,
            ssl_context=server.context,
            keepalive=Keepalive(),
            interceptors=[_bearer(server.token)] if server.token else [],
        ) as channel:
            connected = True
            return await work(LogClient(channel), *arguments)
    except (purerpc.RpcFailedError, trio.TooSlowError, UnicodeEncodeError, ExceptionGroup) as error:
        failure = _first(error)
        if failure is None:
            raise
        raise failure if connected else _unreachable(server, failure) from error


def _bearer(token: str) -> ClientInterceptor:
    async def add_token(call: ClientCall[Any, Any], proceed: Proceed) -> None:
        call.metadata = (*call.metadata, ("authorization", f"Bearer {token}"))
        await proceed()

    return add_token


def _unreachable(server: LogServer, failure: LogCallError) -> LogCallError:
    tls = "" if server.context else ", --ca FILE uses TLS"
    hint = f"`ride-trio serve` starts a server, --target HOST:PORT says where it is{tls}"
    return LogCallError(f"{failure}; {hint}")


def _first(error: Exception) -> LogCallError | None:
    """What went wrong first, of a group, too; None if it is nothing that this module knows."""
    if isinstance(error, ExceptionGroup):
        found = [_first(inner) for inner in error.exceptions]
        return found[0] if all(found) else None
    if isinstance(error, LogCallError):
        return error
    if isinstance(error, trio.TooSlowError):
        return LogCallError(_NO_ANSWER)
    if isinstance(error, UnicodeEncodeError):
        return LogCallError(f"{error.object!r} is not UTF-8, as names have to be")
    status = status_of(error)
    return None if status is None else LogCallError(in_words(status))


def in_words(status: purerpc.Status) -> str:
    """A call's status, as a line."""
    said: str = status.status_message or status.status_code.name
    match status.status_code:
        case StatusCode.UNAUTHENTICATED:
            return f"{said}; --token TOKEN (or RIDE_TRIO_TOKEN) says who calls"
        case StatusCode.DEADLINE_EXCEEDED:
            return _NO_ANSWER
        case StatusCode.UNIMPLEMENTED:
            return f"the server keeps no log: {said}"
        case _:
            return said


class LogClient:
    """A log, through an open channel.

    All methods raise LogCallError if the log refuses what is asked for; what the engine raises, `with_log` puts into
    words.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stub = TakhinServiceStub(channel)

    # ------------------------------------------------------------------ topics

    async def create_topic(self, name: str, partitions: int, configs: Mapping[str, str]) -> None:
        request = pb.CreateTopicRequest(name=name, num_partitions=partitions, replication_factor=1, configs=configs)
        await _answer(self._stub.CreateTopic(request))

    async def delete_topic(self, name: str) -> None:
        await _answer(self._stub.DeleteTopic(pb.DeleteTopicRequest(name=name)))

    async def topic_names(self) -> list[str]:
        answer = await _answer(self._stub.ListTopics(pb.ListTopicsRequest()))
        return list(answer.topics)

    async def topic(self, name: str) -> pb.TopicInfo:
        answer = await _answer(self._stub.GetTopic(pb.GetTopicRequest(name=name)))
        return answer.topic

    async def topics(self, names: Iterable[str] = ()) -> list[pb.TopicInfo]:
        """Those of these names that there are; without names all."""
        answer = await _answer(self._stub.DescribeTopics(pb.DescribeTopicsRequest(topics=names)))
        return list(answer.topics)

    # ------------------------------------------------------------------ groups

    async def groups(self) -> list[pb.ConsumerGroupInfo]:
        answer = await _answer(self._stub.ListConsumerGroups(pb.ListConsumerGroupsRequest()))
        return list(answer.groups)

    async def group(self, group_id: str) -> pb.DescribeConsumerGroupResponse:
        return await _answer(self._stub.DescribeConsumerGroup(pb.DescribeConsumerGroupRequest(group_id=group_id)))

    async def delete_group(self, group_id: str) -> None:
        await _answer(self._stub.DeleteConsumerGroup(pb.DeleteConsumerGroupRequest(group_id=group_id)))

    async def commit(self, group_id: str, offsets: Offsets, member_id: str = "", generation: int = 0) -> None:
        """Set a group's offsets, as one of its members or, while it has none, without."""
        rows = [pb.TopicPartitionOffset(topic=t, partition=p, offset=offset) for (t, p), offset in offsets.items()]
        request = pb.CommitOffsetRequest(group_id=group_id, offsets=rows, member_id=member_id, generation=generation)
        await _answer(self._stub.CommitOffset(request))

    # ------------------------------------------------------------------ records

    async def offsets(self, topic: str, partition: int | None, position: Position) -> dict[int, int]:
        """What a position is in each partition, or only in one: the offset of the record that would be read next."""
        infos = (await self.topic(topic)).partitions
        if partition is not None and partition not in infos:
            raise LogCallError(f"{topic} has no partition {partition}: it has 0 to {len(infos) - 1}")
        chosen = sorted(infos) if partition is None else [partition]
        return {number: await self._offset(topic, infos[number], position) for number in chosen}

    async def _offset(self, topic: str, info: pb.PartitionInfo, position: Position) -> int:
        if position == EARLIEST:
            return info.beginning_offset
        if position == LATEST:
            return info.end_offset
        if not position.is_offset:
            found = await self._offset_at(topic, info.partition_id, position.time_ms)
            return info.end_offset if found is None else found
        if info.beginning_offset <= position.offset <= info.end_offset:
            return position.offset
        kept = f"{info.beginning_offset} to {info.end_offset}"
        raise LogCallError(f"partition {info.partition_id} of {topic} has no offset {position.offset}: it has {kept}")

    async def _offset_at(self, topic: str, partition: int, time_ms: int) -> int | None:
        """Of the first record of a time (Unix ms) or later; None if there is none."""
        request = pb.ConsumeMessagesRequest(
            topic=topic,
            partition=partition,
            start_timestamp_ms=time_ms,
            max_bytes=1,  # a record comes all the same
            max_wait_ms=_LOOK_UP_WAIT_MS,
            max_batches=1,
        )
        with trio.fail_after(ANSWER_TIMEOUT_S):
            async with self.consume() as call:
                await ask(call, request)
                answers = [answer async for answer in call]
        return next((record.offset for answer in answers for record in answer.records), None)

    def consume(self) -> ClientCall[pb.ConsumeMessagesResponse, pb.ConsumeMessagesRequest]:
        """A call of ConsumeMessages, to be entered."""
        return self._channel.open(f"{_SERVICE}/ConsumeMessages", pb.ConsumeMessagesRequest, pb.ConsumeMessagesResponse)

    def produce(self) -> ClientCall[pb.ProduceMessageResponse, pb.ProduceMessageRequest]:
        """A call of ProduceMessageStream, to be entered."""
        path = f"{_SERVICE}/ProduceMessageStream"
        return self._channel.open(path, pb.ProduceMessageRequest, pb.ProduceMessageResponse)


async def ask(call: ClientCall[Any, Value], request: Value) -> None:
    """Send the one request of a call."""
    await call.send(request)
    await call.done_sending()


async def _answer(answering: Awaitable[Value]) -> Value:
    """A unary call's answer, unless it carries an error."""
    with trio.fail_after(ANSWER_TIMEOUT_S):
        answer = await answering
    error = getattr(answer, "error", "")
    if error:
        raise LogCallError(error)
    return answer
