"""The examples of docs/log-api.md, run in their order against a server: Python as it stands, grpcurl by reflection."""

from __future__ import annotations

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import grpc
import trio

from ride_trio_cli.server_process import server_process
from tests.integration.reflected import Reflected

ROOT = Path(__file__).parents[2]
LISTEN = {
    "grpc_listen_addr": "127.0.0.1:0",
    "http_listen_addr": "off",
    "metrics_listen_addr": "127.0.0.1:0",
    "log_level": "warning",
}
PATIENCE_S = 120.0
EXAMPLE_S = 15.0
SERVICE = "takhin.v1.TakhinService"


def examples() -> list[tuple[str, str]]:
    """Kind and text of each block of code."""
    text = (ROOT / "docs/log-api.md").read_text()
    return re.findall(r"^```(\S[^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Method and requests of each line."""
    for line in block.splitlines():
        words = shlex.split(line)
        assert words[:2] == ["grpcurl", "-plaintext"]
        data = words[words.index("-d") + 1] if "-d" in words else "{}"
        yield words[-1], [json.dumps(item) for item in objects(data)]


def objects(text: str) -> Iterator[object]:
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        item, position = decoder.raw_decode(text, position)
        yield item
        position += len(text[position:]) - len(text[position:].lstrip())


def run_grpcurl(port: int, block: str) -> list[object]:
    answers: list[object] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = Reflected(channel)
        for path, requests in commands(block):
            if path.endswith("Stream"):
                answers += client.both_ways(path, requests)
            elif path.endswith("/ConsumeMessages"):
                answers += list(client.stream(path, *requests))
            else:
                answers.append(client.call(path, *requests))
    return answers


async def run_python(port: int, frame: str, example: str) -> str:
    """Run an example in its frame, in a process of its own."""
    indent = re.search(r"^( *)\.\.\.", frame, re.MULTILINE)
    assert indent is not None
    body = textwrap.indent(example, indent[1])
    program = re.sub(r"^ *\.\.\..*\n", lambda _: body, frame, flags=re.MULTILINE).replace("7443", str(port))
    command = [sys.executable, "-c", program]
    with trio.move_on_after(EXAMPLE_S):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        return "" if done.returncode == 0 else done.stderr.decode()
    return f"not done within {EXAMPLE_S:g} s"


async def test_every_example_does_what_it_says() -> None:
    found = examples()
    (frame,) = [text for kind, text in found if kind == "python frame"]
    with trio.fail_after(PATIENCE_S):
        async with server_process(LISTEN) as server:
            for kind, text in found:
                if kind == "python":
                    assert await run_python(server.grpc.port, frame, text) == "", text
                elif kind == "grpcurl":
                    answers = await trio.to_thread.run_sync(run_grpcurl, server.grpc.port, text)
                    assert answers
                    assert not any("error" in answer for answer in answers if isinstance(answer, dict)), text


def test_every_method_has_its_three_examples() -> None:
    proto = (ROOT / "proto/takhin/v1/takhin.proto").read_text()
    by_kind = {kind: "".join(text for k, text in examples() if k == kind) for kind in ("grpcurl", "python", "go")}
    methods = re.findall(r"^  rpc (\w+)\(", proto, re.MULTILINE)
    assert len(methods) == 15
    assert [(kind, m) for kind, text in by_kind.items() for m in methods if not re.search(rf"\b{m}\b", text)] == []
