"""Is a data directory as it should be? Reads all of it, and changes nothing.

What a crash may leave behind is no damage: it is listed as left over, and the next start deals with it. Damage is what
somebody was promised and the disk does not have any more, or has in another form.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ride_trio.errors import DataDirError
from ride_trio.eventlog.check_segments import Damage, Findings, SegmentCheck
from ride_trio.eventlog.datadir import DataDir
from ride_trio.eventlog.recovery import lone_indexes, read_segments
from ride_trio.eventlog.scan import read_head
from ride_trio.eventlog.segments import INDEX_SUFFIX, Segment, segment_paths
from ride_trio.eventlog.tables import Tables, TopicRow

_METADATA: Final = "meta.db"


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What meta.db has, or what can be guessed without it.

    Attributes:
        offsets: By group, topic id and partition.
        last_topic_id: The highest that there was; None if nobody knows.
    """

    rows: list[TopicRow]
    offsets: Mapping[str, Mapping[tuple[int, int], int]]
    last_topic_id: int | None


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """A partition: `begin` to `end`, the end not included. With compaction some offsets between have no record."""

    number: int
    begin: int
    end: int


@dataclass(slots=True)
class TopicReport:
    """What there is of a topic.

    Attributes:
        size_bytes: Of its segments.
    """

    name: str
    topic_id: int
    segments: int = 0
    size_bytes: int = 0
    records: int = 0
    partitions: list[PartitionReport] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What a data directory has.

    Attributes:
        damages: What is wrong; empty if all is well.
        left_over: What a crash has left for the next start, one line each.
    """

    path: str
    topics: list[TopicReport] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    def add(self, findings: Findings) -> None:
        self.damages += findings.damages
        self.left_over += findings.left_over


def check_data_dir(path: Path, *, read_only: bool = False) -> Report:
    """Check all files of a data directory. Blocks: it reads all of them.

    Args:
        path: The directory. No server may use it.
        read_only: Take no lock, and so write nothing there: for a copy, or a snapshot.

    Raises:
        DataDirError: There is no log, it can't be read, or a server uses it.
    """
    if not (path / "topics").is_dir() and not (path / _METADATA).exists():
        raise DataDirError(f"{path} is no data directory: it has neither {_METADATA} nor topics")
    with nullcontext() if read_only else DataDir(path):
        try:
            return _check(path)
        except OSError as error:
            raise DataDirError(f"{error.filename or path}: {error.strerror}") from error


def _check(path: Path) -> Report:
    report = Report(str(path))
    folders = sorted((p for p in (path / "topics").glob("*") if p.name.isdecimal()), key=lambda p: int(p.name))
    metadata = _read_metadata(path, folders, report)
    known = {row.topic_id for row in metadata.rows}
    for folder in folders:
        if int(folder.name) not in known:
            _report_folder(f"topics/{folder.name}", int(folder.name), metadata.last_topic_id, report)
    for row in metadata.rows:
        committed = {
            (group, partition): offset
            for group, places in metadata.offsets.items()
            for (topic_id, partition), offset in places.items()
            if topic_id == row.topic_id
        }
        _check_topic(path, row, committed, report)
    return report


def _report_folder(name: str, topic_id: int, last_topic_id: int | None, report: Report) -> None:
    """A folder of no topic that is known."""
    if last_topic_id is None:
        report.left_over.append(f"{name}: nothing tells what topic that is")
    elif topic_id > last_topic_id:
        report.damages.append(Damage(name, f"of a topic that {_METADATA} has never had: that is an older copy"))
    else:
        report.left_over.append(f"{name}: of a topic that was deleted; the next start removes it")


# ------------------------------------------------------------------ metadata


def _read_metadata(path: Path, folders: list[Path], report: Report) -> _Metadata:
    """Topics and committed offsets; if they can't be read, what the folders tell of topics."""
    try:
        return _read_tables(path / _METADATA)
    except DataDirError as error:
        report.damages.append(Damage(_METADATA, error.message.replace(f"{path}/", "")))
        rows = [row for folder in folders if (row := _guess(folder)) is not None]
        return _Metadata(rows, {}, None)


