"""`ride-trio produce`: what it makes of its options, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.commands import Cli
from tests.cli.fake_log import FakeLog


def test_lines_of_standard_input_become_records(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    done = cli("produce", "rides", stdin=b"one\ntwo\nthree")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "3 records acknowledged\n")
    assert [record.value for record in log.topics["rides"].partitions[0]] == [b"one", b"two", b"three"]
    assert {(request.partition, request.required_acks) for request in log.asked} == {(-1, -1)}


def test_options_are_in_every_record(cli: Cli, log: FakeLog, tmp_path: Path) -> None:
    log.add_topic("rides", [], [])
    file = tmp_path / "lines"
    file.write_text("one\n")
    words = "--key ann --header trace=7 --header to=a=b --partition 1 --acks 1"
    done = cli("produce", "rides", *words.split(), str(file))
    assert (done.exit_code, done.stderr) == (0, "1 record acknowledged\n")
    (request,) = log.asked
    assert (request.topic, request.partition, request.required_acks) == ("rides", 1, 1)
    assert (request.record.key, request.record.value) == (b"ann", b"one")
    assert [(header.key, header.value) for header in request.record.headers] == [("trace", b"7"), ("to", b"a=b")]


@pytest.mark.parametrize(("acks", "on_the_wire"), [("0", 0), ("1", 1), ("all", -1)])
def test_acks_are_a_number_on_the_wire(acks: str, on_the_wire: int, cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    assert cli("produce", "rides", "--acks", acks, stdin=b"1\n").exit_code == 0
    assert log.asked[0].required_acks == on_the_wire


def test_a_line_can_have_its_own_key(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    assert cli("produce", "rides", "--key-separator", "=", stdin=b"ann=1\nbob=2=3\n").exit_code == 0
    assert [(r.key, r.value) for r in log.topics["rides"].partitions[0]] == [(b"ann", b"1"), (b"bob", b"2=3")]


def test_the_first_error_is_named_with_its_line_and_exit_code_1(cli: Cli, log: FakeLog, tmp_path: Path) -> None:
    log.add_topic("rides", [])
    file = tmp_path / "lines"
    file.write_text("a=1\nb=2\nnothing\nc=3\n")
    done = cli("produce", "rides", "--key-separator", "=", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    complaint = f"ride-trio: {file} line 3: there is no '=' that would end a key\n"
    assert done.stderr == f"2 records acknowledged\n{complaint}"


def test_a_topic_that_is_none_is_named(cli: Cli) -> None:
    done = cli("produce", "none", stdin=b"1\n2\n")
    assert done.exit_code == 1
    said, complaint = done.stderr.splitlines()
    assert said == "0 records acknowledged"
    assert complaint.startswith("ride-trio: line 1: UNKNOWN_TOPIC: no topic 'none'; `ride-trio topics list` shows")


def test_json_says_how_it_went(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"0"])
    done = cli("produce", "rides", "--json", stdin=b"1\n2\n")
    assert json.loads(done.stdout) == {
        "topic": "rides",
        "sent": 2,
        "acknowledged": 2,
        "partitions": [{"partition": 0, "last_offset": 2}],
        "error": None,
    }
    failed = cli("produce", "none", "--json", stdin=b"1\n")
    shown = json.loads(failed.stdout)
    assert (shown["acknowledged"], shown["partitions"], failed.exit_code) == (0, [], 1)
    assert shown["error"].startswith("line 1: UNKNOWN_TOPIC: ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--key a --key-separator =", "--key --key-separator: a record has one key"),
        ("--key-separator ", "--key-separator '': allowed is one character or more"),
        ("--header trace", "--header trace: allowed is NAME=VALUE"),
        ("/none/lines", "/none/lines: No such file or directory"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(words: str, line: str, cli: Cli, log: FakeLog) -> None:
    done = cli("produce", "rides", *words.split(" "))
    assert (done.exit_code, done.stderr, log.asked) == (2, f"ride-trio: {line}\n", [])


@pytest.mark.parametrize("words", ["--acks 2", "--partition -1"])
def test_what_typer_refuses_is_exit_code_2_too(words: str, cli: Cli) -> None:
    assert cli("produce", "rides", *words.split()).exit_code == 2


def test_ctrl_c_ends_it_when_what_was_sent_is_answered(cli: Cli, log: FakeLog, tmp_path: Path) -> None:
    """A pipe that nobody closes stands for a person at a keyboard; the log presses Ctrl-C as the first line comes."""
    log.add_topic("rides", [])
    log.on_record = lambda: os.kill(os.getpid(), signal.SIGINT)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keyboard = os.open(pipe, os.O_RDWR)
    try:
        os.write(keyboard, b"one\n")
        done = cli("produce", "rides", str(pipe))
    finally:
        os.close(keyboard)
    assert (done.exit_code, done.stderr) == (130, "1 record acknowledged\nride-trio: interrupted\n")
