"""The data directory: made, locked, and refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ride_trio.errors import DataDirError
from ride_trio.eventlog.datadir import DataDir


def test_it_is_made_with_all_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with DataDir(path) as data_dir:
        assert (path / "topics").is_dir()
        assert data_dir.metadata == path / "meta.db"
        assert data_dir.folder(7) == path / "topics" / "7"
        assert (path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_second_one_is_refused_with_the_holders_number(tmp_path: Path) -> None:
    with DataDir(tmp_path):
        with pytest.raises(DataDirError, match=f"in use by process {os.getpid()}: stop it, or set DATA_DIR"):
            DataDir(tmp_path)
        with pytest.raises(DataDirError):  # the first refusal has not let go of anything
            DataDir(tmp_path)
    with DataDir(tmp_path):
        pass


_HOLD = """
import sys
from pathlib import Path
from ride_trio.eventlog.datadir import DataDir
held = DataDir(Path(sys.argv[1]))
print(flush=True)
input()
"""


def test_another_process_has_it_as_long_as_it_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as held:
        assert held.stdout is not None
        held.stdout.readline()
        try:
            with pytest.raises(DataDirError, match=f"in use by process {held.pid}:"):
                DataDir(tmp_path)
        finally:
            held.kill()
    with DataDir(tmp_path):
        pass


def test_what_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match=r"data directory .*/file: File exists"):
        DataDir(tmp_path / "file")
    with pytest.raises(DataDirError, match=r"Not a directory"):
        DataDir(tmp_path / "file" / "below")


def test_a_full_disk_has_no_need_to_know_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fail)
        with DataDir(tmp_path), pytest.raises(DataDirError, match="in use by process unknown"):
            DataDir(tmp_path)


def test_its_names_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    with DataDir(tmp_path / "data"):
        assert synced == [str(tmp_path / "data"), str(tmp_path)]
    with DataDir(tmp_path / "data"):
        assert len(synced) == 2


def test_topics_folders_are_told_from_what_else_lies_there(tmp_path: Path) -> None:
    with DataDir(tmp_path) as data_dir:
        for name in ("3", "12", "0", "012", "lost+found", "7x"):
            (data_dir.topics / name).mkdir()
        (data_dir.topics / "5").touch()
        assert data_dir.topic_folders() == {3: data_dir.folder(3), 12: data_dir.folder(12)}
