from __future__ import annotations

from pathlib import Path

import pytest

from ride_trio_loadgen.geometry import Place
from ride_trio_loadgen.trace import MIN_TRIP_S, Point, Trace, TraceError, format_line, parse, read_trace, span_s

LINES = [
    "52.10000 5.10000 1 1000",
    "52.10000 5.10000 0 1060",
    "52.10500 5.10000 0 1120",
    "52.10500 5.11000 1 1180",
    "52.11000 5.11000 1 1240",
    "52.12000 5.11000 0 1300",
    "52.12000 5.12000 1 1360",
]


@pytest.fixture
def trace() -> Trace:
    return Trace("cab", parse(LINES, "cab.txt"))


def test_both_orders_give_the_same_points() -> None:
    points = parse(LINES, "cab.txt")
    assert points == parse(LINES[::-1], "cab.txt")
    assert points[0] == Point(Place(52.1, 5.1), True, 1000.0)
    assert [point.time_s for point in points] == sorted(point.time_s for point in points)


def test_format_line_is_what_parse_reads() -> None:
    assert [format_line(point) for point in parse(LINES, "cab.txt")] == LINES


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("52.1 5.1 0", "is not `latitude longitude occupied unix_time`"),
        ("north 5.1 0 1090", "could not convert"),
        ("52.1 5.1 0 12:30", "invalid literal"),
        ("52.1 5.1 2 1090", "occupied is '2', not 0 or 1"),
        ("152.1 5.1 0 1090", "not on the earth"),
        ("nan 5.1 0 1090", "not on the earth"),
        ("52.1 5.1 0 900", "out of order in a file that is oldest first"),
    ],
)
def test_a_bad_line_is_named_with_its_file(line: str, complaint: str) -> None:
    with pytest.raises(TraceError, match=r"^cab\.txt:3: ") as caught:
        parse([*LINES[:2], line, *LINES[2:]], "cab.txt")
    assert complaint in str(caught.value)


def test_empty_lines_count_in_numbers_and_mean_nothing() -> None:
    assert parse(["", *LINES, ""], "cab.txt") == parse(LINES, "cab.txt")
    with pytest.raises(TraceError, match=r"^cab\.txt:4: "):
        parse(["", *LINES[:2], "x"], "cab.txt")


def test_two_points_may_share_a_time() -> None:
    assert len(parse([LINES[0], LINES[0], LINES[1]], "cab.txt")) == 3


def test_a_file_without_points_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cab.txt"
    path.write_text("\n")
    with pytest.raises(TraceError, match="no points"):
        read_trace(path)
    with pytest.raises(TraceError, match="gone"):
        read_trace(tmp_path / "gone.txt")


def test_a_request_is_where_occupied_turns_from_0_to_1(trace: Trace) -> None:
    first, second = trace.requests()
    assert (first.time_s, first.pickup) == (1180.0, Place(52.105, 5.11))
    assert (first.dropoff, first.trip_s) == (Place(52.12, 5.11), 120.0)
    # Still on board when the trace ends: out where it ends, after the shortest trip.
    assert (second.time_s, second.dropoff, second.trip_s) == (1360.0, Place(52.12, 5.12), MIN_TRIP_S)


def test_a_cab_is_on_the_line_between_two_points(trace: Trace) -> None:
    fix = trace.at(1090.0)
    assert fix.place == pytest.approx(Place(52.1025, 5.1))
    assert fix.bearing == pytest.approx(0.0)
    assert fix.speed_mps == pytest.approx(556 / 60, rel=0.01)
    assert trace.at(0.0).place == Place(52.1, 5.1)
    assert trace.at(9999.0).place == Place(52.12, 5.12)


def test_index_at_is_the_newest_point_reached(trace: Trace) -> None:
    assert [trace.index_at(time_s) for time_s in (0, 1000, 1059, 1060, 9999)] == [0, 0, 0, 1, 6]


def test_span_is_that_of_all_traces(trace: Trace) -> None:
    later = Trace("later", parse(["52.1 5.1 0 2000"], "later.txt"))
    assert span_s([later, trace]) == (1000.0, 2000.0)
