"""A stock purerpc service and client, and the same two with nothing but an import line changed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grpc_tools import protoc

HERE = Path(__file__).parent / "purerpc_example"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
SPOKEN = """\
Hello, World
example.greeter.Greeter 0: World
example.greeter.Greeter 1: World
example.greeter.Greeter 2: World
Hello, Ada, Grace, Barbara
Hello, Ada
Hello, Grace
Hello, Barbara
"""
STOCK = {"server": "from purerpc import Server\n", "client": "from purerpc import insecure_channel\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example with its generated code, as it is and with our imports."""
    plugin = Path(sys.executable).with_name("protoc-gen-purerpc")
    arguments = [
        "protoc", f"--plugin=protoc-gen-purerpc={plugin}", f"-I{HERE}",
        f"--python_out={tmp_path}", f"--purerpc_out={tmp_path}", "greeter.proto",
    ]  # fmt: skip
    assert protoc.main(arguments) == 0
    for role, line in STOCK.items():
        source = (HERE / f"example_{role}.py").read_text()
        assert source.count(line) == 1
        (tmp_path / f"purerpc_{role}.py").write_text(source)
        (tmp_path / f"ours_{role}.py").write_text(source.replace(line, line.replace("purerpc", "ride_trio.rpc")))
    return tmp_path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("client", ["purerpc", "ours"])
@pytest.mark.parametrize("server", ["purerpc", "ours"])
def test_the_example_says_the_same(folder: Path, server: str, client: str) -> None:
    port = str(_free_port())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    serving = subprocess.Popen([sys.executable, f"{server}_server.py", port], cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _listens(int(port)):
            assert serving.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        said = subprocess.run(
            [sys.executable, f"{client}_client.py", port],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
    finally:
        serving.kill()
        serving.wait()
    assert said.stdout.startswith(SPOKEN), said.stderr
    assert "who?" in said.stdout.removeprefix(SPOKEN)
