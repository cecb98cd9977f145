"""The SQLite file of the log's metadata: its tables, how it is opened and checked, and the changes that it sees.

    topics    topic_id (no number is used twice) · name · num_partitions · configs (JSON) · created_ms · crc
    offsets   group_id · topic_id · partition · committed · crc

`crc` is the CRC-32C of the row's other values: SQLite itself keeps checksums of what is in its WAL only.

Everything here blocks. The changes are functions for `Metadata`, which runs them inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crc32c import crc32c

from ride_trio.errors import DataDirError

# In the file's header, so that nobody else's database is taken for ours: "RTLG".
APPLICATION_ID: Final = 0x52544C47
SCHEMA: Final = 1
_MAKE: Final = f"""
BEGIN;
CREATE TABLE topics (
    topic_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, num_partitions INTEGER NOT NULL,
    configs TEXT NOT NULL, created_ms INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE offsets (
    group_id TEXT NOT NULL, topic_id INTEGER NOT NULL, partition INTEGER NOT NULL, committed INTEGER NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (group_id, topic_id, partition)
) WITHOUT ROWID;
CREATE INDEX offsets_of_topic ON offsets (topic_id);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
# A topic may have been deleted while the commit waited: then the offset goes nowhere.
_COMMIT: Final = """
INSERT INTO offsets SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM topics WHERE topic_id = ?2)
ON CONFLICT (group_id, topic_id, partition) DO UPDATE SET committed = excluded.committed, crc = excluded.crc
"""
_REMEDY: Final = "put a copy of the file in its place"


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic as it was created. `created_ms` is Unix ms."""

    topic_id: int
    name: str
    num_partitions: int
    configs: dict[str, str]
    created_ms: int


class Tables:
    """The open file.

    Args:
        path: the file; it is made if there is none.

    Attributes:
        db: its connection, for one thread at a time, with transactions begun and ended by hand.
        is_new: it was made now, or was empty.

    Raises:
        DataDirError: it can't be read, is damaged, is not ours, or a newer release has written it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._translated():
                self._set_up()
        except DataDirError:
            self.db.close()
            raise

    def __repr__(self) -> str:
        return f"<Tables {self.path}>"

    def _set_up(self) -> None:
        self.is_new = self._is_new()
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        if self.is_new:
            self.db.executescript(_MAKE)
        else:
            self._check()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataDirError(f"{self.path}: {error}; if it is damaged, {_REMEDY}") from error

    def topics(self) -> list[TopicRow]:
        """All topics, oldest first.

        Raises:
            DataDirError: a row is damaged.
        """
        rows = self._rows("topics", "topic_id")
        return [TopicRow(number, name, count, json.loads(configs), ms) for number, name, count, configs, ms in rows]

    def last_topic_id(self) -> int:
        """The highest that a topic has had, be it deleted; 0: there was none."""
        with self._translated():
            row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'topics'").fetchone()
        return row[0] if row is not None else 0

    def offsets(self) -> dict[str, dict[tuple[int, int], int]]:
        """What groups have committed: offsets by (topic id, partition), by group id.

        Raises:
            DataDirError: a row is damaged.
        """
        found: dict[str, dict[tuple[int, int], int]] = {}
        for group_id, topic_id, partition, committed in self._rows("offsets", "group_id, topic_id, partition"):
            found.setdefault(group_id, {})[topic_id, partition] = committed
        return found

    def _is_new(self) -> bool:
        application_id, schema, tables = (self._value(f"SELECT * FROM {source}") for source in (
            "pragma_application_id", "pragma_user_version", "(SELECT count(*) FROM sqlite_master)"
        ))  # fmt: skip
        if application_id == schema == tables == 0:
            return True
        if application_id != APPLICATION_ID:
            raise DataDirError(f"{self.path} is the database of another program")
        if schema != SCHEMA:
            raise DataDirError(
                f"{self.path} has schema {schema}, and this release of ride-trio knows {SCHEMA}: start the release "
                "that has written it"
            )
        return False

    def _check(self) -> None:
        found = self._value("PRAGMA quick_check(1)")
        if found != "ok":
            raise DataDirError(f"{self.path} is damaged: {found}; {_REMEDY}")

    def _value(self, query: str) -> Any:
        return self.db.execute(query).fetchone()[0]

    def _rows(self, table: str, order: str) -> list[tuple[Any, ...]]:
        """Rows whose checksums are right, without these."""
        with self._translated():
            rows = self.db.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
        for *values, crc in rows:
            if crc != _crc(values):
                raise DataDirError(
                    f"{self.path} is damaged, in table {table} the row {tuple(values)}: {_REMEDY}, or delete that row "
                    "with the program sqlite3"
                )
        return [row[:-1] for row in rows]


# ------------------------------------------------------------------ changes, inside a transaction


def create_topic(db: sqlite3.Connection, name: str, num_partitions: int, configs: str, created_ms: int) -> int:
    """Add a topic, whose name is free; its id."""
    values = [name, num_partitions, configs, created_ms]
    topic_id = db.execute("INSERT INTO topics VALUES (NULL, ?, ?, ?, ?, 0)", values).lastrowid
    assert topic_id is not None
    db.execute("UPDATE topics SET crc = ? WHERE topic_id = ?", [_crc([topic_id, *values]), topic_id])
    return topic_id


def delete_topic(db: sqlite3.Connection, topic_id: int) -> None:
    """Remove a topic and what was committed on it."""
    db.execute("DELETE FROM offsets WHERE topic_id = ?", [topic_id])
    db.execute("DELETE FROM topics WHERE topic_id = ?", [topic_id])


def commit_offsets(db: sqlite3.Connection, group_id: str, offsets: Mapping[tuple[int, int], int]) -> None:
    """Set some of a group's offsets."""
    rows = ([group_id, topic_id, partition, offset] for (topic_id, partition), offset in offsets.items())
    db.executemany(_COMMIT, ([*row, _crc(row)] for row in rows))


def delete_group(db: sqlite3.Connection, group_id: str) -> None:
    """Remove a group's offsets."""
    db.execute("DELETE FROM offsets WHERE group_id = ?", [group_id])


def _crc(values: list[Any]) -> int:
    return crc32c(repr(values).encode())