def _read_tables(path: Path) -> _Metadata:
    """Read a copy: SQLite may write while it reads."""
    if not path.exists():
        raise DataDirError(f"{path} is missing; put a copy of the file in its place")
    with TemporaryDirectory(prefix="ride-trio-") as folder:
        for file in path.parent.glob(f"{_METADATA}*"):
            shutil.copyfile(file, Path(folder) / file.name)
        try:
            tables = Tables(Path(folder) / _METADATA)
            with closing(tables.db):
                return _Metadata(tables.topics(), tables.offsets(), tables.last_topic_id())
        except DataDirError as error:
            raise DataDirError(error.message.replace(f"{folder}/", f"{path.parent}/")) from error


def _guess(folder: Path) -> TopicRow | None:
    """A topic whose name nobody knows any more."""
    heads = (read_head(path) for path in segment_paths(folder)[0])
    head = next((head for head in heads if head is not None), None)
    return TopicRow(int(folder.name), f"topics/{folder.name}", len(head.bases), {}, 0) if head is not None else None


# ------------------------------------------------------------------ topics


def _check_topic(path: Path, row: TopicRow, committed: Mapping[tuple[str, int], int], report: Report) -> None:
    folder, name = path / "topics" / str(row.topic_id), f"topics/{row.topic_id}"
    paths, replaced = segment_paths(folder)
    _list_left_over(folder, name, [*replaced, *lone_indexes(folder, paths)], report)
    topic = TopicReport(row.name, row.topic_id)
    report.topics.append(topic)
    segments = []
    for file, segment in read_segments(paths, row.topic_id, row.num_partitions):
        if segment is not None:
            segments.append(segment)
        else:
            report.left_over.append(
                f"{name}/{file.name}: being made when the server died; the next start puts it aside"
            )
    ends = _check_segments(name, segments, topic, report) if segments else array("q", bytes(8 * row.num_partitions))
    begins = segments[0].head.bases if segments else ends
    topic.partitions = [PartitionReport(n, *both) for n, both in enumerate(zip(begins, ends, strict=True))]
    if not segments and any(committed.values()):
        report.damages.append(Damage(name, f"topic '{row.name}' has no files, and groups have read it"))
    elif not segments:
        report.left_over.append(f"{name}: topic '{row.name}' has no files yet; the next start makes them")
    _check_committed(topic, committed, report)


def _check_segments(name: str, segments: list[Segment], topic: TopicReport, report: Report) -> array[int]:
    """Check a topic's segments; where its partitions end."""
    for segment, following in zip(segments, chain(segments[1:], (None,)), strict=True):
        check = SegmentCheck(f"{name}/{segment.path.name}", segment, following)
        segment.index = None  # a few megabytes; nobody needs it any more
        report.add(check.findings)
        topic.segments += 1
        topic.size_bytes += segment.size
        topic.records += check.records
    return check.ends


def _check_committed(topic: TopicReport, committed: Mapping[tuple[str, int], int], report: Report) -> None:
    ends = {partition.number: partition.end for partition in topic.partitions}
    for (group, number), offset in sorted(committed.items()):
        if topic.segments and offset > ends.get(number, 0):
            report.damages.append(
                Damage(
                    _METADATA,
                    f"group '{group}' has committed offset {offset} of {topic.name}/{number}, which ends at "
                    f"{ends.get(number, 0)}",
                )
            )


def _list_left_over(folder: Path, name: str, useless: list[Path], report: Report) -> None:
    known = {".log", INDEX_SUFFIX}
    for path in sorted(folder.glob("*")):
        if path in useless or path.suffix == ".new":
            report.left_over.append(f"{name}/{path.name}: half done when the server died; the next start removes it")
        elif ".log.cut-" in path.name:
            report.left_over.append(f"{name}/{path.name}: cut off at a start after a crash; remove it if you like")
        elif path.suffix not in known:
            report.left_over.append(f"{name}/{path.name}: not a file of the log")
