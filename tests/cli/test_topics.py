"""`ride-trio topics`."""

from __future__ import annotations

import json

import pytest

from tests.cli.commands import Cli
from tests.cli.fake_log import FakeLog


def test_a_topic_is_made_as_the_options_say(cli: Cli, log: FakeLog) -> None:
    words = "topics create rides --partitions 3 --config retention.ms=1000 --config cleanup.policy=compact"
    done = cli(*words.split())
    assert (done.exit_code, done.stdout, done.stderr) == (0, "created rides with 3 partitions\n", "")
    (asked,) = log.asked
    assert (asked.name, asked.num_partitions, asked.replication_factor) == ("rides", 3, 1)
    assert dict(asked.configs) == {"retention.ms": "1000", "cleanup.policy": "compact"}


def test_what_was_made_as_json(cli: Cli) -> None:
    done = cli("topics", "create", "rides", "--config", "retention.ms=1000", "--json")
    assert json.loads(done.stdout) == {"created": "rides", "partitions": 1, "configs": {"retention.ms": "1000"}}


def test_a_refusal_is_one_line_and_exit_code_1(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    done = cli("topics", "create", "rides")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "ride-trio: TOPIC_EXISTS: there is a topic 'rides' already\n"


@pytest.mark.parametrize("config", ["retention.ms", "=5", ""])
def test_a_config_is_a_name_and_a_value(config: str, cli: Cli, log: FakeLog) -> None:
    done = cli("topics", "create", "rides", "--config", config)
    assert (done.exit_code, done.stderr) == (2, f"ride-trio: --config {config}: allowed is NAME=VALUE\n")
    assert log.asked == []


def test_a_topic_is_removed(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    done = cli("topics", "delete", "rides")
    assert (done.exit_code, done.stdout, log.topics) == (0, "deleted rides\n", {})
    log.add_topic("rides", [])
    assert json.loads(cli("topics", "delete", "rides", "--json").stdout) == {"deleted": "rides"}
    gone = cli("topics", "delete", "rides")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert gone.stderr.startswith("ride-trio: UNKNOWN_TOPIC: no topic 'rides'; `ride-trio topics list` shows")


def test_names_one_a_line(cli: Cli, log: FakeLog) -> None:
    empty = cli("topics", "list")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert empty.stderr == "no topics yet: `ride-trio topics create NAME` makes one\n"
    for name in ("b", "a"):
        log.add_topic(name, [])
    assert cli("topics", "list").stdout == "a\nb\n"
    assert json.loads(cli("topics", "list", "--json").stdout) == ["a", "b"]


def test_a_description_has_configs_and_each_partitions_offsets(cli: Cli, log: FakeLog) -> None:
    topic = log.add_topic("rides", [b"1", b"2", b"3"], [b"4"])
    topic.configs, topic.begins = {"retention.ms": "9", "cleanup.policy": "delete"}, 1
    log.add_topic("other", [])
    done = cli("topics", "describe", "rides")
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["rides", "cleanup.policy=delete", "retention.ms=9"] in rows
    assert ["0", "1", "3"] in rows
    assert ["1", "1", "1"] in rows
    assert "other" not in done.stdout
    described = cli("topics", "describe", "--json", "rides")
    assert json.loads(described.stdout) == [
        {
            "name": "rides",
            "configs": {"cleanup.policy": "delete", "retention.ms": "9"},
            "partitions": [
                {"partition": 0, "beginning_offset": 1, "end_offset": 3},
                {"partition": 1, "beginning_offset": 1, "end_offset": 1},
            ],
        }
    ]


def test_without_names_all_are_described(cli: Cli, log: FakeLog) -> None:
    log.add_topic("a", [])
    log.add_topic("b", [])
    assert [topic["name"] for topic in json.loads(cli("topics", "describe", "--json").stdout)] == ["a", "b"]


def test_a_name_that_is_none_is_said_after_the_others(cli: Cli, log: FakeLog) -> None:
    log.add_topic("a", [])
    done = cli("topics", "describe", "--json", "z", "a", "y")
    assert ([topic["name"] for topic in json.loads(done.stdout)], done.exit_code) == (["a"], 1)
    assert done.stderr == "ride-trio: no topic y, z; `ride-trio topics list` shows which there are\n"
