"""Who takes part in a load on the durable log, and over which connections."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from ride_trio.pb.takhin.v1.takhin_pb2 import (
    ConsumeMessagesRequest,
    ConsumeMessagesResponse,
    ProduceMessageRequest,
    ProduceMessageResponse,
)
from ride_trio.rpc import Channel
from ride_trio_loadgen.log_consumer import LogConsumer
from ride_trio_loadgen.log_ledger import LogLedger
from ride_trio_loadgen.log_plan import LogPlan
from ride_trio_loadgen.log_producer import StreamProducer
from ride_trio_loadgen.log_production import Pace, Producer, Production
from ride_trio_loadgen.log_records import Values
from ride_trio_loadgen.log_tally import LogTally
from ride_trio_loadgen.log_unary import UnaryProducer

SERVICE = "/takhin.v1.TakhinService"


def producers(plan: LogPlan, production: Production, channels: Sequence[Channel]) -> list[Producer]:
    """A run's producers, their records due from now on. Those of unary calls have one in flight, so there are more.

    Args:
        channels: that they share.
    """
    count = plan.producers * (plan.in_flight if plan.unary else 1)
    kind = UnaryProducer if plan.unary else StreamProducer
    method = "ProduceMessage" if plan.unary else "ProduceMessageStream"
    now_s, made = trio.current_time(), list[Producer]()
    for number in range(count):
        open_call = partial(
            channels[number % len(channels)].open,
            f"{SERVICE}/{method}",
            ProduceMessageRequest,
            ProduceMessageResponse,
            wait_for_ready=True,
        )
        pace = Pace(now_s + number / plan.rate, count / plan.rate) if plan.rate else None
        made.append(kind(number, production, open_call, pace))
    return made


def consumers(
    topic: str, partitions: int, channels: Sequence[Channel], values: Values, ledger: LogLedger, tally: LogTally
) -> list[LogConsumer]:
    """A reader of each partition.

    Args:
        channels: that they share; without any nobody reads.
    """
    made = []
    for partition in range(partitions if channels else 0):
        open_call = partial(
            channels[partition % len(channels)].open,
            f"{SERVICE}/ConsumeMessages",
            ConsumeMessagesRequest,
            ConsumeMessagesResponse,
            wait_for_ready=True,
        )
        made.append(LogConsumer(topic, partition, open_call, values, ledger, tally))
    return made
