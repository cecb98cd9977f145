"""`ride-trio top`: the city in a terminal, from the web gateway's API."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ride_trio_cli.exits import fail, fail_usage

TIMEOUT_S: Final = 5.0
TOKEN_VARIABLE: Final = "OPERATOR_TOKEN"
# Characters of a sparkline, and rows of a table: what a terminal of 80 by 24 has room for.
SPARKS: Final = 30
ROWS: Final = 5
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
# What is shown a second, of the totals.
_RATES: Final = {
    "messages_in": "messages in",
    "messages_out": "messages out",
    "drops": "dropped",
    "matches": "matches",
    "no_driver": "no driver found",
    "log_records": "log records",
}


class ApiError(Exception):
    """The server did not answer as it should; the text says what to do."""


class Api:
    """The API of a server.

    Args:
        base: such as `http://127.0.0.1:8080`.
        token: an operator's; empty for none.
    """

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """What is at a path below `/api/v1/`.

        Raises:
            ApiError: nobody answers, or not with that.
        """
        request = urllib.request.Request(f"{self.base}/api/v1/{path}", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ApiError(f"{self.base}: {error.read().decode(errors='replace').strip()}") from error
        except (OSError, ValueError) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ApiError(f"{self.base}: {why}: is it the HTTP_LISTEN_ADDR of a server?") from error


class Rates:
    """What the totals have grown by a second, lately."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self.history = {name: deque([0.0], maxlen=SPARKS) for name in _RATES}

    def take(self, summary: dict[str, Any]) -> None:
        """Take the newest summary. A server that has restarted begins anew."""
        last, self._last = self._last, summary
        if last is None or summary["uptime_s"] <= last["uptime_s"]:
            return
        seconds = summary["uptime_s"] - last["uptime_s"]
        for name, history in self.history.items():
            history.append((summary["totals"][name] - last["totals"][name]) / seconds)


def top(
    target: Annotated[str, typer.Option(help="The server's HTTP_LISTEN_ADDR, or a URL.")] = "127.0.0.1:8080",
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=60.0)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and leave.")] = False,
) -> None:
    """Show the city of a running server, until Ctrl-C.

    An operator's token is taken from the environment, OPERATOR_TOKEN.
    """
    base = target.rstrip("/") if "://" in target else f"http://{target}"
    if not base.startswith(("http://", "https://")):
        fail_usage(f"--target {target}: allowed is HOST:PORT, or a URL that begins with http:// or https://")
    api, rates = Api(base, os.environ.get(TOKEN_VARIABLE, "")), Rates()
    console = Console(markup=False, emoji=False)  # what users are called is not for rich to read
    try:
        if once:
            console.print(_picture(api, rates))
            return
        with Live(console=console, auto_refresh=False, screen=True) as live:
            for picture in _pictures(api, rates, interval):
                live.update(picture, refresh=True)
    except ApiError as error:
        fail(str(error))
    except KeyboardInterrupt:
        pass


def _pictures(api: Api, rates: Rates, interval_s: float) -> Iterator[Group | Text]:
    """One each interval. After the first, a server that is away is waited for."""
    yield _picture(api, rates)
    while True:
        time.sleep(interval_s)
        try:
            yield _picture(api, rates)
        except ApiError as error:
            yield Text(str(error), style="red")


def _picture(api: Api, rates: Rates) -> Group:
    summary = api.get("summary")
    rates.take(summary)
    version = api.get("version")["version"]
    head = Text(f"ride-trio {version} at {api.base}, up {_span(summary['uptime_s'])}", style="bold")
    return Group(head, _people(summary), _drivers(summary), _counters(summary, rates), _zones(api), _trips(api))


def _people(summary: dict[str, Any]) -> Table:
    sessions, acks = summary["sessions"], summary["ack_latency_ms"] or {}
    counts = {
        "sessions": sum(sessions.values()),
        **sessions,
        "riders waiting": summary["riders_waiting"],
        "trips": summary["trips"],
    }
    latency = {f"ack {name}, ms": f"{acks[name]:.3g}" if acks else "-" for name in ("median", "p99")}
    return _row({name: f"{count:,}" for name, count in counts.items()} | latency)


def _drivers(summary: dict[str, Any]) -> Table:
    return _row({name.replace("_", " "): f"{count:,}" for name, count in summary["drivers"].items()})


def _row(cells: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table


def _counters(summary: dict[str, Any], rates: Rates) -> Table:
    table = Table("", box=None, pad_edge=False)
    for name in ("total", "a second"):
        table.add_column(name, justify="right")
    table.add_column("lately")
    for name, text in _RATES.items():
        history = rates.history[name]
        table.add_row(text, f"{summary['totals'][name]:,}", f"{history[-1]:,.1f}", sparkline(history))
    return table


def _zones(api: Api) -> Table:
    table = Table("fullest zones", box=None, pad_edge=False)
    table.add_column("sessions", justify="right")
    for zone in api.get(f"zones?limit={ROWS}"):
        table.add_row(zone["zone"], f"{zone['sessions']:,}")
    return table


def _trips(api: Api) -> Table:
    table = Table("newest rides", "rider", "driver", "state", box=None, pad_edge=False)
    for trip in api.get(f"trips?limit={ROWS}"):
        table.add_row(trip["ride_id"], trip["rider_id"], trip["driver_id"] or "-", trip["status"].lower())
    return table


def sparkline(values: deque[float]) -> str:
    """A character a value, the highest one full."""
    most = max(values)
    return "".join(_BLOCKS[round(value / most * (len(_BLOCKS) - 1))] if most > 0 else _BLOCKS[0] for value in values)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
