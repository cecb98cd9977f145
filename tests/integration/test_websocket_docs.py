"""The examples of docs/websocket.md, run as they stand: a page's by node, beside Python's."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import trio

from ride_trio_cli.server_process import server_process

ROOT = Path(__file__).parents[2]
LISTEN = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "127.0.0.1:0",
    "metrics_listen_addr": "127.0.0.1:0",
    "match_window_s": "100ms",
    "log_level": "warning",
}
PATIENCE_S = 60.0


def example(language: str) -> str:
    text = (ROOT / "docs/websocket.md").read_text()
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


async def run(command: list[str]) -> str:
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_rider_of_the_page_and_the_driver_of_the_program_meet() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    with trio.fail_after(PATIENCE_S):
        async with server_process(LISTEN) as server, trio.open_nursery() as nursery:
            said: dict[str, str] = {}

            async def run_example(name: str, command: list[str]) -> None:
                said[name] = await run(command)

            place = f'globalThis.location = {{ host: "{server.http}" }};\n'
            leave = "\nsetTimeout(() => socket.close(1000), 8000).unref();\n"
            ends = (
                'socket.addEventListener("message", ({ data }) => data.includes("matchEvent") && socket.close(1000));\n'
            )
            page = place + example("js") + leave + ends
            program = example("python").replace("localhost:8080", str(server.http))
            nursery.start_soon(
                run_example, "page", [node, "--experimental-websocket", "--input-type=module", "-e", page]
            )
            nursery.start_soon(run_example, "program", [sys.executable, "-c", program])
    assert said["program"] == "drive to ann\n"
    assert said["page"] == "dan comes\nclosed: 1000 \n"
