"""`ride-trio serve` as a process: how it begins and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = [
    word
    for option in ("--grpc-listen-addr", "--http-listen-addr", "--metrics-listen-addr")
    for word in (option, "127.0.0.1:0")
]
TIMEOUT_S = 30.0


@contextmanager
def serve(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ride_trio_cli", "serve", *LOOPBACK, *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_it_says_where_it_listens_and_ends_with_0_at_sigterm() -> None:
    with serve() as server:
        ready = re.fullmatch(
            r"ready grpc=HERE metrics=HERE http=HERE\n".replace("HERE", r"127\.0\.0\.1:(\d+)"), ready_line(server)
        )
        assert ready is not None
        for port in ready.groups():
            socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT_S).close()
        server.send_signal(signal.SIGTERM)
        rest, log = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, rest) == (0, "")
    assert "Traceback" not in log


def test_without_http_it_says_so() -> None:
    with serve("--http-listen-addr", "off") as server:
        assert ready_line(server).endswith(" http=off\n")


def test_told_so_it_ends_with_its_standard_input() -> None:
    with serve("--stop-with-stdin") as server:
        assert ready_line(server).startswith("ready ")
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(timeout=TIMEOUT_S) == 0


def test_an_address_in_use_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serve("--metrics-listen-addr", address) as server:
            said, log = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, said) == (1, "")
    *_, last = log.splitlines()
    assert last.startswith("ride-trio: cannot start: ")
    assert "Traceback" not in log


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    with serve("--heartbeat-timeout", "never") as server:
        said, log = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, said, log.count("\n")) == (2, "", 1)
    assert log.startswith("ride-trio: --heartbeat-timeout never: allowed is a duration above 0")
