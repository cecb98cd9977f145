"""Fixtures of the log's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.eventlog.logs import in_place
from tests.eventlog.whole import WholeLog


@pytest.fixture
def small_segments(nursery: trio.Nursery, tmp_path: Path) -> WholeLog:
    """A log whose segments are closed at 4 KiB."""
    return WholeLog(nursery, tmp_path / "data", in_place, segment_bytes=4_096)
