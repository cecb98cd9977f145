"""A short run: the limit holds at every moment, the disk gets everything back, memory is flat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ride_trio_loadgen.bench import log_long
from ride_trio_loadgen.bench.child import Child
from ride_trio_loadgen.bench.log_long import MOST_GROWTH_BYTES, LongResult, Window, disk_bytes, table
from ride_trio_loadgen.bench.log_setup import LogServer


def test_a_short_run() -> None:
    result = log_long.measure(gigabytes=0.25, mb_per_s=20)
    assert all(result.part(number) for number in range(3))
    assert 0 < result.most_disk_bytes <= result.limit_bytes == 50_000_000
    assert result.freed_bytes > 150_000_000
    assert result.left_bytes == 0
    assert result.growth_bytes <= MOST_GROWTH_BYTES
    assert min(window.p50_ms for window in result.windows) > 0
    assert table(result).row_count == 3


def _result(*, last_memory: float = 0, last_disk: int = 100, last_p99_ms: float = 1.0, left: int = 0) -> LongResult:
    windows = [Window(megabytes * 1_000_000, 1e8, 100, 1.0, 1.0) for megabytes in (100, 300, 400, 500)]
    windows += [
        Window(megabytes * 1_000_000, 1e8 + last_memory, last_disk, 1.0, last_p99_ms) for megabytes in (700, 900)
    ]
    return LongResult(1.0, 200, windows, 1e9, left)


def test_everything_that_does_not_hold_is_a_sentence() -> None:
    assert _result().broken() == []
    assert _result(last_memory=9 * 2**20).broken() == ["memory grew by 9.0 MiB"]
    assert _result(last_disk=201).broken() == ["201 bytes on the disk, the limit is 200"]
    assert _result(last_p99_ms=1.6).broken() == ["the consumer's p99 is 1.60 times what it was"]
    assert _result(left=4_096).broken() == ["4,096 bytes are left on the disk"]


@pytest.fixture
def server(tmp_path: Path) -> LogServer:
    """This process, as if it were one."""

    class Here(Child):
        def __init__(self) -> None:
            self.pid = os.getpid()

    (tmp_path / "topics" / "1").mkdir(parents=True)
    return LogServer(Here(), tmp_path)


def test_deleted_files_that_are_open_take_their_room(server: LogServer) -> None:
    assert disk_bytes(server) == 0
    path = server.folder / "topics" / "1" / "some.log"
    with path.open("wb") as file:
        file.write(bytes(100_000))
        file.flush()
        os.fsync(file.fileno())
        taken = disk_bytes(server)
        assert taken >= 100_000
        path.unlink()
        assert disk_bytes(server) == taken
    assert disk_bytes(server) == 0
