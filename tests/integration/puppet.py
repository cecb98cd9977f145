"""Drives one of the programs in `puppets/`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import trio

from ride_trio.pb.ride.v1 import ride_pb2 as pb

HERE = Path(__file__).parent / "puppets"
ROOT = Path(__file__).parents[2]
# A client starts an interpreter and imports a gRPC library before it says anything; CI machines are slow.
PATIENCE_S = 30.0

PYTHON_PUPPETS = {"grpcio_sync": "grpc", "grpcio_aio": "grpc", "grpclib_client": "grpclib", "stock_purerpc": "purerpc"}
PUPPETS = [*PYTHON_PUPPETS, "grpc_js"]


@dataclass
class Heard:
    """What has come on one stream."""

    envelopes: list[pb.ServerEnvelope] = field(default_factory=list)
    ended: tuple[int, str] | None = None

    def of(self, kind: str) -> list[Any]:
        return [getattr(e, kind) for e in self.envelopes if e.WhichOneof("body") == kind]


class Puppet:
    """A running client program."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.heard: dict[str, Heard] = {}
        self._news = trio.Event()

    async def order(self, who: str, **what: Any) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps({"who": who, **what}).encode() + b"\n")

    async def open(self, who: str, user_id: str) -> Heard:
        self.heard[who] = Heard()
        await self.order(who, open=user_id)
        return self.heard[who]

    async def send(self, who: str, **body: Any) -> None:
        await self.order(who, send=b64encode(pb.ClientEnvelope(**body).SerializeToString()).decode())

    async def read(self) -> None:
        """Take in what the program says, until it ends."""
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            self._news.set()
            self._news = trio.Event()

    def _take(self, row: dict[str, Any]) -> None:
        heard = self.heard[row["who"]]
        if "got" in row:
            heard.envelopes.append(pb.ServerEnvelope.FromString(b64decode(row["got"])))
        else:
            heard.ended = (row["code"], row["details"])

    async def until(self, condition: Any) -> None:
        """Wait until a condition over what was heard holds."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await self._news.wait()


def _command(name: str) -> tuple[list[str], dict[str, str]]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "cli", ROOT / "loadgen")))}
    if name in PYTHON_PUPPETS:
        pytest.importorskip(PYTHON_PUPPETS[name])
        return [sys.executable, str(HERE / f"{name}.py")], environ
    node, modules = shutil.which("node"), os.environ.get("RIDE_TRIO_NODE_MODULES", str(ROOT / ".node/node_modules"))
    if node is None or not (Path(modules) / "@grpc/grpc-js").exists():
        pytest.skip("node or @grpc/grpc-js is not here: npm install --prefix .node @grpc/grpc-js")
    return [node, str(HERE / f"{name}.js")], {**environ, "NODE_PATH": modules}


@asynccontextmanager
async def puppet(name: str, target: str) -> AsyncIterator[Puppet]:
    """Run a puppet against HOST:PORT while the block runs."""
    command, environ = _command(name)
    process = await trio.lowlevel.open_process([*command, target], stdin=PIPE, stdout=PIPE, env=environ)
    try:
        async with trio.open_nursery() as nursery:
            client = Puppet(process)
            nursery.start_soon(client.read)
            yield client
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()
