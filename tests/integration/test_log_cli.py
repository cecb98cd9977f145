"""The log's commands against a server in a process of its own; those that go on for ever are processes, too."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Cli

PATIENCE_S = 30.0
POLL_S = 0.02
USERS = 23
COMMAND = (sys.executable, "-m", "ride_trio_cli")
LOOPBACK = [w for o in ("grpc", "http", "metrics") for w in (f"--{o}-listen-addr", "127.0.0.1:0")]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server listens, the same for all tests: to start one takes longer than any of them."""
    folder = tmp_path_factory.mktemp("server")
    command = [*COMMAND, "serve", *LOOPBACK, "--data-dir", str(folder / "data"), "--log-level", "warning"]
    with (folder / "log").open("w") as log, running(command, stderr=log) as server:
        assert server.stdout is not None
        _, grpc, *_ = server.stdout.readline().decode().split()
        yield grpc.removeprefix("grpc=")
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture
def cli(
    target: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """Runs commands; topic `rides` and group `g` are a test's own."""
    monkeypatch.setenv("RIDE_TRIO_TARGET", target)
    cli = Cli(capfd, tmp_path, monkeypatch)
    yield cli
    cli("topics", "delete", "rides")
    cli("groups", "delete", "g")


@contextmanager
def running(command: Any, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output is a pipe; it does not outlive the block."""
    with subprocess.Popen(command, **{"stdout": subprocess.PIPE, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


class Consumer:
    """`ride-trio consume rides`, a process that prints into a file."""

    def __init__(self, path: Path, words: tuple[str, ...]) -> None:
        self._path = path
        with path.open("wb") as file:
            self.process = subprocess.Popen([*COMMAND, "consume", "rides", *words], stdout=file)

    @property
    def lines(self) -> list[int]:
        return [int(line) for line in self._path.read_text().splitlines()]

    def leave(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_S) == 0


Start = Callable[..., Consumer]


@pytest.fixture
def start(tmp_path: Path, cli: Cli) -> Iterator[Start]:
    """Starts consumers: `start("--group", "g")`."""
    started: list[Consumer] = []

    def one(*words: str) -> Consumer:
        started.append(Consumer(tmp_path / f"consumer-{len(started)}", words))
        return started[-1]

    yield one
    for consumer in started:
        consumer.process.kill()
        consumer.process.wait()


def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(POLL_S)


def keyed(numbers: Iterable[int]) -> bytes:
    """Lines with one of some users as the key, and a number."""
    return b"".join(b"user-%d=%d\n" % (number % USERS, number) for number in numbers)


def ok(cli: Cli, *words: str, stdin: bytes = b"") -> str:
    """What a command prints that has to end well."""
    done = cli(*words, stdin=stdin)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def lag(cli: Cli) -> dict[int, tuple[int | None, int]]:
    """Offset that group g has committed, and lag, of each partition."""
    shown = json.loads(ok(cli, "groups", "describe", "g", "--json"))
    return {row["partition"]: (row["committed_offset"], row["lag"]) for row in shown["lag"]}


def is_shared(cli: Cli, *counts: int) -> bool:
    """Whether the members of group g have so many partitions."""
    done = cli("groups", "describe", "g", "--json")
    members = json.loads(done.stdout)["members"] if done.exit_code == 0 else []
    return sorted(len(member["assignments"]) for member in members) == sorted(counts)


def test_what_is_produced_is_consumed_each_key_in_order(cli: Cli) -> None:
    assert ok(cli, "topics", "create", "rides", "--partitions", "3", "--config", "retention.ms=86400000")
    sent = json.loads(ok(cli, "produce", "rides", "--key-separator", "=", "--json", stdin=keyed(range(100))))
    assert sent["acknowledged"] == 100

    (topic,) = json.loads(ok(cli, "topics", "describe", "rides", "--json"))
    assert topic["configs"] == {"retention.ms": "86400000"}
    ends = {row["partition"]: row["end_offset"] for row in topic["partitions"]}
    assert ends == {row["partition"]: row["last_offset"] + 1 for row in sent["partitions"]}
    assert (sum(ends.values()), len(ends)) == (100, 3)

    records = [json.loads(line) for line in ok(cli, "consume", "rides", "--max", "100", "--json").splitlines()]
    for user in range(USERS):
        own = [record for record in records if record["key"] == f"user-{user}"]
        assert [int(record["value"]) for record in own] == list(range(user, 100, USERS))
        assert len({record["partition"] for record in own}) == 1


def test_what_the_log_refuses_is_a_line(cli: Cli) -> None:
    assert ok(cli, "topics", "create", "rides")
    for words, complaint in {
        "topics create rides": "TOPIC_EXISTS: ",
        "topics create x --config a=b": "INVALID_CONFIG: ",
        "consume rides --partition 7": "UNKNOWN_PARTITION: ",
        "consume rides --partition 0 --from 7": "OFFSET_OUT_OF_RANGE: ",
        "consume none --group g": "UNKNOWN_TOPIC: ",
        "groups describe none": "UNKNOWN_GROUP: ",
        "groups reset g --topic rides --to 7": "partition 0 of rides has no offset 7: it has 0 to 0",
    }.items():
        done = cli(*words.split())
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"ride-trio: {complaint}")


def test_a_group_goes_on_where_it_was_and_where_it_is_told(cli: Cli) -> None:
    assert ok(cli, "topics", "create", "rides")
    ok(cli, "produce", "rides", stdin=b"0\n1\n2\n")
    time.sleep(0.002)  # so that the next one is of a later millisecond
    ok(cli, "produce", "rides", stdin=b"3\n4\n")
    fourth_ms = json.loads(ok(cli, "consume", "rides", "--max", "5", "--json").splitlines()[3])["timestamp"]
    fourth = datetime.fromtimestamp(fourth_ms / 1000, UTC).isoformat(timespec="milliseconds")

    assert ok(cli, "consume", "rides", "--group", "g", "--max", "2") == "0\n1\n"
    assert ok(cli, "consume", "rides", "--group", "g", "--max", "1") == "2\n"
    for to, offset in (("latest", 5), ("1h", 0), ("2099-01-01", 5), ("earliest", 0), ("4", 4), (fourth, 3)):
        assert ok(cli, "groups", "reset", "g", "--topic", "rides", "--to", to)
        assert lag(cli) == {0: (offset, 5 - offset)}
    assert ok(cli, "consume", "rides", "--group", "g", "--max", "1") == "3\n"
    assert ok(cli, "groups", "delete", "g")
    assert json.loads(ok(cli, "groups", "list", "--json")) == []


def test_a_topic_that_is_deleted_ends_who_reads_it(cli: Cli, start: Start) -> None:
    assert ok(cli, "topics", "create", "rides")
    ok(cli, "produce", "rides", stdin=b"0\n")
    consumer = start()
    until(lambda: consumer.lines == [0])
    assert ok(cli, "topics", "delete", "rides")
    assert consumer.process.wait(PATIENCE_S) == 1


def test_members_share_a_topic_and_who_leaves_hands_over_without_a_loss_or_a_double(cli: Cli, start: Start) -> None:
    assert ok(cli, "topics", "create", "rides", "--partitions", "4")
    first, second = start("--group", "g"), start("--group", "g")
    until(lambda: is_shared(cli, 2, 2))
    for words in ("reset g --topic rides --to latest", "delete g"):
        refused = cli("groups", *words.split())
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)

    ok(cli, "produce", "rides", "--key-separator", "=", stdin=keyed(range(100)))
    until(lambda: len(first.lines) + len(second.lines) == 100)
    assert min(len(first.lines), len(second.lines)) > 0
    first.leave()
    until(lambda: is_shared(cli, 4))
    ok(cli, "produce", "rides", "--key-separator", "=", stdin=keyed(range(100, 200)))
    until(lambda: len(first.lines) + len(second.lines) >= 200)
    second.leave()
    assert sorted(first.lines + second.lines) == list(range(200))
    assert {behind for _, behind in lag(cli).values()} == {0}


def test_a_tail_ends_with_who_reads_it_and_has_committed(cli: Cli) -> None:
    assert ok(cli, "topics", "create", "rides")
    ok(cli, "produce", "rides", stdin=b"old\n")
    tail = f"{shlex.join(COMMAND)} consume rides --group g --from latest | head -n 2"
    with running(["bash", "-o", "pipefail", "-c", tail]) as pipeline:
        until(lambda: is_shared(cli, 1))
        ok(cli, "produce", "rides", stdin=b"0\n1\n")
        shown, _ = pipeline.communicate(timeout=PATIENCE_S)
        assert (pipeline.returncode, shown) == (0, b"0\n1\n")
    assert lag(cli) == {0: (3, 0)}
