"""Durations, addresses and distances as operators write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ride_trio.values import (
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_distance,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("1m", 60.0),
        ("1m30s", 90.0),
        ("1h2m3s4ms", 3723.004),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("100us", 0.0001),
        ("100µs", 0.0001),
        ("100μs", 0.0001),
        ("7ns", 7e-9),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        ".",
        ".s",
        "5 s",
        " 5s",
        "5s ",
        "-5s",
        "+5s",
        "5S",
        "5sec",
        "1d",
        "1e3s",
        "\N{ARABIC-INDIC DIGIT FIVE}s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (60.0, "1m"),
        (90.0, "90s"),
        (7200.0, "2h"),
        (1e-9, "1ns"),
        (0.0015, "1500us"),
    ],
)
def test_a_duration_is_written_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 86_400 * 10**9))
def test_a_written_duration_reads_as_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":7443", Address("", 7443)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:7443", Address("::1", 7443)),
        ("my-host.example:80", Address("my-host.example", 80)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7443",
        "host",
        "host:",
        ":65536",
        ":-1",
        ":+1",
        ":1_0",
        "::1:7443",
        "[::1]",
        "[::g]:1",
        "a b:1",
        "[a]:1",
        ":1 ",
        "h/x:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_address(text)


@pytest.mark.parametrize(("text", "metres"), [("5000", 5000.0), ("5000m", 5000.0), ("5km", 5000.0), ("0.5km", 500.0)])
def test_a_distance_is_metres_unless_it_says_km(text: str, metres: float) -> None:
    assert parse_distance(text) == metres


@pytest.mark.parametrize("text", ["", "km", "5 km", "-5", "5mi", "1e3", "nan", "inf"])
def test_what_is_no_distance_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_distance(text)


@pytest.mark.parametrize(
    ("text", "size", "canonical"),
    [("65536", 65_536, "64KiB"), ("10MB", 10**7, "10000000"), ("10MiB", 10 * 2**20, "10MiB"), ("1GiB", 2**30, "1GiB")],
)
def test_sizes(text: str, size: int, canonical: str) -> None:
    assert parse_size(text) == size
    assert format_size(size) == canonical
    assert parse_size(canonical) == size


@pytest.mark.parametrize("text", ["MB", "1 MB", "-1", "1mb", "1.5MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_size(text)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((host, False) for host in ("", "0.0.0.0", "::", "192.168.1.1", "localhost.example")),
    ],
)
def test_what_only_this_machine_reaches(host: str, local: bool) -> None:
    assert Address(host, 1).is_loopback is local
