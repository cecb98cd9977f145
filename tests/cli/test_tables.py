"""Tables for people, JSON for programs."""

from __future__ import annotations

import json

import pytest

from ride_trio_cli.tables import print_json, print_table


def test_numbers_stand_on_the_right_and_words_on_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "count"), [("a", 5), ("bb", 12_345), ("c", "-")], "title")
    title, *lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.strip()]
    assert title == "title"
    assert [row.split() for row in (rows[0], *rows[2:])] == [["name", "count"], ["a", "5"], ["bb", "12345"], ["c", "-"]]
    assert rows[2].index("a") == rows[3].index("bb")
    assert len({len(row.rstrip()) for row in rows[2:]}) == 1


def test_a_cell_is_shown_as_it_is_but_a_terminal_obeys_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("[red]x[/red] :car:",), ("a\x1b[2Jb",)], "t\x07")
    shown = capsys.readouterr().out
    assert "[red]x[/red] :car:" in shown
    assert "a\\x1b[2Jb" in shown
    assert shown.startswith("t\\x07\n")


def test_a_long_cell_is_folded_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("name",), [("x" * 200,)])
    assert capsys.readouterr().out.count("x") == 200


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Zürich"})
    shown = capsys.readouterr().out
    assert "Zürich" in shown
    assert json.loads(shown) == {"name": "Zürich"}
