"""The parts are made from the settings."""

from dataclasses import replace

from ride_trio.config import Settings
from ride_trio.metrics import RideMetrics
from ride_trio.services import RideContext


async def test_settings_reach_the_parts() -> None:
    settings = replace(Settings(), shard_count=3, outbound_buffer=7, heartbeat_timeout_s=9.0)
    context = RideContext.build(settings, RideMetrics(), lambda: 0.0)
    assert context.broker.statistics().shards == 3
    assert (context.outbound_buffer, context.heartbeat_interval_s, context.heartbeat_timeout_s) == (7, 5.0, 9.0)
