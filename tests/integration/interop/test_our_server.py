"""gRPC's interoperability cases: our server under grpcio and grpc-js."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import trio

from tests.integration.interop import grpcio_client
from tests.integration.interop.our_server import our_server
from tests.integration.interop.recorder import recording


@pytest.mark.parametrize("name", grpcio_client.CASES)
async def test_case_with_grpcio(name: str, nursery: trio.Nursery) -> None:
    server = our_server()
    port = await nursery.start(server.serve_async)
    async with recording(port) as recorder:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(grpcio_client.play, recorder.port, name)
        if name in grpcio_client.COMPRESSED:
            assert (recorder.client.compressed, recorder.server.compressed) == grpcio_client.COMPRESSED[name]
            named = recorder.server.values(b"grpc-encoding") or recorder.client.values(b"grpc-encoding")
            assert b"gzip" in named
        assert set(recorder.server.values(b"grpc-accept-encoding")) <= {b"identity,gzip"}
        if name.startswith("cancel"):
            assert recorder.client.resets in ([], [8])  # CANCEL, unless the call had not begun
    with trio.fail_after(10):
        while server.statistics().calls:  # noqa: ASYNC110 - what is waited for happens in the kernel, too
            await trio.sleep(0.01)


async def test_cases_with_grpc_js(nursery: trio.Nursery, node_modules: str) -> None:
    """All in one process: node needs half a second to begin."""
    server = our_server()
    port = await nursery.start(server.serve_async)
    async with recording(port) as recorder:
        said = await trio.to_thread.run_sync(_play_in_node, recorder.port, node_modules)
        assert said.returncode == 0, said.stderr
        assert said.stdout.split() == list(grpcio_client.CASES)
        assert True in recorder.client.compressed
        assert True in recorder.server.compressed
        assert b"gzip" in recorder.server.values(b"grpc-encoding")


def _play_in_node(port: int, modules: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", str(Path(__file__).with_name("grpc_js_client.js")), str(port)],
        env={**os.environ, "NODE_PATH": modules},
        capture_output=True,
        text=True,
        timeout=60,
    )
