"""`ride-trio log check`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from ride_trio.eventlog.datadir import DataDir
from ride_trio.eventlog.files import make_segment
from ride_trio.eventlog.segments import Head, new_segment
from ride_trio.eventlog.tables import Tables, create_topic
from tests.cli.commands import Cli


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A log with an empty topic of two partitions, which begins at 3 and 5."""
    path = tmp_path / "data"
    with DataDir(path) as made:
        tables = Tables(made.metadata)
        topic_id = create_topic(tables.db, "rides", 2, "{}", 0)
        tables.db.close()
        made.folder(topic_id).mkdir()
        make_segment(new_segment(made.folder(topic_id), Head(topic_id, 1, 0, array("q", [3, 5]), b"")))
    return path


def test_a_clean_one(anywhere: Cli, data_dir: Path) -> None:
    done = anywhere("log", "check", "--data-dir", str(data_dir))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "rides: 1 segment, 64 bytes, 0 records" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["0", "3", "3"] in rows
    assert ["1", "5", "5"] in rows
    assert done.stdout.endswith(f"{data_dir}: clean\n")


def test_the_directory_comes_from_the_environment(
    anywhere: Cli, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    assert anywhere("log", "check").stdout.endswith(f"{data_dir}: clean\n")


def test_damage_is_told_and_fails(anywhere: Cli, data_dir: Path) -> None:
    path = data_dir / "topics" / "1" / "00000000000000000001.log"
    path.write_bytes(path.read_bytes() + bytes(100) + b"records")
    (data_dir / "meta.db").unlink()
    done = anywhere("log", "check", "--data-dir", str(data_dir))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert "left over: topics/1/00000000000000000001.log, bytes 64 to 171: being written when the server died" in (
        line.split(";")[0] for line in lines
    )
    assert "damaged: meta.db: meta.db is missing; put a copy of the file in its place" in lines
    assert lines[-1] == f"{data_dir}: 1 damage"


def test_json(anywhere: Cli, data_dir: Path) -> None:
    done = anywhere("log", "check", "--data-dir", str(data_dir), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "clean": True,
        "path": str(data_dir),
        "topics": [
            {
                "name": "rides",
                "topic_id": 1,
                "segments": 1,
                "size_bytes": 64,
                "records": 0,
                "partitions": [{"number": 0, "begin": 3, "end": 3}, {"number": 1, "begin": 5, "end": 5}],
            }
        ],
        "damages": [],
        "left_over": [],
    }
    (data_dir / "topics" / "1" / "00000000000000000001.log").write_bytes(bytes(64))
    done = anywhere("log", "check", "--data-dir", str(data_dir), "--json")
    assert done.exit_code == 0  # a file that was being made
    (data_dir / "meta.db").unlink()
    done = anywhere("log", "check", "--data-dir", str(data_dir), "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["clean"] is False
    assert found["damages"] == [
        {
            "path": "meta.db",
            "what": "meta.db is missing; put a copy of the file in its place",
            "start": None,
            "end": None,
            "lost": [],
        }
    ]


def test_a_server_that_uses_it(anywhere: Cli, data_dir: Path) -> None:
    with DataDir(data_dir):
        done = anywhere("log", "check", "--data-dir", str(data_dir))
        assert done.exit_code == 1
        assert done.stderr.startswith(f"ride-trio: data directory {data_dir} is in use by process ")
        assert anywhere("log", "check", "--data-dir", str(data_dir), "--read-only").exit_code == 0


def test_no_log_there(anywhere: Cli, tmp_path: Path) -> None:
    done = anywhere("log", "check", "--data-dir", str(tmp_path / "none"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"ride-trio: {tmp_path}/none is no data directory: it has neither meta.db nor topics\n"
