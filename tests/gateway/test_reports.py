"""The API: what it tells of a city, and to whom."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ride_trio import __version__
from ride_trio.gateway import Access, Api, PageFiles, Probes, Reports, Site
from ride_trio.gateway.messages import Answer, Request
from ride_trio.metrics import Metrics
from tests.gateway.web_house import WebHouse
from tests.services.house import at, heartbeat, hello, status


class Office:
    """A house, and the API that tells of it."""

    def __init__(self, house: WebHouse, access: Access) -> None:
        self.house = house
        context, metrics = house.context, Metrics()
        metrics.rides = house.metrics
        partitions = [SimpleNamespace(begin_offset=2, end_offset=10), SimpleNamespace(begin_offset=0, end_offset=5)]
        topic = SimpleNamespace(name="t", partitions=partitions, size_bytes=99)
        log: Any = SimpleNamespace(topics={"t": topic})
        reports = Reports(
            context.broker,
            context.dispatcher,
            context.city,
            context.chronicle,
            context.ack_timer,
            log,
            metrics,
            trio.current_time,
        )
        self.probes = Probes(metrics.exposition)
        self.paths = list(reports.paths())
        self.site = Site(self.probes, access, PageFiles(), Api(reports.paths()), house.websockets)

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        fields = dict(pair.split("=") for pair in query.split("&") if pair)
        answer = self.site.answer(Request(method, path, fields, {"host": "localhost", **headers}))
        assert isinstance(answer, Answer)
        return answer

    def get(self, path: str) -> Any:
        answer = self.ask(f"/api/v1/{path}")
        assert dict(answer.extra)["cache-control"] == "no-store"
        return json.loads(answer.body)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with trio.open_nursery() as nursery:
        house = WebHouse(nursery)
        await house.connect("dan", hello(plate="XY 1"), at(37.77), status("AVAILABLE"))
        await house.web("ann", at(37.7701), status("LOOKING", "r"))
        yield Office(house, Access(local=True))
        nursery.cancel_scope.cancel()


async def test_version(office: Office, autojump_clock: MockClock) -> None:
    found = office.get("version")
    assert (found["version"], found["tile_url"], found["uptime_s"]) == (__version__, None, 0)


async def test_summary(office: Office, autojump_clock: MockClock) -> None:
    found = office.get("summary")
    assert found["sessions"] == {"grpc": 1, "websocket": 1}
    assert (found["drivers"]["available"], found["riders_waiting"], found["trips"]) == (1, 1, 0)
    await office.house.window()
    found = office.get("summary")
    assert (found["drivers"]["available"], found["drivers"]["matched"]) == (0, 1)
    assert (found["riders_waiting"], found["trips"], found["totals"]["matches"]) == (0, 1, 1)
    assert found["totals"]["messages_in"] == 5
    assert found["totals"]["messages_out"] == 5 + 1 + 2  # the broadcast, both sides of the match


async def test_acks_are_timed_on_the_server(office: Office, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    assert office.get("summary")["ack_latency_ms"] is None
    nursery.start_soon(office.house.context.ack_timer.run)
    client = await office.house.web("bob")
    await trio.sleep(0.1)
    await client.say(heartbeat())
    assert office.get("summary")["ack_latency_ms"] == {"median": 0.0, "p99": 0.0}  # by a clock that stands still
    assert office.house.metrics.ack_time("websocket").counts[0] == 1
    nursery.cancel_scope.cancel()


async def test_sessions(office: Office, autojump_clock: MockClock) -> None:
    found = {row["user_id"]: row for row in office.get("sessions")}
    assert (found["dan"]["role"], found["dan"]["transport"], found["dan"]["zone"]) == ("driver", "grpc", "3777:-12241")
    assert (found["ann"]["role"], found["ann"]["transport"]) == ("rider", "websocket")
    assert len(office.get("sessions?limit=1")) == 1
    assert len(office.get("sessions?limit=x")) == 2


async def test_zones_trips_and_topics(office: Office, autojump_clock: MockClock) -> None:
    assert office.get("zones") == [{"zone": "3777:-12241", "sessions": 2, "messages": None}]  # nobody counts
    (trip,) = office.get("trips")
    assert (trip["ride_id"], trip["rider_id"], trip["driver_id"], trip["status"]) == ("r", "ann", None, "LOOKING")
    await office.house.window()
    (trip,) = office.get("trips")
    assert (trip["driver_id"], trip["status"], trip["eta_seconds"] > 0) == ("dan", "MATCHED", True)
    assert office.get("topics") == [{"name": "t", "begin": 2, "end": 15, "partitions": 2, "records": 13, "bytes": 99}]


async def test_the_story_of_a_user(office: Office, autojump_clock: MockClock) -> None:
    await office.house.window()
    found = office.get("users/dan")
    assert (found["role"], found["status"], found["latitude"], found["handle"]) == ("driver", "MATCHED", 37.77, None)
    assert found["ride"]["rider_id"] == "ann"
    assert [event["text"] for event in found["events"]] == [
        "matched with ann, ride r",
        "said AVAILABLE",
        "opened a session over grpc",
    ]
    assert office.ask("/api/v1/users/nobody").status == 404
    for number in ("7", "x", "", "9" * 5_000):
        assert office.ask(f"/api/v1/handles/{number}").status == 404


async def test_a_user_by_the_handle_of_the_map(office: Office, autojump_clock: MockClock) -> None:
    observer = await office.house.web("olga")
    await observer.socket.send_message('{"observe":{"maxRateHz":5}}')
    city_view = (await observer.hear("city_view")).city_view
    handles = [int.from_bytes(city_view.changed[at : at + 4], "little") for at in (0, 16)]
    assert {office.get(f"handles/{handle}")["user_id"] for handle in handles} == {"ann", "dan"}
    assert office.get("users/olga")["role"] == ""


async def test_a_name_that_looks_like_a_handle(office: Office, autojump_clock: MockClock) -> None:
    """Traces of real taxis have numbers for names."""
    observer = await office.house.web("1", at(37.7702))
    await observer.socket.send_message('{"observe":{"maxRateHz":5}}')
    await observer.hear("city_view")
    assert office.get("users/1")["user_id"] == "1"
    assert office.get("handles/1")["user_id"] != "1"
    slashes = await office.house.web("a%2Fusers%2Fb")
    await slashes.say(at(37.7702))
    assert office.get("users/a/users/b")["user_id"] == "a/users/b"


def keys_of(value: Any) -> set[str]:
    """The names of all fields, however deep."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


