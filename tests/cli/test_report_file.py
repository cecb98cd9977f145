"""`--json FILE` is checked before the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from ride_trio_cli.report_file import _check, write


def test_a_new_file_an_old_one_and_a_device_will_do_and_nothing_is_created(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    assert [_check(file) for file in (old, new, Path("/dev/null"), None)] == [old, new, Path("/dev/null"), None]
    assert old.read_text() == "before"
    assert not new.exists()


def test_where_it_is_not_allowed_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who is allowed
    file = tmp_path / "report.json"
    with pytest.raises(typer.Exit) as caught:
        _check(file)
    assert (caught.value.exit_code, capsys.readouterr().err) == (
        2, f"ride-trio: --json {file}: not allowed to write there\n",
    )  # fmt: skip


def test_a_folder_that_went_away_meanwhile_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gone" / "report.json"
    with pytest.raises(typer.Exit) as caught:
        write(file, "{}")
    assert (caught.value.exit_code, capsys.readouterr().err) == (
        1, f"ride-trio: --json {file}: No such file or directory\n",
    )  # fmt: skip
