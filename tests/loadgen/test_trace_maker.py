from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from ride_trio_loadgen.trace import read_trace
from ride_trio_loadgen.trace_maker import write_traces


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    one = write_traces(tmp_path / "one", cabs=3, hours=0.5, seed=4)
    two = write_traces(tmp_path / "two", cabs=3, hours=0.5, seed=4)
    other = write_traces(tmp_path / "other", cabs=3, hours=0.5, seed=5)
    assert [path.read_text() for path in one] == [path.read_text() for path in two]
    assert [path.read_text() for path in one] != [path.read_text() for path in other]


def test_cabs_report_about_once_a_minute_and_take_fares(tmp_path: Path) -> None:
    traces = [read_trace(path) for path in write_traces(tmp_path, cabs=4, hours=1.0, seed=1)]
    requests = sum(len(list(trace.requests())) for trace in traces)
    assert 4 <= requests <= 60
    for trace in traces:
        gaps_s = [after.time_s - before.time_s for before, after in pairwise(trace.points)]
        assert max(gaps_s) <= 76
        assert trace.end_s - trace.start_s > 3000


def test_every_second_file_is_newest_first(tmp_path: Path) -> None:
    for index, path in enumerate(write_traces(tmp_path, cabs=2, hours=0.5, seed=1)):
        times = [int(line.split()[3]) for line in path.read_text().splitlines()]
        assert times == sorted(times, reverse=bool(index % 2))
