"""`ride-trio top`: a city in a terminal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from ride_trio_cli.main import app
from ride_trio_cli.top import Rates, sparkline

TOTALS = {"messages_in": 1_500, "messages_out": 9, "drops": 0, "matches": 3, "no_driver": 1, "log_records": 7}
ANSWERS: dict[str, Any] = {
    "version": {"version": "9.9"},
    "summary": {
        "uptime_s": 3_725.0,
        "sessions": {"grpc": 2, "websocket": 1},
        "drivers": {
            **{"offline": 12_345, "available": 4, "matched": 0, "en_route_to_pickup": 1_234, "at_pickup": 0},
            "on_trip": 5,
        },
        "riders_waiting": 6,
        "trips": 5,
        "ack_latency_ms": {"median": 0.2, "p99": 12.5},
        "totals": TOTALS,
    },
    "zones?limit=5": [{"zone": "3777:-12241", "sessions": 11}] * 5,
    "trips?limit=5": [{"ride_id": "[/b]r7", "rider_id": "ann:eyes:", "driver_id": None, "status": "LOOKING"}] * 5,
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers.get("authorization") == "Bearer secret"
        body = json.dumps(ANSWERS[self.path.removeprefix("/api/v1/")]) if known else "LOGIN_NEEDED: send a token\n"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_shows_the_city_once(target: str) -> None:
    done = CliRunner().invoke(
        app, ["top", "--once", "--target", target], env={"OPERATOR_TOKEN": "secret", "COLUMNS": "80"}
    )
    assert done.exit_code == 0, done.output
    rows = [" ".join(line.split()) for line in done.output.splitlines()]
    assert rows[0] == f"ride-trio 9.9 at http://{target}, up 1:02:05"
    assert len(rows) <= 24  # what the smallest of terminals shows
    assert "…" not in done.output
    assert "sessions grpc websocket riders waiting trips ack median, ms ack p99, ms" in rows
    assert "3 2 1 6 5 0.2 12.5" in rows
    assert "offline available matched en route to pickup at pickup on trip" in rows
    assert "12,345 4 0 1,234 0 5" in rows
    assert "messages in 1,500 0.0 ▁" in rows
    assert "3777:-12241 11" in rows
    assert "[/b]r7 ann:eyes: - looking" in rows  # names are no markup


def test_without_the_token_it_says_what_the_server_says(target: str) -> None:
    done = CliRunner().invoke(app, ["top", "--once", "--target", target], env={"OPERATOR_TOKEN": ""})
    assert (done.exit_code, done.stderr) == (1, f"ride-trio: http://{target}: LOGIN_NEEDED: send a token\n")


def test_nobody_there() -> None:
    done = CliRunner().invoke(app, ["top", "--target", "127.0.0.1:1"])
    assert done.exit_code == 1
    assert "is it the HTTP_LISTEN_ADDR of a server?" in done.stderr
    assert CliRunner().invoke(app, ["top", "--target", "ftp://x"]).exit_code == 2


def summary(uptime_s: float, messages_in: int) -> dict[str, Any]:
    return {"uptime_s": uptime_s, "totals": TOTALS | {"messages_in": messages_in}}


def test_rates_are_by_the_servers_clock_and_survive_its_restart() -> None:
    rates = Rates()
    for uptime_s, total in ((1.0, 100), (3.0, 300), (0.5, 10), (1.5, 60)):
        rates.take(summary(uptime_s, total))
    assert list(rates.history["messages_in"]) == [0.0, 100.0, 50.0]
    assert list(rates.history["drops"]) == [0.0, 0.0, 0.0]


def test_a_sparkline() -> None:
    assert sparkline(deque([0.0, 50.0, 100.0])) == "▁▅█"
    assert sparkline(deque([0.0, 0.0])) == "▁▁"
