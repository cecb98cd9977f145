"""The log under a client that is not ours: grpcio, which learns the service by reflection, as users of grpcurl do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TypeVar

import grpc
import pytest
import trio

from ride_trio_cli.server_process import server_process
from tests.integration.reflected import Reflected

LOG = "takhin.v1.TakhinService"
LISTEN = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "log_level": "warning",
}
PATIENCE_S = 40.0
T = TypeVar("T")


async def against_a_server(client: Callable[[Reflected], T]) -> T:
    """Run a blocking client against a server in a process of its own."""
    async with server_process(LISTEN) as server:

        def run() -> T:
            with grpc.insecure_channel(f"127.0.0.1:{server.grpc.port}") as channel:
                return client(Reflected(channel))

        with trio.fail_after(PATIENCE_S):
            return await trio.to_thread.run_sync(run, abandon_on_cancel=True)


def text(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def produce(value: str, **fields: object) -> str:
    record = {"value": text(value), **fields.pop("record", {})}  # type: ignore[dict-item]
    return json.dumps({"topic": "test-topic", "required_acks": -1, "record": record, **fields})


async def test_list_describe_and_health() -> None:
    def client(grpcurl: Reflected) -> None:
        assert LOG in grpcurl.services()
        methods = [method.name for method in grpcurl.describe(LOG).methods]
        assert len(methods) == 15
        assert {"ProduceMessageStream", "ConsumeMessages", "FetchOffsets"} < set(methods)
        assert grpcurl.call("grpc.health.v1.Health/Check", '{"service": ""}') == {"status": "SERVING"}
        assert grpcurl.call("grpc.health.v1.Health/Check", f'{{"service": "{LOG}"}}') == {"status": "SERVING"}
        health = grpcurl.call(f"{LOG}/HealthCheck")
        assert health["status"] == "SERVING"
        assert health["version"]

    await against_a_server(client)


async def test_a_topics_life() -> None:
    def client(grpcurl: Reflected) -> None:
        assert grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":3}') == {"success": True}
        assert grpcurl.call(f"{LOG}/ListTopics")["topics"] == ["ride.matches", "ride.sessions", "test-topic"]
        for number in range(6):
            answer = grpcurl.call(f"{LOG}/ProduceMessage", produce(f"m{number}", partition=number % 3))
            assert int(answer.get("offset", 0)) == number // 3
        topic = grpcurl.call(f"{LOG}/GetTopic", '{"name":"test-topic"}')["topic"]
        assert topic["num_partitions"] == 3
        assert topic["partitions"]["2"] == {"partition_id": 2, "end_offset": "2", "replicas": [0], "isr": [0]}
        described = grpcurl.call(f"{LOG}/DescribeTopics", '{"topics":["test-topic","none"]}')
        assert [t["name"] for t in described["topics"]] == ["test-topic"]
        offsets = grpcurl.call(f"{LOG}/GetPartitionOffsets", '{"topic":"test-topic","partition":1}')
        assert offsets == {"topic": "test-topic", "partition": 1, "end_offset": "2"}
        assert grpcurl.call(f"{LOG}/DeleteTopic", '{"name":"test-topic"}') == {"success": True}
        assert grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":1}') == {"success": True}
        assert "end_offset" not in grpcurl.call(f"{LOG}/GetPartitionOffsets", '{"topic":"test-topic"}')

    await against_a_server(client)


async def test_a_record_comes_back_as_it_was_sent() -> None:
    def client(grpcurl: Reflected) -> None:
        grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":1}')
        record = {
            "key": text("k"),
            "headers": [{"key": "h", "value": text("1")}, {"key": "h", "value": text("2")}],
            "timestamp": "1234567890123",
            "offset": "99",
            "partition": 99,
        }
        answer = grpcurl.call(f"{LOG}/ProduceMessage", produce("v", record=record))
        assert answer == {"topic": "test-topic", "timestamp": "1234567890123"}
        (batch,) = grpcurl.stream(f"{LOG}/ConsumeMessages", '{"topic":"test-topic","offset":"-1","max_batches":1}')
        assert batch["high_watermark"] == "1"
        expected = {"value": text("v"), **record}
        del expected["offset"], expected["partition"]  # ours are 0
        assert batch["records"] == [expected]

    await against_a_server(client)


async def test_consuming_goes_on_while_records_come() -> None:
    def client(grpcurl: Reflected) -> None:
        grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":1}')
        grpcurl.call(f"{LOG}/ProduceMessage", produce("before"))
        tail = grpcurl.stream(f"{LOG}/ConsumeMessages", '{"topic":"test-topic"}')
        assert next(tail)["records"][0]["value"] == text("before")
        for number in range(3):
            grpcurl.call(f"{LOG}/ProduceMessage", produce(f"after {number}"))
            assert next(tail)["records"][0]["value"] == text(f"after {number}")
        tail.close()

    await against_a_server(client)


async def test_a_stream_answers_in_order_and_a_broken_request_harms_no_other() -> None:
    def client(grpcurl: Reflected) -> None:
        grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":2}')
        requests = [
            produce("a"),
            produce("b", partition=7),
            produce("c", required_acks=0),
            produce("d", topic="none"),
            produce("e", required_acks=5),
            produce("f", required_acks=1),
            produce("g", partition=1),
        ]
        answers = grpcurl.both_ways(f"{LOG}/ProduceMessageStream", requests)
        codes = [answer.get("error", "").split(":")[0] for answer in answers]
        assert codes == ["", "UNKNOWN_PARTITION", "", "UNKNOWN_TOPIC", "INVALID_ACKS", "", ""]
        assert [int(a.get("offset", 0)) for a in answers if "error" not in a] == [0, 1, 2, 0]

    await against_a_server(client)


async def test_a_client_that_reads_errors_in_band_finds_them_with_status_ok() -> None:
    def client(grpcurl: Reflected) -> None:
        for method, request, code in (
            ("CreateTopic", '{"name":"a/b","num_partitions":1}', "INVALID_TOPIC"),
            ("CreateTopic", '{"name":"x"}', "INVALID_PARTITIONS"),
            ("CreateTopic", '{"name":"x","num_partitions":10001}', "INVALID_PARTITIONS"),
            ("CreateTopic", '{"name":"x","num_partitions":1,"replication_factor":3}', "INVALID_REPLICATION_FACTOR"),
            ("CreateTopic", '{"name":"x","num_partitions":1,"configs":{"no.such":"1"}}', "INVALID_CONFIG"),
            ("CreateTopic", '{"name":"x","num_partitions":1,"configs":{"retention.ms":"soon"}}', "INVALID_CONFIG"),
            ("CreateTopic", '{"name":"ride.matches","num_partitions":1}', "TOPIC_EXISTS"),
            ("DeleteTopic", '{"name":"none"}', "UNKNOWN_TOPIC"),
            ("GetTopic", '{"name":"none"}', "UNKNOWN_TOPIC"),
            ("ProduceMessage", '{"topic":"none"}', "UNKNOWN_TOPIC"),
            ("GetPartitionOffsets", '{"topic":"none"}', "UNKNOWN_TOPIC"),
            ("GetPartitionOffsets", '{"topic":"ride.matches","partition":-3}', "UNKNOWN_PARTITION"),
            ("CommitOffset", '{"group_id":"g","offsets":[{"topic":"none"}]}', "UNKNOWN_TOPIC"),
            ("DescribeConsumerGroup", '{"group_id":"none"}', "UNKNOWN_GROUP"),
            ("DeleteConsumerGroup", '{"group_id":"none"}', "UNKNOWN_GROUP"),
        ):
            answer = grpcurl.call(f"{LOG}/{method}", request)
            assert answer["error"].startswith(f"{code}: "), (method, answer)
            assert not answer.get("success"), method

    await against_a_server(client)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ('{"topic":"none"}', grpc.StatusCode.NOT_FOUND),
        ('{"topic":"test-topic","partition":3}', grpc.StatusCode.INVALID_ARGUMENT),
        ('{"topic":"test-topic","offset":"7"}', grpc.StatusCode.OUT_OF_RANGE),
        ('{"topic":"test-topic","offset":"-3"}', grpc.StatusCode.OUT_OF_RANGE),
        ('{"topic":"test-topic","max_bytes":-1}', grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_cannot_be_consumed_ends_with_a_status(request_: str, status: grpc.StatusCode) -> None:
    def client(grpcurl: Reflected) -> None:
        grpcurl.call(f"{LOG}/CreateTopic", '{"name":"test-topic","num_partitions":1}')
        with pytest.raises(grpc.RpcError) as caught:
            next(grpcurl.stream(f"{LOG}/ConsumeMessages", request_))
        assert caught.value.code() is status  # type: ignore[attr-defined]

    await against_a_server(client)
