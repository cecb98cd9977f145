"""Damage to a log's files, and what a consumer sees of it."""

from __future__ import annotations

from pathlib import Path

from ride_trio.errors import DamagedError
from ride_trio.eventlog.partition import Partition
from ride_trio.eventlog.topic import Topic
from tests.eventlog.logs import Core, append, read, records


def flip(path: Path, needle: bytes | int) -> int:
    """Flip a bit of a byte, or of where some bytes are; its position."""
    data = bytearray(path.read_bytes())
    at = data.index(needle) if isinstance(needle, bytes) else needle
    data[at] ^= 0x10
    path.write_bytes(data)
    return at


def values(*numbers: int) -> list[tuple[int, bytes]]:
    return [(number, b"value-%d" % number) for number in numbers]


def fill(core: Core, partition: Partition, *numbers: int) -> None:
    """One commit of records, whose values tell their offsets."""
    append(partition, *(value for _, value in values(*numbers)))
    core.flush()


async def served(core: Core, partition: Partition) -> list[tuple[int, bytes] | str]:
    """All of a partition; in place of what is lost, the error, once."""
    found: list[tuple[int, bytes] | str] = []
    cursor = core.cursor(partition, partition.begin_offset)
    while cursor.is_behind:
        try:
            found += [(r.offset, r.value) for r in records(await read(cursor, 1))]
        except DamagedError as error:
            if not found or not isinstance(found[-1], str):
                found.append(error.code)
            cursor.offset += 1
    return found


def rolled(core: Core, topic: Topic) -> None:
    core.commits.roll(topic)
    core.commits.hand_over_if_due()
    core.writer.write()
    core.writer.sync()


def full(*_: object) -> None:
    """Stands for what writes, when the disk is full."""
    raise OSError(28, "No space left on device")
