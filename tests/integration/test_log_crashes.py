"""The server is killed at random moments while the log is used in every way at once; nothing acknowledged may be lost.

Three times here. `RIDE_TRIO_CRASHES=20 pytest tests/integration/test_log_crashes.py` does it as often as one likes.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from random import Random

import trio

from ride_trio.eventlog.check import check_data_dir
from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from ride_trio.rpc import Channel
from ride_trio_cli.server_process import server_process
from ride_trio_loadgen.log_ledger import LogLedger
from ride_trio_loadgen.tally import ErrorCounts
from tests.integration import crash_clients as clients

CRASHES = int(os.environ.get("RIDE_TRIO_CRASHES", "3"))
SEED = int(os.environ.get("RIDE_TRIO_SEED", "1"))
PATIENCE_S = 60.0 + 15.0 * CRASHES
SETTINGS = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "log_level": "error",
    "log_segment_bytes": "1MiB",
    "log_keep_interval_s": "50ms",
}
TOPICS = (
    ("ledger", 2, {}),
    ("offsets", 2, {}),
    ("flood", 1, {"retention.bytes": "3000000"}),
)
PRODUCERS = 4


async def create_topics(channel: Channel) -> None:
    for name, partitions, configs in TOPICS:
        request = pb.CreateTopicRequest(name=name, num_partitions=partitions, configs=configs)
        assert not (await clients.ask(channel, "CreateTopic", request)).error


async def test_nothing_acknowledged_is_lost_whenever_the_server_is_killed(tmp_path: Path) -> None:
    random = Random(SEED)
    settings = SETTINGS | {"data_dir": str(tmp_path / "data")}
    errors = ErrorCounts()
    promised = LogLedger([0, 0], errors)
    server, never = clients.Server(), trio.Event()
    producers = [clients.IdempotentProducer(n, "ledger", n % 2, promised) for n in range(PRODUCERS)]
    maker, committer, flood = clients.TopicMaker(), clients.Committer("offsets"), clients.Flood("flood")

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as others, trio.open_nursery() as producing:
            for crash in range(CRASHES):
                async with server_process(settings) as process:
                    if crash == 0:
                        async with Channel("127.0.0.1", process.grpc.port) as channel:
                            await create_topics(channel)
                        for producer in producers:
                            producing.start_soon(server.again_and_again, producer.run, never)
                        for other in (maker, committer, flood):
                            others.start_soon(server.again_and_again, other.run, never)
                    server.up(process.grpc.port)
                    await trio.sleep(random.uniform(0.3, 1.5))
                    server.down()
                    process.process.kill()
                    await process.process.wait()
                report = check_data_dir(Path(settings["data_dir"]), read_only=True)
                assert report.damages == [], report.damages
            async with server_process(settings) as process:
                server.up(process.grpc.port)
                await trio.sleep(0.3)
                for producer in producers:
                    producer.stopping = True
                for producer in producers:
                    await producer.done.wait()
                others.cancel_scope.cancel()
                async with Channel("127.0.0.1", process.grpc.port) as channel:
                    await compare(channel, promised, maker, committer, flood)
                await process.stop(10.0)
    assert errors.errors == {}, errors
    assert all(producer.answered > 100 for producer in producers)
    report = check_data_dir(Path(settings["data_dir"]))
    assert report.damages == []  # what a death leaves for the next start to tidy up is no damage


async def compare(
    channel: Channel,
    promised: LogLedger,
    maker: clients.TopicMaker,
    committer: clients.Committer,
    flood: clients.Flood,
) -> None:
    """What is there, with what was promised."""
    ledger = copy.deepcopy(promised)
    ledger.errors = promised.errors
    await clients.read_everything(channel, "ledger", 2, ledger)
    assert ledger.unacknowledged == 0  # each was sent again until it was answered, and none is there twice
    ledger.finish()

    names = set((await clients.ask(channel, "ListTopics", pb.ListTopicsRequest())).topics)
    assert maker.there <= names
    assert not maker.gone & names
    assert len(maker.there) + len(maker.gone) > 3

    places = [pb.TopicPartitionOffset(topic="offsets", partition=n) for n in (0, 1)]
    fetched = await clients.ask(channel, "FetchOffsets", pb.FetchOffsetsRequest(group_id="g", of=places))
    first, second = (place.offset for place in fetched.offsets)
    assert first == second  # a commit is all of its list or nothing
    assert committer.promised <= first <= committer.asked
    assert committer.promised > 3

    info = (await clients.ask(channel, "GetTopic", pb.GetTopicRequest(name="flood"))).topic.partitions[0]
    assert info.end_offset > flood.acked
    assert info.beginning_offset > 0  # retention was at work
