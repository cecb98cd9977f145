"""The file itself: what is taken for ours, and what damage is seen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ride_trio.errors import DataDirError
from ride_trio.eventlog import tables
from ride_trio.eventlog.tables import SCHEMA, Tables, TopicRow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta.db"


def fill(path: Path, groups: int = 1) -> None:
    """A file with a topic, and offsets of some groups."""
    with closing(Tables(path).db) as db:
        topic_id = tables.create_topic(db, "trips", 3, '{"retention.ms": "5"}', 1_700_000_000_000)
        for number in range(groups):
            tables.commit_offsets(db, f"group-{number:05}", {(topic_id, 2): 20 + number})


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def read(path: Path) -> tuple[list[TopicRow], dict[str, dict[tuple[int, int], int]]]:
    opened = Tables(path)
    with closing(opened.db):
        return opened.topics(), opened.offsets()


def refusal(path: Path) -> str:
    with pytest.raises(DataDirError) as caught:
        read(path)
    assert str(path) in caught.value.message
    return caught.value.message


def test_what_was_written_is_read_by_the_next_one(path: Path) -> None:
    fill(path)
    opened = Tables(path)
    assert not opened.is_new
    assert opened.topics() == [TopicRow(1, "trips", 3, {"retention.ms": "5"}, 1_700_000_000_000)]
    assert opened.offsets() == {"group-00000": {(1, 2): 20}}


@pytest.mark.parametrize("touch", [False, True])
def test_a_file_that_is_not_there_or_empty_is_new(path: Path, touch: bool) -> None:
    if touch:
        path.touch()
    opened = Tables(path)
    assert (opened.is_new, opened.topics(), opened.offsets()) == (True, [], {})


def test_every_transaction_is_synced(path: Path) -> None:
    db = Tables(path).db
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_topic_that_is_gone_takes_its_offsets_along_and_its_number_is_not_used_again(path: Path) -> None:
    fill(path)
    db = Tables(path).db
    tables.delete_topic(db, 1)
    assert tables.create_topic(db, "trips", 3, "{}", 0) == 2
    assert Tables(path).offsets() == {}


def test_offsets_of_a_topic_that_is_gone_go_nowhere(path: Path) -> None:
    fill(path)
    db = Tables(path).db
    tables.commit_offsets(db, "late", {(7, 0): 1, (1, 0): 2})
    assert Tables(path).offsets()["late"] == {(1, 0): 2}


def test_a_committed_offset_is_replaced_also_by_a_lower_one(path: Path) -> None:
    fill(path)
    db = Tables(path).db
    tables.commit_offsets(db, "group-00000", {(1, 2): 5, (1, 0): 2**62})
    assert Tables(path).offsets() == {"group-00000": {(1, 0): 2**62, (1, 2): 5}}


# ------------------------------------------------------------------ what is not taken


def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    fill(path)
    edit(path, f"PRAGMA user_version = {SCHEMA + 1}")
    assert f"has schema {SCHEMA + 1}, and this release of ride-trio knows {SCHEMA}: start the release" in refusal(path)


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    edit(path, "CREATE TABLE notes (text)")
    before = path.read_bytes()
    assert "of another program" in refusal(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"offsets: none\n" * 100)
    assert "not a database" in refusal(path)


def test_a_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    assert "unable to open" in refusal(path)


def test_a_file_that_was_cut_short_is_refused(path: Path) -> None:
    fill(path, groups=2000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "put a copy" in refusal(path)


@pytest.mark.parametrize(("was", "now"), [(b"trips", b"tripz"), (b'"5"', b'"7"'), (b"group-00000", b"group-00001")])
def test_a_row_that_has_changed_on_disk_is_named(path: Path, was: bytes, now: bytes) -> None:
    fill(path)
    data = path.read_bytes()
    assert data.count(was) >= 1
    path.write_bytes(data.replace(was, now))
    assert "the row" in refusal(path)


def test_no_bit_can_flip_unseen(path: Path) -> None:
    """Wherever a bit flips, the file is refused, or what is read from it is what was written."""
    fill(path, groups=3)
    written = read(path)
    data = path.read_bytes()
    refused = 0
    for position in range(0, len(data), 31):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        try:
            assert read(path) == written, position
        except DataDirError:
            refused += 1
    assert refused > 10


def test_the_highest_id_that_a_topic_has_had(path: Path) -> None:
    opened = Tables(path)
    with closing(opened.db) as db:
        assert opened.last_topic_id() == 0
        ids = [tables.create_topic(db, name, 1, "{}", 0) for name in ("a", "b")]
        tables.delete_topic(db, ids[1])
        assert opened.last_topic_id() == ids[1] == 2
