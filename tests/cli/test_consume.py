"""`ride-trio consume`: what it makes of its options, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.cli.commands import Cli
from tests.cli.fake_log import ARRIVED_MS, FakeLog

PATIENCE_S = 10


def test_values_are_printed_one_a_line(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"one", b"\xff", "zwölf".encode()])
    done = cli("consume", "rides", "--max", "3")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "one\n\\xff\nzwölf\n", "")


def test_details_are_before_each_value(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"one"])
    done = cli("consume", "rides", "--max", "1", "--details")
    assert done.stdout == "0:0\t2023-11-14T22:13:20.000Z\t\t\tone\n"


def test_json_is_an_object_a_line(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"one", b"\xff"])
    done = cli("consume", "rides", "--max", "2", "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["offset"], first["value"], first["timestamp"]) == (0, "one", ARRIVED_MS)
    assert (second["offset"], second["value_base64"]) == (1, "/w==")


@pytest.mark.parametrize(
    ("begin", "first"),
    [("earliest", "0"), ("2", "2"), ("2023-11-14T22:13:20.001Z", "1")],
)
def test_it_begins_where_it_is_told(begin: str, first: str, cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"other"], [b"0", b"1", b"2"])
    done = cli("consume", "rides", "--partition", "1", "--from", begin, "--max", "1")
    assert (done.exit_code, done.stdout) == (0, f"{first}\n")


@pytest.mark.parametrize(("begin", "offset"), [("earliest", -1), ("latest", -2)])
def test_ends_of_a_partition_are_what_the_wire_says(begin: str, offset: int, cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"0"])
    log.on_consume = lambda: os.kill(os.getpid(), signal.SIGINT)
    assert cli("consume", "rides", "--partition", "0", "--from", begin).exit_code == 0
    assert (log.asked[0].offset, log.asked[0].start_timestamp_ms) == (offset, 0)


def test_a_group_goes_on_where_it_was(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"0", b"1", b"2"])
    for expected in ("0\n", "1\n"):
        assert cli("consume", "rides", "--group", "g", "--max", "1").stdout == expected
    assert log.commits == [{("rides", 0): 1}, {("rides", 0): 2}]


def test_a_topic_that_is_none_is_one_line_and_exit_code_1(cli: Cli) -> None:
    for words in ((), ("--partition", "0"), ("--group", "g")):
        done = cli("consume", "none", *words)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("ride-trio: UNKNOWN_TOPIC: no topic 'none'; `ride-trio topics list` shows")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--group g --partition 1", "--group --partition: the group assigns the partitions"),
        ("--from 5", "--from 5: an offset needs --partition"),
        ("--from 5 --group g", "--from 5 --group: a group begins at a time; `ride-trio groups reset` sets an offset"),
        ("--details --json", "--details --json: JSON has all the details"),
    ],
)
def test_options_that_do_not_go_together_are_one_line_and_exit_code_2(
    words: str, line: str, cli: Cli, log: FakeLog
) -> None:
    done = cli("consume", "rides", *words.split())
    assert (done.exit_code, done.stderr, log.asked) == (2, f"ride-trio: {line}\n", [])


@pytest.mark.parametrize("words", ["--max 0", "--partition -1"])
def test_what_typer_refuses_is_exit_code_2_too(words: str, cli: Cli) -> None:
    assert cli("consume", "rides", *words.split()).exit_code == 2


def test_a_position_that_is_none_is_exit_code_2(cli: Cli) -> None:
    done = cli("consume", "rides", "--from", "tomorrow")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("ride-trio: --from tomorrow: allowed is earliest, latest, an offset, ")


# ---------------------------------------------------------------------- ends of a run that would go on for ever


@contextmanager
def standard_output_read_by(
    read: Callable[[io.TextIOWrapper], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Have a thread read from the other end of standard output, a pipe, which is closed as it ends."""
    reading, writing = os.pipe()

    def run() -> None:
        with open(reading) as lines:
            read(lines)

    thread = threading.Thread(target=run)
    thread.start()
    with open(writing, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        yield
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_ctrl_c_ends_it_and_a_group_has_committed_what_was_printed(
    cli: Cli, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_topic("rides", [b"0", b"1", b"2"])
    got = []

    def read(lines: io.TextIOWrapper) -> None:
        got.extend([lines.readline() for _ in range(3)])
        os.kill(os.getpid(), signal.SIGINT)
        lines.read()

    with standard_output_read_by(read, monkeypatch):
        done = cli("consume", "rides", "--group", "g")
    assert (done.exit_code, done.stderr, got) == (0, "", ["0\n", "1\n", "2\n"])
    assert log.offsets["g"] == {("rides", 0): 3}


def test_ctrl_c_before_there_was_enough_is_exit_code_130(
    cli: Cli, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_topic("rides", [b"0"])

    def read(lines: io.TextIOWrapper) -> None:
        lines.readline()
        os.kill(os.getpid(), signal.SIGINT)
        lines.read()

    with standard_output_read_by(read, monkeypatch):
        done = cli("consume", "rides", "--max", "5")
    assert (done.exit_code, done.stderr) == (130, "ride-trio: interrupted after 1 of 5 records\n")


def test_it_ends_with_who_reads_it_although_no_record_comes(
    cli: Cli, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_topic("rides", [b"0", b"1"])
    got = []
    with standard_output_read_by(lambda lines: got.append(lines.readline()), monkeypatch):
        done = cli("consume", "rides", "--group", "g")
    assert (done.exit_code, done.stderr, got) == (0, "", ["0\n"])
    assert log.offsets["g"] == {("rides", 0): 2}


def test_a_terminal_obeys_nothing_of_a_record(cli: Cli, log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.add_topic("rides", [b"\x1b[2J"])
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    assert cli("consume", "rides", "--max", "1").stdout == "\\x1b[2J\n"
    assert "\\u001b[2J" in cli("consume", "rides", "--max", "1", "--json").stdout
