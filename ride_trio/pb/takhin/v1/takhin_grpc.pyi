from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import purerpc
from ride_trio.pb.takhin.v1 import takhin_pb2

class TakhinServiceServicer(purerpc.Servicer):
    @property
    def service(self) -> purerpc.Service: ...

class TakhinServiceStub:
    def __init__(self, channel: object) -> None: ...
    CreateTopic: Callable[..., Awaitable[takhin_pb2.CreateTopicResponse]]
    DeleteTopic: Callable[..., Awaitable[takhin_pb2.DeleteTopicResponse]]
    ListTopics: Callable[..., Awaitable[takhin_pb2.ListTopicsResponse]]
    GetTopic: Callable[..., Awaitable[takhin_pb2.GetTopicResponse]]
    DescribeTopics: Callable[..., Awaitable[takhin_pb2.DescribeTopicsResponse]]
    ProduceMessage: Callable[..., Awaitable[takhin_pb2.ProduceMessageResponse]]
    ProduceMessageStream: Callable[..., Any]
    ConsumeMessages: Callable[..., AsyncGenerator[takhin_pb2.ConsumeMessagesResponse, None]]
    CommitOffset: Callable[..., Awaitable[takhin_pb2.CommitOffsetResponse]]
    FetchOffsets: Callable[..., Awaitable[takhin_pb2.FetchOffsetsResponse]]
    ListConsumerGroups: Callable[..., Awaitable[takhin_pb2.ListConsumerGroupsResponse]]
    DescribeConsumerGroup: Callable[..., Awaitable[takhin_pb2.DescribeConsumerGroupResponse]]
    DeleteConsumerGroup: Callable[..., Awaitable[takhin_pb2.DeleteConsumerGroupResponse]]
    GetPartitionOffsets: Callable[..., Awaitable[takhin_pb2.GetPartitionOffsetsResponse]]
    HealthCheck: Callable[..., Awaitable[takhin_pb2.HealthCheckResponse]]
