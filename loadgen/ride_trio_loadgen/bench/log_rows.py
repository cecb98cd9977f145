"""`bench log`: its rows, what is promised of each, and what measures them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ride_trio_loadgen.bench.log_consume import consuming
from ride_trio_loadgen.bench.log_produce import full_speed, synced_latency, written_latency
from ride_trio_loadgen.bench.log_setup import Figures, Setup
from ride_trio_loadgen.bench.log_tails import stopped, tails
from ride_trio_loadgen.bench.log_unary import unary

# Part of what plain appends with fdatasync reach in the same round.
OF_PLAIN: Final = 0.6
PLAIN: Final = "append + fdatasync"


@dataclass(frozen=True, slots=True)
class Bound:
    """What has to hold of a row's median.

    Args:
        least: It is to be so much,
        most: and no more than this.
        of_beside: Not our figure is meant but what it is of the one beside it.
        room: Only asked for where such a part of the figure beside it is so much.
    """

    least: float = -math.inf
    most: float = math.inf
    of_beside: bool = False
    room: float = math.inf


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        name: For the command line.
        title: For the table.
        unit: Of its figures.
        beside: What its figures stand beside.
        bounds: What has to hold.
    """

    name: str
    title: str
    unit: str
    beside: str = ""
    bounds: tuple[Bound, ...] = ()


_OF_PLAIN: Final = Bound(least=OF_PLAIN, of_beside=True)


def _where_room(least: float) -> Bound:
    return Bound(least=least, room=OF_PLAIN)


def _produce_rows(
    name: str, size: str, records: tuple[Bound, ...] = (), megabytes: tuple[Bound, ...] = ()
) -> tuple[Row, ...]:
    """Of one size, with what has to hold of records or megabytes a second."""
    return (
        Row(name, f"produce {size}, acks=-1", "records/s", PLAIN, records),
        Row(f"{name}-mb", "  the same", "MB/s", PLAIN, megabytes),
        Row(f"{name}-server", "  server CPU of a record", "us"),
        Row(f"{name}-client", "  client CPU of a record", "us"),
        Row(f"{name}-commit", "  in a commit", "KB"),
        Row(f"{name}-sync", "  in an fdatasync", "KB"),
    )


def _consume_rows(name: str, title: str) -> tuple[Row, ...]:
    return (
        Row(name, title, "records/s", bounds=(Bound(least=150_000),)),
        Row(f"{name}-server", "  server CPU of a record", "us"),
        Row(f"{name}-client", "  client CPU of a record", "us"),
    )


ROWS: Final = (
    *_produce_rows("produce-100", "100 B", (_where_room(80_000),)),
    *_produce_rows("produce-1k", "1 KB", (_OF_PLAIN, _where_room(50_000))),
    *_produce_rows("produce-10k", "10 KB", megabytes=(_OF_PLAIN, _where_room(200))),
    *_consume_rows("consume-cold", "consume 1 KB, from disk"),
    *_consume_rows("consume-hot", "consume 1 KB, from memory"),
    Row("synced-p99", "10,000/s, acks=-1, p99", "ms", "fdatasync", (Bound(most=8, of_beside=True),)),
    Row("synced-p50", "  p50", "ms", "fdatasync"),
    Row("written-p99", "10,000/s, acks=1, p99", "ms", "echo on a stream", (Bound(most=3, of_beside=True),)),
    Row("written-p50", "  p50", "ms", "echo on a stream"),
    Row("unary-64", "unary, acks=-1, 64 callers", "calls/s", "grpc.aio, empty", (Bound(least=4, of_beside=True),)),
    Row("unary-64-server", "  server CPU of a call", "us", "grpc.aio, empty"),
    Row("tails-10", "a delivery to 1,000 on 10 connections", "us", bounds=(Bound(most=5),)),
    Row("tails-10-rate", "  each of them gets", "records/s"),
    Row("tails-1000", "a delivery to 1,000 on 1,000", "us", "bare send", (Bound(most=2.5, of_beside=True),)),
    Row("stopped", "memory of one who stops reading", "bytes", bounds=(Bound(most=4_096),)),
    Row("stopped-missed", "  while each misses", "MB"),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What makes the figures of some rows.

    Args:
        rows: Their names.
        measure: Does it, on servers of its own.
        most_rounds: Enough for what hardly varies.
    """

    rows: tuple[str, ...]
    measure: Callable[[Setup], Figures]
    most_rounds: int = 1_000


def _measurement(measure: Callable[[Setup], Figures], *names: str, most_rounds: int = 1_000) -> Measurement:
    """Of all rows whose names begin so."""
    return Measurement(tuple(row.name for row in ROWS if row.name.startswith(names)), measure, most_rounds)


MEASUREMENTS: Final = (
    _measurement(full_speed("produce-100", 100), "produce-100"),
    _measurement(full_speed("produce-1k", 1_024), "produce-1k"),
    _measurement(full_speed("produce-10k", 10_240), "produce-10k"),
    _measurement(consuming, "consume"),
    _measurement(synced_latency, "synced"),
    _measurement(written_latency, "written"),
    _measurement(unary, "unary"),
    _measurement(tails, "tails"),
    _measurement(stopped, "stopped", most_rounds=1),
)
