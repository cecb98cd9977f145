"""Traces replayed against a server: every request is answered, and nobody is in two rides."""

from __future__ import annotations

import math
from pathlib import Path

from ride_trio_cli.server_process import server_process
from ride_trio_loadgen import RidesPlan, run_rides
from ride_trio_loadgen.trace_maker import write_traces

CABS = 12
HOURS = 0.1
SPEEDUP = 60.0
SETTINGS = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "match_window_s": "200ms",
    "match_timeout_s": "2s",
    "log_level": "warning",
}


async def test_a_replay_ends_with_an_answer_to_every_request_and_no_error(tmp_path: Path) -> None:
    traces = write_traces(tmp_path, CABS, HOURS, seed=3)
    for trace in traces[::2]:  # files come in either order of time
        trace.write_text("".join(reversed(trace.read_text().splitlines(keepends=True))))
    async with server_process(SETTINGS) as server:
        plan = RidesPlan(
            target_host=server.grpc.host,
            target_port=server.grpc.port,
            drivers=0,
            riders=0,
            duration_s=math.inf,
            rate_hz=1.0,
            traces=tuple(traces),
            speedup=SPEEDUP,
            match_timeout_s=2.0,
        )
        report = (await run_rides(plan)).to_json()
    assert report["errors"] == {}
    assert report["requests"] > 0
    assert report["matches"] > 0
    assert report["requests"] == report["matches"] + report["no_driver"]
    assert report["sent"] == report["acked"]
