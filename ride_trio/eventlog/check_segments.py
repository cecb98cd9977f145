"""Is a segment file, and its index, as it should be? Blocks, and changes nothing."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from ride_trio.eventlog.batches import SPARSE, offsets
from ride_trio.eventlog.entries import offset_of, split, timestamp_of
from ride_trio.eventlog.indexes import pack_index, read_index_head
from ride_trio.eventlog.reindex import Rows
from ride_trio.eventlog.scan import Found, Gap, scan
from ride_trio.eventlog.segments import Segment


@dataclass(frozen=True, slots=True)
class Lost:
    """Offsets of a partition that are not there, from `first` to `last`."""

    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first} to {self.last} of partition {self.partition}"


@dataclass(slots=True)
class Damage:
    """What is not as it should be.

    Attributes:
        path: The file, below the data directory.
        what: In words.
        start, end: Its bytes, the last one not included; None where it is not about some of them.
        lost: What is not there because of it, as far as that is known.
    """

    path: str
    what: str
    start: int | None = None
    end: int | None = None
    lost: list[Lost] = field(default_factory=list)

    def __str__(self) -> str:
        where = "" if self.start is None else f", bytes {self.start} to {self.end}"
        lost = f"; lost: {', '.join(map(str, self.lost))}" if self.lost else ""
        return f"{self.path}{where}: {self.what}{lost}"


@dataclass(slots=True)
class Findings:
    """Attributes:
    damages: What is wrong.
    left_over: What a crash has left, one line each.
    """

    damages: list[Damage] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)


class SegmentCheck:
    """Reads one segment.

    Args:
        name: How its file is called in findings.
        segment: It; gets the index that it should have.
        following: The next one; None if this is the newest.

    Attributes:
        records: Those that are there.
        ends: Where its partitions end.
        findings: What was found.
    """

    def __init__(self, name: str, segment: Segment, following: Segment | None) -> None:
        self.records = 0
        self.findings = Findings()
        self._name = name
        self._segment = segment
        self._end = segment.size if following is not None else self._whole_until()
        self._rows = Rows(segment)
        self._last_position = array("q", bytes(8 * len(self.ends)))
        self._unknown: list[tuple[Gap, Damage]] = []  # gaps that do not say what they were
        self._check_name(following)
        known = read_index_head(segment.index_path)
        for item in scan(segment.path, segment.head.size):
            if item.position < self._end:
                self._check(item)
                self._rows.add(item)
        if known is not None and known.log_size > segment.size:
            gap = Gap(segment.size, known.log_size)
            self._unknown.append((gap, self._damage("cut off; its index knows of more", gap.position, gap.end)))
        if following is not None:
            self._close(following)
        if not self.findings.damages:
            self._check_index(following)

    @property
    def ends(self) -> array[int]:
        return self._rows.ends

    def _damage(self, what: str, start: int | None = None, end: int | None = None) -> Damage:
        damage = Damage(self._name, what, start, end)
        self.findings.damages.append(damage)
        return damage

    def _whole_until(self) -> int:
        """Where an unfinished write begins, if that is how the newest segment ends; else its size."""
        segment = self._segment
        known = read_index_head(segment.index_path)
        if known is not None and known.log_size == segment.size:
            return segment.size
        torn_at = Rows.of(segment).torn_at()
        if torn_at is None:
            return segment.size
        self.findings.left_over.append(
            f"{self._name}, bytes {torn_at} to {segment.size}: being written when the server died; nobody was promised "
            "them, the next start puts them aside"
        )
        return torn_at

    def _check_name(self, following: Segment | None) -> None:
        head, name = self._segment.head, self._segment.name
        if head.start is not None:
            self._damage("the head is damaged", 0, head.size)
        elif head.number != name.last:
            self._damage(f"the head is of number {head.number}", 0, head.size)
        if following is not None and following.name.first != name.last + 1:
            self._damage(f"what follows is missing, numbers {name.last + 1} to {following.name.first - 1}")

    # ------------------------------------------------------------------ batches

    def _check(self, item: Found | Gap) -> None:
        if isinstance(item, Gap):
            self._check_gap(item)
            return
        self.records += item.header.count
        problem = self._placing_problem(item) or _payload_problem(item)
        if problem:
            self._damage(problem, item.position, item.end)

    def _check_gap(self, gap: Gap) -> None:
        damage = self._damage("damaged", gap.position, gap.end)
        header = gap.header
        if header is None:
            self._unknown.append((gap, damage))
        elif header.partition < len(self.ends):
            self._expect(header.partition, header.base_offset)
            first = max(header.base_offset, self.ends[header.partition])
            if first < header.end_offset:
                damage.lost.append(Lost(header.partition, first, header.end_offset - 1))
            self._last_position[header.partition] = gap.position

    def _placing_problem(self, found: Found) -> str | None:
        header, number = found.header, found.header.partition
        if number >= len(self.ends):
            return f"a batch of partition {number}: the topic has {len(self.ends)}"
        if header.base_offset < self.ends[number]:
            return f"a batch that has offset {header.base_offset} of partition {number} once more"
        self._expect(number, header.base_offset)
        self._last_position[number] = found.position
        return None

    def _expect(self, number: int, offset: int) -> None:
        """A partition goes on at an offset."""
        if self.ends[number] >= offset:
            return
        last = self._last_position[number]
        damage = next((damage for gap, damage in self._unknown if gap.position > last), None)
        damage = damage or next((d for d in self.findings.damages if d.start is None), None)
        damage = damage or self._damage("records are missing")
        damage.lost.append(Lost(number, self.ends[number], offset - 1))

    def _close(self, following: Segment) -> None:
        for number, end in enumerate(following.head.bases):
            self._expect(number, end)
            if self.ends[number] > end:
                self._damage(f"partition {number} ends at {self.ends[number]}, and goes on at {end} in the next file")
        self._rows.close(following.head.bases)

    # ------------------------------------------------------------------ its index

    def _check_index(self, following: Segment | None) -> None:
        path = self._segment.index_path
        name = self._name.removesuffix(self._segment.path.name) + path.name
        if not path.exists():
            if following is not None:
                self.findings.left_over.append(f"{name}: not there; it is made anew when it is needed")
        elif path.read_bytes() != pack_index(self._segment):
            self.findings.damages.append(
                Damage(name, "not what the segment has, which is whole; remove it, and it is made anew")
            )


def _payload_problem(found: Found) -> str | None:
    """What is wrong with a batch whose checksum is right."""
    header = found.header
    data = found.payload[header.entries_at :]
    if not header.flags & SPARSE and header.span + 1 != header.count:
        return f"a batch of {header.count} records that covers {header.span + 1} offsets"
    try:
        for offset, (begin, _) in zip(offsets(header, found.payload), split(data), strict=True):
            if offset_of(data, begin) != offset:
                return f"the record at offset {offset} of partition {header.partition} says {offset_of(data, begin)}"
            if timestamp_of(data, begin) > header.max_timestamp:
                return f"the record at offset {offset} of partition {header.partition} is later than its batch"
    except (IndexError, ValueError):
        return f"a batch that has not {header.count} records"
    return None
