from __future__ import annotations

import io

import pytest
import trio
from rich.console import Console

from ride_trio_loadgen.bench import rpc
from ride_trio_loadgen.bench.child import child
from ride_trio_loadgen.bench.echo_servers import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_engine_echoes_and_tells_its_cpu_time(engine: str) -> None:
    pytest.importorskip("grpc")
    pytest.importorskip("grpclib")
    with child("ride_trio_loadgen.bench.echo_servers", engine) as server, trio.fail_after(30):
        assert await rpc.echo(server.port, 200, server) >= 0


def test_the_table_gives_each_median_and_its_ratio_to_the_baseline() -> None:
    results = [rpc.EchoResult(rpc.OURS, (4.0, 5.0, 90.0)), rpc.EchoResult(rpc.BASELINE, (100.0, 50.0, 60.0))]
    out = Console(file=io.StringIO(), width=120)
    out.print(rpc.table(results))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "5.0" in text
    assert "1/12.0" in text
    assert "4.0 - 90.0" in text