async def test_every_path_and_field_is_described(office: Office, autojump_clock: MockClock) -> None:
    await office.house.window()
    described = set(re.findall(r"`([\w/]+)`", (Path(__file__).parents[2] / "docs/http-api.md").read_text()))
    paths = {path: path.replace("users/", "users/dan").replace("handles/", "users/dan") for path in office.paths}
    assert {path.replace("users/", "users/NAME").replace("handles/", "handles/N") for path in paths} <= described
    found = set().union(*(keys_of(office.get(path)) for path in paths.values()))
    drivers_and_transports = set(office.get("summary")["drivers"]) | {"grpc", "websocket"}
    assert found - drivers_and_transports <= described


async def test_what_is_not_there(office: Office, autojump_clock: MockClock) -> None:
    assert [office.ask(path).status for path in ("/api/v1/", "/api/v1/nothing", "/api/v2/version", "/x")] == [404] * 4
    assert office.ask("/api/v1/version", "POST").status == 405
    assert office.ask("/healthz").status == 200
    assert office.ask("/readyz").status == 503
    assert office.ask("/login").status in (200, 404)


async def test_who_may_not_look_is_told_so(office: Office, autojump_clock: MockClock) -> None:
    closed = Office(office.house, Access({"secret": "olga"}.get))
    assert closed.ask("/api/v1/summary").status == 401
    assert closed.ask("/metrics").status == 401
    assert dict(closed.ask("/").extra)["location"] == "/login"
    assert closed.ask("/healthz").status == 200
    assert closed.ask("/api/v1/summary", authorization="Bearer secret").status == 200
    assert closed.ask("/metrics", authorization="Bearer secret").status == 200
    shut = Office(office.house, Access())
    assert (shut.ask("/").status, shut.ask("/api/v1/version").status) == (403, 403)
    assert b"OPERATOR_TOKENS" in shut.ask("/").body
