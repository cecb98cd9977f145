import purerpc
from ride_trio.pb.takhin.v1 import takhin_pb2 as takhin_dot_v1_dot_takhin__pb2


class TakhinServiceServicer(purerpc.Servicer):
    async def CreateTopic(self, input_message):
        raise NotImplementedError()

    async def DeleteTopic(self, input_message):
        raise NotImplementedError()

    async def ListTopics(self, input_message):
        raise NotImplementedError()

    async def GetTopic(self, input_message):
        raise NotImplementedError()

    async def DescribeTopics(self, input_message):
        raise NotImplementedError()

    async def ProduceMessage(self, input_message):
        raise NotImplementedError()

    async def ProduceMessageStream(self, input_messages):
        raise NotImplementedError()

    async def ConsumeMessages(self, input_message):
        raise NotImplementedError()

    async def CommitOffset(self, input_message):
        raise NotImplementedError()

    async def FetchOffsets(self, input_message):
        raise NotImplementedError()

    async def ListConsumerGroups(self, input_message):
        raise NotImplementedError()

    async def DescribeConsumerGroup(self, input_message):
        raise NotImplementedError()

    async def DeleteConsumerGroup(self, input_message):
        raise NotImplementedError()

    async def GetPartitionOffsets(self, input_message):
        raise NotImplementedError()

    async def HealthCheck(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "takhin.v1.TakhinService"
        )
        service_obj.add_method(
            "CreateTopic",
            self.CreateTopic,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.CreateTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.CreateTopicResponse,
            )
        )
        service_obj.add_method(
            "DeleteTopic",
            self.DeleteTopic,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DeleteTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.DeleteTopicResponse,
            )
        )
        service_obj.add_method(
            "ListTopics",
            self.ListTopics,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ListTopicsRequest,
                takhin_dot_v1_dot_takhin__pb2.ListTopicsResponse,
            )
        )
        service_obj.add_method(
            "GetTopic",
            self.GetTopic,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.GetTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.GetTopicResponse,
            )
        )
        service_obj.add_method(
            "DescribeTopics",
            self.DescribeTopics,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DescribeTopicsRequest,
                takhin_dot_v1_dot_takhin__pb2.DescribeTopicsResponse,
            )
        )
        service_obj.add_method(
            "ProduceMessage",
            self.ProduceMessage,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageRequest,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageResponse,
            )
        )
        service_obj.add_method(
            "ProduceMessageStream",
            self.ProduceMessageStream,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageRequest,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageResponse,
            )
        )
        service_obj.add_method(
            "ConsumeMessages",
            self.ConsumeMessages,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                takhin_dot_v1_dot_takhin__pb2.ConsumeMessagesRequest,
                takhin_dot_v1_dot_takhin__pb2.ConsumeMessagesResponse,
            )
        )
        service_obj.add_method(
            "CommitOffset",
            self.CommitOffset,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.CommitOffsetRequest,
                takhin_dot_v1_dot_takhin__pb2.CommitOffsetResponse,
            )
        )
        service_obj.add_method(
            "FetchOffsets",
            self.FetchOffsets,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.FetchOffsetsRequest,
                takhin_dot_v1_dot_takhin__pb2.FetchOffsetsResponse,
            )
        )
        service_obj.add_method(
            "ListConsumerGroups",
            self.ListConsumerGroups,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ListConsumerGroupsRequest,
                takhin_dot_v1_dot_takhin__pb2.ListConsumerGroupsResponse,
            )
        )
        service_obj.add_method(
            "DescribeConsumerGroup",
            self.DescribeConsumerGroup,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DescribeConsumerGroupRequest,
                takhin_dot_v1_dot_takhin__pb2.DescribeConsumerGroupResponse,
            )
        )
        service_obj.add_method(
            "DeleteConsumerGroup",
            self.DeleteConsumerGroup,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DeleteConsumerGroupRequest,
                takhin_dot_v1_dot_takhin__pb2.DeleteConsumerGroupResponse,
            )
        )
        service_obj.add_method(
            "GetPartitionOffsets",
            self.GetPartitionOffsets,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.GetPartitionOffsetsRequest,
                takhin_dot_v1_dot_takhin__pb2.GetPartitionOffsetsResponse,
            )
        )
        service_obj.add_method(
            "HealthCheck",
            self.HealthCheck,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.HealthCheckRequest,
                takhin_dot_v1_dot_takhin__pb2.HealthCheckResponse,
            )
        )
        return service_obj


class TakhinServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "takhin.v1.TakhinService",
            channel
        )
        self.CreateTopic = self._client.get_method_stub(
            "CreateTopic",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.CreateTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.CreateTopicResponse,
            )
        )
        self.DeleteTopic = self._client.get_method_stub(
            "DeleteTopic",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DeleteTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.DeleteTopicResponse,
            )
        )
        self.ListTopics = self._client.get_method_stub(
            "ListTopics",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ListTopicsRequest,
                takhin_dot_v1_dot_takhin__pb2.ListTopicsResponse,
            )
        )
        self.GetTopic = self._client.get_method_stub(
            "GetTopic",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.GetTopicRequest,
                takhin_dot_v1_dot_takhin__pb2.GetTopicResponse,
            )
        )
        self.DescribeTopics = self._client.get_method_stub(
            "DescribeTopics",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DescribeTopicsRequest,
                takhin_dot_v1_dot_takhin__pb2.DescribeTopicsResponse,
            )
        )
        self.ProduceMessage = self._client.get_method_stub(
            "ProduceMessage",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageRequest,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageResponse,
            )
        )
        self.ProduceMessageStream = self._client.get_method_stub(
            "ProduceMessageStream",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageRequest,
                takhin_dot_v1_dot_takhin__pb2.ProduceMessageResponse,
            )
        )
        self.ConsumeMessages = self._client.get_method_stub(
            "ConsumeMessages",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                takhin_dot_v1_dot_takhin__pb2.ConsumeMessagesRequest,
                takhin_dot_v1_dot_takhin__pb2.ConsumeMessagesResponse,
            )
        )
        self.CommitOffset = self._client.get_method_stub(
            "CommitOffset",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.CommitOffsetRequest,
                takhin_dot_v1_dot_takhin__pb2.CommitOffsetResponse,
            )
        )
        self.FetchOffsets = self._client.get_method_stub(
            "FetchOffsets",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.FetchOffsetsRequest,
                takhin_dot_v1_dot_takhin__pb2.FetchOffsetsResponse,
            )
        )
        self.ListConsumerGroups = self._client.get_method_stub(
            "ListConsumerGroups",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.ListConsumerGroupsRequest,
                takhin_dot_v1_dot_takhin__pb2.ListConsumerGroupsResponse,
            )
        )
        self.DescribeConsumerGroup = self._client.get_method_stub(
            "DescribeConsumerGroup",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DescribeConsumerGroupRequest,
                takhin_dot_v1_dot_takhin__pb2.DescribeConsumerGroupResponse,
            )
        )
        self.DeleteConsumerGroup = self._client.get_method_stub(
            "DeleteConsumerGroup",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.DeleteConsumerGroupRequest,
                takhin_dot_v1_dot_takhin__pb2.DeleteConsumerGroupResponse,
            )
        )
        self.GetPartitionOffsets = self._client.get_method_stub(
            "GetPartitionOffsets",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.GetPartitionOffsetsRequest,
                takhin_dot_v1_dot_takhin__pb2.GetPartitionOffsetsResponse,
            )
        )
        self.HealthCheck = self._client.get_method_stub(
            "HealthCheck",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                takhin_dot_v1_dot_takhin__pb2.HealthCheckRequest,
                takhin_dot_v1_dot_takhin__pb2.HealthCheckResponse,
            )
        )
