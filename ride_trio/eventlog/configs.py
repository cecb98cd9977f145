"""A topic's configs: names and values as Kafka's users know them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ride_trio.errors import InvalidConfigError

UNLIMITED: Final = -1
WEEK_MS: Final = 604_800_000  # Kafka's default
MAX_MESSAGE_BYTES: Final = 10_485_760
_MAX_INT64: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_SHOWN_CHARS: Final = 60  # of what somebody gave
_RANGES: Final = {
    "retention.ms": (UNLIMITED, _MAX_INT64),
    "retention.bytes": (UNLIMITED, _MAX_INT64),
    "max.message.bytes": (1, MAX_MESSAGE_BYTES),
}
_CHOICES: Final = {
    "cleanup.policy": ("delete", "compact"),
    "compression.type": ("producer", "uncompressed"),
}


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What holds for a topic.

    Attributes:
        given: As it was given when the topic was created.
        retention_ms: Records older than this go, a segment at a time; -1: none do.
        retention_bytes: Of all the topic's segments; -1: no limit. One number for all partitions: it is for the disk.
        max_message_bytes: Of a serialized record.
        compact: Of each key the newest record is kept, whatever its age; retention does not apply. One without a value
            removes its key, and goes itself after a day (see `compaction`).
    """

    given: Mapping[str, str]
    retention_ms: int = WEEK_MS
    retention_bytes: int = UNLIMITED
    max_message_bytes: int = MAX_MESSAGE_BYTES
    compact: bool = False


def parse_configs(given: Mapping[str, str]) -> TopicConfig:
    """Read configs.

    Raises:
        InvalidConfigError: One is unknown, or has a value that is not allowed.
    """
    for name, text in given.items():
        _check(name, text)
    return TopicConfig(
        dict(given),
        int(given.get("retention.ms", WEEK_MS)),
        int(given.get("retention.bytes", UNLIMITED)),
        int(given.get("max.message.bytes", MAX_MESSAGE_BYTES)),
        given.get("cleanup.policy", "delete") == "compact",
    )


def _check(name: str, text: str) -> None:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise InvalidConfigError(f"{name}={_shown(text)}: allowed is {' or '.join(_CHOICES[name])}")
    elif name in _RANGES:
        low, high = _RANGES[name]
        if not _is_within(text, low, high):
            raise InvalidConfigError(f"{name}={_shown(text)}: allowed is a whole number from {low} to {high}")
    else:
        known = ", ".join(sorted((*_RANGES, *_CHOICES)))
        raise InvalidConfigError(f"unknown config {_shown(name)!r}: known are {known}")


def _is_within(text: str, low: int, high: int) -> bool:
    return _NUMBER.fullmatch(text) is not None and low <= int(text) <= high


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
