"""Where in a log to begin: what operators write after `--from` and `--to`."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ride_trio.values import parse_duration
from ride_trio_cli.exits import read_option

ALLOWED: Final = (
    "earliest, latest, an offset, a time such as 2026-05-01T12:00:00Z (local without a zone), "
    "or how long ago, such as 10m or 1h30m"
)
_MAX_OFFSET: Final = 2**63 - 1  # an int64 on the wire


@dataclass(frozen=True, slots=True)
class Position:
    """An offset or a time.

    Attributes:
        offset: as in ConsumeMessagesRequest: -1 is the earliest, -2 the next that arrives.
        time_ms: Unix ms; if it is not 0 it counts instead, and is the first record of then or later.
    """

    offset: int = 0
    time_ms: int = 0

    @property
    def is_offset(self) -> bool:
        """A certain one, which is another record in each partition."""
        return not self.time_ms and self.offset >= 0


EARLIEST: Final = Position(-1)
LATEST: Final = Position(-2)


def read_position(option: str, text: str) -> Position:
    """The position that an option names; as `read_option`."""
    return read_option(option, text, _parse_now, ALLOWED)


def _parse_now(text: str) -> Position:
    return parse_position(text, time.time())


def parse_position(text: str, now_s: float) -> Position:
    """Read `earliest`, `latest`, an offset, an ISO 8601 time, or how long ago as a duration.

    Args:
        now_s: Unix time, s.

    Raises:
        ValueError: for anything else.
    """
    if text in ("earliest", "latest"):
        return EARLIEST if text == "earliest" else LATEST
    if re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= _MAX_OFFSET:
        return Position(int(text))
    time_s = _parse_time(text, now_s)
    if not math.isfinite(time_s):
        raise ValueError(text)
    return Position(time_ms=max(round(time_s * 1000), 1))


def _parse_time(text: str, now_s: float) -> float:
    """Unix time, s."""
    if "-" not in text:  # a date has them, a duration hasn't
        return now_s - parse_duration(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except OverflowError as error:  # a year that local time doesn't reach
        raise ValueError(text) from error
