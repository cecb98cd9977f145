"""`ride-trio groups`."""

from __future__ import annotations

import json

import pytest

from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
from tests.cli.commands import Cli
from tests.cli.fake_log import ARRIVED_MS, FakeLog, FakeMember

DESCRIBED = pb.DescribeConsumerGroupResponse(
    group_id="audit",
    state="Stable",
    generation=4,
    assignor="range",
    members=[
        pb.ConsumerGroupMember(
            member_id="m-1",
            client_id="app[1]",
            client_host="10.0.0.7",
            assignments=[
                pb.TopicPartitionOffset(topic="rides", partition=1, offset=-1),
                pb.TopicPartitionOffset(topic="rides", partition=0, offset=5),
                pb.TopicPartitionOffset(topic="bills", partition=0, offset=0),
            ],
        )
    ],
    lag=[
        pb.PartitionLag(topic="rides", partition=0, committed_offset=5, end_offset=9, lag=4, member_id="m-1"),
        pb.PartitionLag(topic="rides", partition=1, committed_offset=-1, end_offset=3, lag=3),
    ],
)


def test_groups_with_state_and_members(cli: Cli, log: FakeLog) -> None:
    empty = cli("groups", "list")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert empty.stderr.startswith("no groups yet: ")
    log.offsets = {"b": {}, "a": {}}
    rows = [line.split() for line in cli("groups", "list").stdout.splitlines() if "Empty" in line]
    assert rows == [["a", "Empty", "0"], ["b", "Empty", "0"]]
    assert json.loads(cli("groups", "list", "--json").stdout)[0] == {"group": "a", "state": "Empty", "members": 0}


def test_a_description_has_members_and_lag(cli: Cli, log: FakeLog) -> None:
    log.offsets["audit"], log.described["audit"] = {}, DESCRIBED
    done = cli("groups", "describe", "audit")
    assert done.exit_code == 0
    head, *rest = done.stdout.splitlines()
    assert head == "audit: Stable, generation 4, range assignor"
    rows = [line.split() for line in rest]
    assert ["m-1", "app[1]", "10.0.0.7", "bills:", "0;", "rides:", "0,", "1"] in rows
    assert ["rides", "0", "5", "9", "4", "m-1"] in rows
    assert ["rides", "1", "-", "3", "3", "-"] in rows


def test_a_description_as_json(cli: Cli, log: FakeLog) -> None:
    log.offsets["audit"], log.described["audit"] = {}, DESCRIBED
    shown = json.loads(cli("groups", "describe", "audit", "--json").stdout)
    assert (shown["group"], shown["state"], shown["generation"], shown["assignor"]) == ("audit", "Stable", 4, "range")
    (member,) = shown["members"]
    assert member["assignments"][0] == {"topic": "rides", "partition": 1}
    assert [row["committed_offset"] for row in shown["lag"]] == [5, None]
    assert shown["lag"][0] == {
        "topic": "rides",
        "partition": 0,
        "committed_offset": 5,
        "end_offset": 9,
        "lag": 4,
        "member_id": "m-1",
    }


@pytest.mark.parametrize("command", ["describe", "delete"])
def test_a_group_that_is_none_is_one_line_that_says_where_to_look(command: str, cli: Cli) -> None:
    done = cli("groups", command, "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    shown = "`ride-trio groups list` shows which there are"
    assert done.stderr == f"ride-trio: UNKNOWN_GROUP: no group 'nobody'; {shown}\n"


def test_a_group_is_removed(cli: Cli, log: FakeLog) -> None:
    log.offsets = {"a": {}, "b": {}}
    assert cli("groups", "delete", "a").stdout == "deleted a\n"
    assert json.loads(cli("groups", "delete", "b", "--json").stdout) == {"deleted": "b"}
    assert log.offsets == {}


@pytest.mark.parametrize(
    ("to", "offsets"),
    [
        ("earliest", [1, 1]),
        ("latest", [3, 2]),
        ("2", [2, 2]),
        ("2023-11-14T22:13:20.001Z", [1, 1]),
        ("2023-11-14T22:13:20.002Z", [2, 2]),
        ("2033-01-01", [3, 2]),
    ],
)
def test_a_reset_commits_each_partitions_offset(to: str, offsets: list[int], cli: Cli, log: FakeLog) -> None:
    assert ARRIVED_MS == 1_700_000_000_000  # 2023-11-14T22:13:20Z, a ms more with each offset
    log.add_topic("rides", [b"0", b"1", b"2"], [b"0", b"1"]).begins = 1
    done = cli("groups", "reset", "audit", "--topic", "rides", "--to", to, "--json")
    assert done.exit_code == 0, done.stderr
    assert log.commits == [{("rides", 0): offsets[0], ("rides", 1): offsets[1]}]
    rows = [{"topic": "rides", "partition": n, "offset": offset} for n, offset in enumerate(offsets)]
    assert json.loads(done.stdout) == {"group": "audit", "offsets": rows}


def test_a_reset_of_one_partition_is_shown_as_a_table(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"0", b"1", b"2"], [b"0", b"1"])
    done = cli("groups", "reset", "audit", "--topic", "rides", "--partition", "1", "--to", "latest")
    assert (done.exit_code, log.commits) == (0, [{("rides", 1): 2}])
    assert ["1", "2"] in [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--topic rides --to 2", "partition 1 of rides has no offset 2: it has 0 to 1"),
        ("--topic rides --partition 7 --to latest", "rides has no partition 7: it has 0 to 1"),
        ("--topic none --to latest", "UNKNOWN_TOPIC: no topic 'none'; `ride-trio topics list` shows"),
    ],
)
def test_a_reset_that_cannot_be_changes_nothing(words: str, complaint: str, cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [b"0", b"1", b"2"], [b"0"])
    done = cli("groups", "reset", "audit", *words.split())
    assert (done.exit_code, done.stdout, log.commits) == (1, "", [])
    assert done.stderr.startswith(f"ride-trio: {complaint}")


def test_a_reset_while_there_are_members_says_when_it_can_be(cli: Cli, log: FakeLog) -> None:
    log.add_topic("rides", [])
    log.members["audit"] = FakeMember(pb.ConsumeMessagesRequest())
    done = cli("groups", "reset", "audit", "--topic", "rides", "--to", "latest")
    assert (done.exit_code, log.commits) == (1, [])
    hint = "offsets can be set when the group's consumers have ended"
    assert done.stderr == f"ride-trio: UNKNOWN_MEMBER: group 'audit' has members; {hint}\n"


def test_a_position_that_is_none_is_exit_code_2(cli: Cli, log: FakeLog) -> None:
    done = cli("groups", "reset", "audit", "--topic", "rides", "--to", "yesterday")
    assert (done.exit_code, log.asked) == (2, [])
    assert done.stderr.startswith("ride-trio: --to yesterday: allowed is earliest, latest, an offset, ")
