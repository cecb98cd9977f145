"""Who may not join, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from ride_trio.errors import LogError
from ride_trio.eventlog.group_checks import MAX_ID_CHARS, MAX_TOPICS, shown
from tests.eventlog.readers import Town

LONG = "x" * (MAX_ID_CHARS + 1)


def join(town: Town, **wants: Any) -> None:
    town.groups.join(**{"group_id": "g", "topics": ["trips"], **wants}, changed=pytest.fail, fenced=pytest.fail)


@pytest.mark.parametrize(
    ("wants", "complaint"),
    [
        ({"group_id": ""}, "group_id is empty"),
        ({"group_id": LONG}, f"group_id '{'x' * 60}'...: allowed are up to 249 printable characters"),
        ({"group_id": "a\nb"}, r"group_id 'a\nb': allowed are"),
        ({"member_id": LONG}, "member_id"),
        ({"member_id": "\ud800"}, r"member_id '\ud800'"),
        ({"client_id": "\x00"}, r"client_id '\x00'"),
        ({"topics": []}, "0 topics: a member wants 1 to 1000"),
        ({"topics": [str(n) for n in range(MAX_TOPICS + 1)]}, "1001 topics"),
        ({"topics": ["a\tb"]}, r"topic 'a\tb'"),
        ({"assignor": "round-robin"}, "no assignor 'round-robin': there are cooperative-sticky, range"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(wants: dict[str, Any], complaint: str) -> None:
    town = Town()
    with pytest.raises(LogError) as caught:
        join(town, **wants)
    assert caught.value.detail.startswith(f"INVALID_GROUP: {complaint}")
    assert town.groups.statistics().groups == 0


def test_the_longest_ids_are_taken() -> None:
    town = Town()
    longest = "ü" * MAX_ID_CHARS
    town.join(longest, "trips", group_id=longest)
    assert [group.group_id for group in town.groups.list()] == [longest]


def test_all_members_share_out_in_the_same_way() -> None:
    town = Town()
    ann = town.join("ann", assignor="range")
    for other in ("", "cooperative-sticky"):
        with pytest.raises(LogError) as caught:
            join(town, assignor=other)
        assert caught.value.detail == (
            "INCONSISTENT_GROUP_PROTOCOL: assignor 'cooperative-sticky': the 1 other members of group 'g' have 'range'"
        )
    assert len(ann.changes) == 1
    town.join("bob", assignor="range")


def test_the_only_member_may_come_back_with_another_way() -> None:
    town = Town()
    town.join("ann", assignor="range")
    town.join("ann", assignor="cooperative-sticky")
    assert town.groups.describe("g").assignor == "cooperative-sticky"
    town.join("bob")
    with pytest.raises(LogError, match="assignor 'range'"):
        town.join("ann", assignor="range")


def test_texts_from_outside_are_shown_quoted_and_cut() -> None:
    assert shown("it's\n") == '"it\'s\\n"'
    assert shown("x" * 1_000_000) == f"'{'x' * 60}'..."
