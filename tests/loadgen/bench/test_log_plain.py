from __future__ import annotations

import os
from pathlib import Path

import pytest

from ride_trio_loadgen.bench.log_plain import append_and_sync, sync_times


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The file's size at each fdatasync."""
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: sizes.append(os.fstat(fd).st_size))
    return sizes


def test_each_append_is_synced(tmp_path: Path, synced: list[int]) -> None:
    assert append_and_sync(tmp_path, 1_000, 0.001) > 0
    assert synced == [1_000 * (number + 1) for number in range(len(synced))]
    assert list(tmp_path.iterdir()) == []


def test_there_is_at_least_one_append(tmp_path: Path, synced: list[int]) -> None:
    assert append_and_sync(tmp_path, 1_000, 0.0) > 0
    assert synced == [1_000]


def test_syncs_are_timed_at_their_cadence(tmp_path: Path, synced: list[int]) -> None:
    times = sync_times(tmp_path, 500, interval_s=0.01, seconds=0.1)
    assert len(times) == len(synced)
    assert 1 <= len(times) <= 11
    assert synced[-1] == 500 * len(times)
    assert list(tmp_path.iterdir()) == []
